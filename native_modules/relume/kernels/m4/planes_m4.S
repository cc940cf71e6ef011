/* relume: depthwise 3 x 3, Cortex-M4 (twins in planes.c).
 *
 * A word holds two rows of one column of one channel: (row 2i, row 2i + 1).
 * With A and B the words of four rows r .. r + 3, and of a filter column
 * P = (w0, w1), Q = (w1, w2), two outputs of stride 1 are
 *   row 0: SMLAD A P, SMLABT B Q      row 1: SMLATB A P, SMLAD B Q
 * so three columns cost 12 instructions for 18 MACs. Two output columns share
 * their loads: 12 cycles of loads and 24 SMLAx for 36 MACs, 5 to start, 30 to
 * requantise and store four bytes, 4 to loop: 2.1 cycles a MAC. Stride 2
 * keeps row 0 only: 29 cycles for 9 MACs. Weaving rows into words takes 20
 * cycles for eight inputs.
 *
 * Requantisation: the tails of blocks_m4.S, without the 128. */
#include "asm.h"

#if RL_M4_ASM

    .syntax unified
    .thumb
#ifdef RL_HOT /* the firmware: in SRAM */
    .section .time_critical.relume, "ax", %progbits
#else
    .text
#endif

    .equ P_X, 0
    .equ P_TABLE, 4
    .equ P_Y, 8
    .equ P_X_ROW, 12
    .equ P_Y_COLUMN, 16
    .equ P_Y_ROW, 20
    .equ P_COLUMNS, 24
    .equ P_BANDS, 28

    .equ F_BIAS, 0
    .equ F_M, 4
    .equ F_C, 8
    .equ F_J, 12
    .equ F_Y0, 16       /* next byte of row 0 */
    .equ F_Y1, 20       /* next byte of row 1 */
    .equ F_Y_COLUMN, 24
    .equ F_Y_END, 28    /* of row 0 */
    .equ F_BAND_Y, 32
    .equ F_Y_ROW, 36
    .equ F_BAND_X, 40
    .equ F_BANDS, 44
    .equ F_COLUMNS, 48
    .equ FRAME, 52

/* Saves registers, fills the frame. r0: plane. Leaves weights in r4-r9. */
    .macro ENTER
    push {r4-r11, lr}
    sub sp, #FRAME
    ldr r1, [r0, #P_TABLE]
    ldr r2, [r0, #P_Y]
    ldr r3, [r0, #P_Y_COLUMN]
    ldr r4, [r0, #P_Y_ROW]
    ldr r5, [r0, #P_X]
    ldr r6, [r0, #P_BANDS]
    ldr r7, [r0, #P_COLUMNS]
    ldr r8, [r1, #24]
    ldr r9, [r1, #28]
    ldr r10, [r1, #32]
    ldr r11, [r1, #36]
    str r2, [sp, #F_BAND_Y]
    str r3, [sp, #F_Y_COLUMN]
    str r4, [sp, #F_Y_ROW]
    str r5, [sp, #F_BAND_X]
    str r6, [sp, #F_BANDS]
    str r7, [sp, #F_COLUMNS]
    str r8, [sp, #F_BIAS]
    str r9, [sp, #F_M]
    str r10, [sp, #F_C]
    str r11, [sp, #F_J]
    ldm r1, {r4-r9}
    .endm

/* r2: multiplier, r3: addend. */
    .macro FULL_X a
    lsl \a, \a, #1
    smmulr \a, \a, r2
    add \a, \a, \a, asr #31
    add \a, \a, r3
    .endm

/* r2: exponent. */
    .macro FULL_Y a
    asr \a, \a, r2
    ssat \a, #8, \a
    .endm

/* ---------------------------------------------------------------- stride 1 */

    .macro PLANE_ONE name, full
    .global \name
    .type \name, %function
    .balign 4
\name:
    ENTER
    ldr r1, [r0, #P_X_ROW]
.Lone_band\@:
    ldr r0, [sp, #F_BAND_X]
    ldr r2, [sp, #F_BAND_Y]
    ldr r3, [sp, #F_Y_ROW]
    ldr r10, [sp, #F_COLUMNS]
    ldr r11, [sp, #F_Y_COLUMN]
    str r2, [sp, #F_Y0]
    add r12, r2, r3
    str r12, [sp, #F_Y1]
    add r12, r12, r3
    str r12, [sp, #F_BAND_Y]
    add r12, r0, r1
    str r12, [sp, #F_BAND_X]
    bic r10, r10, #1
    mla r10, r10, r11, r2
    str r10, [sp, #F_Y_END]
    cmp r10, r2
    beq .Lone_odd\@
.Lone_two\@:
    ldr r10, [sp, #F_BIAS]
    ldr r3, [r0, r1]
    ldr r2, [r0], #16
    mov r11, r10
    mov r12, r10
    mov lr, r10
    smlad r10, r2, r4, r10
    smlabt r10, r3, r7, r10
    smlatb r11, r2, r4, r11
    smlad r11, r3, r7, r11
    ldr r3, [r0, r1]
    ldr r2, [r0], #16
    smlad r10, r2, r5, r10
    smlabt r10, r3, r8, r10
    smlatb r11, r2, r5, r11
    smlad r11, r3, r8, r11
    smlad r12, r2, r4, r12
    smlabt r12, r3, r7, r12
    smlatb lr, r2, r4, lr
    smlad lr, r3, r7, lr
    ldr r3, [r0, r1]
    ldr r2, [r0], #16
    smlad r10, r2, r6, r10
    smlabt r10, r3, r9, r10
    smlatb r11, r2, r6, r11
    smlad r11, r3, r9, r11
    smlad r12, r2, r5, r12
    smlabt r12, r3, r8, r12
    smlatb lr, r2, r5, lr
    smlad lr, r3, r8, lr
    ldr r3, [r0, r1]
    ldr r2, [r0], #-16
    smlad r12, r2, r6, r12
    smlabt r12, r3, r9, r12
    smlatb lr, r2, r6, lr
    smlad lr, r3, r9, lr
    .if \full
    ldr r2, [sp, #F_M]
    ldr r3, [sp, #F_C]
    FULL_X r10
    FULL_X r11
    FULL_X r12
    FULL_X lr
    ldr r2, [sp, #F_J]
    FULL_Y r10
    FULL_Y r11
    FULL_Y r12
    FULL_Y lr
    .else
    ldr r2, [sp, #F_J]
    ldr r3, [sp, #F_M]
    lsl r10, r10, r2
    lsl r11, r11, r2
    lsl r12, r12, r2
    lsl lr, lr, r2
    ldr r2, [sp, #F_C]
    smmla r10, r10, r3, r2
    smmla r11, r11, r3, r2
    smmla r12, r12, r3, r2
    smmla lr, lr, r3, r2
    ssat r10, #8, r10, asr #16
    ssat r11, #8, r11, asr #16
    ssat r12, #8, r12, asr #16
    ssat lr, #8, lr, asr #16
    .endif
    /* Row 1 first: where there is none it lies on row 0. */
    ldr r2, [sp, #F_Y1]
    ldr r3, [sp, #F_Y_COLUMN]
    strb lr, [r2, r3]
    strb r11, [r2]
    add r2, r2, r3, lsl #1
    str r2, [sp, #F_Y1]
    ldr r2, [sp, #F_Y0]
    ldr r11, [sp, #F_Y_END]
    strb r12, [r2, r3]
    strb r10, [r2]
    add r2, r2, r3, lsl #1
    str r2, [sp, #F_Y0]
    cmp r2, r11
    bne .Lone_two\@
.Lone_odd\@:
    ldr r2, [sp, #F_COLUMNS]
    lsls r2, r2, #31
    beq .Lone_next\@
    ldr r10, [sp, #F_BIAS]
    ldr r3, [r0, r1]
    ldr r2, [r0], #16
    ldr r12, [r0, r1]
    ldr lr, [r0], #16
    mov r11, r10
    smlad r10, r2, r4, r10
    smlabt r10, r3, r7, r10
    smlatb r11, r2, r4, r11
    smlad r11, r3, r7, r11
    smlad r10, lr, r5, r10
    smlabt r10, r12, r8, r10
    smlatb r11, lr, r5, r11
    smlad r11, r12, r8, r11
    ldr r3, [r0, r1]
    ldr r2, [r0]
    ldr r12, [sp, #F_J]
    ldr lr, [sp, #F_M]
    smlad r10, r2, r6, r10
    smlabt r10, r3, r9, r10
    smlatb r11, r2, r6, r11
    smlad r11, r3, r9, r11
    .if \full
    mov r2, lr
    ldr r3, [sp, #F_C]
    FULL_X r10
    FULL_X r11
    mov r2, r12
    FULL_Y r10
    FULL_Y r11
    ldr r3, [sp, #F_Y1]
    ldr r12, [sp, #F_Y0]
    .else
    ldr r2, [sp, #F_C]
    ldr r3, [sp, #F_Y1]
    lsl r10, r10, r12
    lsl r11, r11, r12
    ldr r12, [sp, #F_Y0]
    smmla r10, r10, lr, r2
    smmla r11, r11, lr, r2
    ssat r10, #8, r10, asr #16
    ssat r11, #8, r11, asr #16
    .endif
    strb r11, [r3]
    strb r10, [r12]
.Lone_next\@:
    ldr r2, [sp, #F_BANDS]
    subs r2, r2, #1
    str r2, [sp, #F_BANDS]
    bne.w .Lone_band\@
    add sp, #FRAME
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    PLANE_ONE rl_m4_plane_one, 0
    PLANE_ONE rl_m4_plane_one_full, 1

/* ---------------------------------------------------------------- stride 2 */

    .macro PLANE_TWO name, full
    .global \name
    .type \name, %function
    .balign 4
\name:
    ENTER
    ldr r10, [r0, #P_X_ROW]
    str r10, [sp, #F_Y1]        /* not needed for a second row */
.Ltwo_band\@:
    ldr r0, [sp, #F_BAND_X]
    ldr r11, [sp, #F_BAND_Y]
    ldr r1, [sp, #F_Y1]
    ldr r2, [sp, #F_Y_ROW]
    ldr r3, [sp, #F_COLUMNS]
    ldr r12, [sp, #F_Y_COLUMN]
    add r1, r1, r0
    str r1, [sp, #F_BAND_X]
    add r2, r2, r11
    str r2, [sp, #F_BAND_Y]
    mla r3, r3, r12, r11
    str r3, [sp, #F_Y_END]
.Ltwo_one\@:
    ldr r10, [sp, #F_BIAS]
    ldr r2, [r0]
    ldr r3, [r1]
    ldr r12, [r0, #16]
    ldr lr, [r1, #16]
    smlad r10, r2, r4, r10
    smlabt r10, r3, r7, r10
    smlad r10, r12, r5, r10
    smlabt r10, lr, r8, r10
    ldr r2, [r0, #32]!
    ldr r3, [r1, #32]!
    ldr r12, [sp, #F_J]
    ldr lr, [sp, #F_M]
    smlad r10, r2, r6, r10
    smlabt r10, r3, r9, r10
    .if \full
    mov r2, lr
    ldr r3, [sp, #F_C]
    FULL_X r10
    mov r2, r12
    FULL_Y r10
    ldr r3, [sp, #F_Y_COLUMN]
    ldr r12, [sp, #F_Y_END]
    .else
    ldr r2, [sp, #F_C]
    ldr r3, [sp, #F_Y_COLUMN]
    lsl r10, r10, r12
    ldr r12, [sp, #F_Y_END]
    smmla r10, r10, lr, r2
    ssat r10, #8, r10, asr #16
    .endif
    strb r10, [r11]
    add r11, r11, r3
    cmp r11, r12
    bne .Ltwo_one\@
    ldr r2, [sp, #F_BANDS]
    subs r2, r2, #1
    str r2, [sp, #F_BANDS]
    bne .Ltwo_band\@
    add sp, #FRAME
    pop {r4-r11, pc}
    .size \name, . - \name
    .endm

    PLANE_TWO rl_m4_plane_two, 0
    PLANE_TWO rl_m4_plane_two_full, 1

/* ----------------------------------------------------------------- weaving */

    .global rl_m4_weave
    .type rl_m4_weave, %function
    .balign 4
rl_m4_weave:
    push {r4-r9, lr}
    ldr r8, [sp, #28]           /* a_step */
    ldr r9, [sp, #32]           /* b_step */
1:  ldr r4, [r1]
    ldr r5, [r2]
    add r1, r1, r8
    add r2, r2, r9
    sxtb16 r6, r4
    sxtb16 r4, r4, ror #8
    sxtb16 r7, r5
    sxtb16 r5, r5, ror #8
    pkhbt r12, r6, r7, lsl #16
    pkhbt lr, r4, r5, lsl #16
    pkhtb r7, r7, r6, asr #16
    pkhtb r5, r5, r4, asr #16
    str r12, [r0], #16
    str lr, [r0, #-12]
    str r7, [r0, #-8]
    str r5, [r0, #-4]
    subs r3, r3, #1
    bne 1b
    pop {r4-r9, pc}
    .size rl_m4_weave, . - rl_m4_weave

#endif
