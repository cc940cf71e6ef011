/* relume: convolution and dense blocks, Cortex-M4 (twins in blocks.c).
 *
 * Byte pairs. A halfword of the weights is h = 256 w1 + w0 of two channels, a
 * word holds two terms of the dot product. With xx = two inputs as halfwords
 *   SMLAD all += xx * h    SXTB16 h -> w0    SMLAD low += xx * w0
 *   all - low = 256 S1 (mod 2^32),  low = S0
 * S1 is whole because the packer proved -2^23 <= S1 < 2^23.
 *
 * rl_m4_blocks: two pixels x four channels. One step (two terms, 16 MACs):
 * four loads in a row 5, two SXTB16, eight SMLAD: 15 cycles, 0.94 a MAC. All
 * 14 registers are taken, so that everything else lives on the stack. The
 * steps are unrolled 32 times and entered where what is left begins. About
 * 80 cycles for the eight outputs on top.
 *
 * rl_m4_rows: one row x eight channels, 22 steps unrolled (10 more would be
 * 0.5 % faster and 680 bytes larger). With two steps at a time the ten loads
 * come in three runs (4, 3, 3), as the four spare registers allow: 37 cycles
 * for 32 MACs. About 100 cycles for the eight outputs on top.
 *
 * Tails. SHORT (clamp at the zero point -128): with e = -exponent the packer
 * gives shift j = 17 - e (channels of all: 9 - e, as 256 S1 is at hand) and
 *   z = (S << j) M / 2^32 + C,  C = 2^15 + 2^(15 - e)
 * whose upper halfword is the output + 128 before the clamp. Two of them are
 * picked up by one PKHTB and clamped by one USAT16.
 * FULL (any zero point): x = SMMULR(2 S, M), x += x >> 31, (x + C) >> e. */
#include "asm.h"

#if RL_M4_ASM

    .syntax unified
    .thumb
#ifdef RL_HOT /* the firmware: in SRAM */
    .section .time_critical.relume, "ax", %progbits
#else
    .text
#endif

    .equ UNROLL, 32
    .equ STEP_BYTES, 56

    .equ F_W, 0         /* weights of the block */
    .equ F_W_END, 4
    .equ F_TAIL, 8
    .equ F_TABLE, 12
    .equ F_ENTRY, 16
    .equ F_Y, 20
    .equ F_X_END, 24    /* rl_m4_rows */
    .equ F_X, 28
    .equ F_BLOCKS, 32
    .equ F_W_SIZE, 36
    .equ F_X_STEP, 40
    .equ F_PIXEL, 44
    .equ F_Y_END, 48
    .equ F_Y_BLOCK, 52
    .equ F_Y_SPAN, 56
    .equ FRAME, 60      /* with 9 pushed words: a multiple of 8 */

    .equ J_X, 0
    .equ J_X_STEP, 4
    .equ J_W, 8
    .equ J_TABLE, 12
    .equ J_Y, 16
    .equ J_PIXEL, 20
    .equ J_PAIRS, 24
    .equ J_STEPS, 28
    .equ J_BLOCKS, 32
    .equ J_TAIL, 36

/* Addend and shift of one channel for one or two sums. */
    .macro SHORT_TWO a, b, m, c, j
    lsl \a, \a, \j
    lsl \b, \b, \j
    smmla \a, \a, \m, \c
    smmla \b, \b, \m, \c
    .endm

    .macro FULL_ONE a, m, c, e
    smmulr \a, \a, \m
    add \a, \a, \a, asr #31
    add \a, \a, \c
    asr \a, \a, \e
    .endm

/* ------------------------------------------------------------- two pixels */

    .global rl_m4_blocks
    .type rl_m4_blocks, %function
    .balign 4
rl_m4_blocks:
    push {r4-r11, lr}
    sub sp, #FRAME
    ldr r1, [r0, #J_W]
    ldr r2, [r0, #J_STEPS]
    ldr r3, [r0, #J_TABLE]
    ldr r4, [r0, #J_Y]
    ldr r5, [r0, #J_X_STEP]
    ldr r6, [r0, #J_X]
    ldr r7, [r0, #J_BLOCKS]
    ldr r8, [r0, #J_TAIL]
    ldr r10, [r0, #J_PIXEL]
    ldr r11, [r0, #J_PAIRS]
    lsl r9, r2, #3
    mul r11, r11, r10
    lsl r11, r11, #1
    str r1, [sp, #F_W]
    str r3, [sp, #F_TABLE]
    str r4, [sp, #F_Y_BLOCK]
    str r5, [sp, #F_X_STEP]
    str r6, [sp, #F_X]
    str r10, [sp, #F_PIXEL]
    str r11, [sp, #F_Y_SPAN]
    str r7, [sp, #F_BLOCKS]
    str r9, [sp, #F_W_SIZE]
    add r9, r9, r1
    str r9, [sp, #F_W_END]
    /* After the first of `steps` steps (2 at least) enter with r = (steps - 2)
     * % 32 + 1 to go. */
    sub r2, r2, #2
    and r2, r2, #(UNROLL - 1)
    rsb r2, r2, #(UNROLL - 1)
    movs r3, #STEP_BYTES
    adr r1, .Lblocks_top
    mla r2, r2, r3, r1
    add r2, r2, #1              /* Thumb */
    str r2, [sp, #F_ENTRY]
    adr r1, .Lblocks_tail_short
    cmp r8, #0
    beq 1f
    add r1, r1, #(.Lblocks_tail_full - .Lblocks_tail_short)
1:  add r1, r1, #1
    str r1, [sp, #F_TAIL]

.Lblocks_block:
    ldr r0, [sp, #F_X]
    ldr r1, [sp, #F_Y_BLOCK]
    ldr r2, [sp, #F_Y_SPAN]
    add r3, r1, #4
    str r1, [sp, #F_Y]
    add r2, r2, r1
    str r3, [sp, #F_Y_BLOCK]
    str r2, [sp, #F_Y_END]
.Lblocks_pair:
    ldr r2, [sp, #F_TABLE]
    ldr r1, [sp, #F_W]
    ldr r3, [sp, #F_ENTRY]
    ldr r4, [r2]
    ldr r5, [r2, #4]
    ldr r6, [r2, #8]
    ldr r7, [r2, #12]
    /* First step: the second pixel's sums start from the first one's. */
    ldr r2, [r0], #8
    ldr r11, [r0, #-4]
    ldr r12, [r1], #8
    ldr lr, [r1, #-4]
    smlad r8, r11, r12, r4
    smlad r4, r2, r12, r4
    sxtb16 r12, r12
    smlad r10, r11, lr, r6
    smlad r6, r2, lr, r6
    sxtb16 lr, lr
    smlad r9, r11, r12, r5
    smlad r5, r2, r12, r5
    smlad r11, r11, lr, r7
    smlad r7, r2, lr, r7
    bx r3

    .balign 4
.Lblocks_tail_short:
    ldr r1, [sp, #F_TABLE]
    ldr lr, [sp, #F_Y]
    ldr r2, [r1, #16]
    ldr r3, [r1, #20]
    ldr r12, [r1, #24]
    sub r4, r4, r5
    sub r6, r6, r7
    sub r8, r8, r9
    sub r10, r10, r11
    SHORT_TWO r5, r9, r2, r3, r12
    ldr r2, [r1, #28]
    ldr r3, [r1, #32]
    ldr r12, [r1, #36]
    SHORT_TWO r4, r8, r2, r3, r12
    ldr r2, [r1, #40]
    ldr r3, [r1, #44]
    ldr r12, [r1, #48]
    SHORT_TWO r7, r11, r2, r3, r12
    ldr r2, [r1, #52]
    ldr r3, [r1, #56]
    ldr r12, [r1, #60]
    SHORT_TWO r6, r10, r2, r3, r12
    pkhtb r5, r7, r5, asr #16
    pkhtb r4, r6, r4, asr #16
    pkhtb r9, r11, r9, asr #16
    pkhtb r8, r10, r8, asr #16
.Lblocks_store:
    usat16 r5, #8, r5
    usat16 r4, #8, r4
    usat16 r9, #8, r9
    usat16 r8, #8, r8
    ldr r2, [sp, #F_PIXEL]
    ldr r3, [sp, #F_Y_END]
    ldr r12, [sp, #F_X_STEP]
    orr r9, r9, r8, lsl #8
    orr r5, r5, r4, lsl #8
    eor r9, r9, #0x80808080
    eor r5, r5, #0x80808080
    str r9, [lr, r2]            /* where there is no second pixel it lies */
    str r5, [lr]                /* on the first */
    add lr, lr, r2, lsl #1
    add r0, r0, r12
    str lr, [sp, #F_Y]
    cmp lr, r3
    bne.w .Lblocks_pair

    ldr r1, [sp, #F_BLOCKS]
    ldr r2, [sp, #F_TABLE]
    ldr r3, [sp, #F_W_SIZE]
    ldr r4, [sp, #F_W_END]
    subs r1, r1, #1
    add r2, r2, #64
    add r3, r3, r4
    str r1, [sp, #F_BLOCKS]
    str r2, [sp, #F_TABLE]
    str r4, [sp, #F_W]
    str r3, [sp, #F_W_END]
    bne.w .Lblocks_block
    add sp, #FRAME
    pop {r4-r11, pc}

    .balign 4
.Lblocks_tail_full:
    ldr r1, [sp, #F_TABLE]
    ldr lr, [sp, #F_Y]
    ldr r2, [r1, #16]
    ldr r3, [r1, #20]
    ldr r12, [r1, #24]
    sub r4, r4, r5
    sub r6, r6, r7
    sub r8, r8, r9
    sub r10, r10, r11
    lsl r5, r5, #1
    lsl r7, r7, #1
    lsl r9, r9, #1
    lsl r11, r11, #1
    asr r4, r4, #7
    asr r6, r6, #7
    asr r8, r8, #7
    asr r10, r10, #7
    FULL_ONE r5, r2, r3, r12
    FULL_ONE r9, r2, r3, r12
    ldr r2, [r1, #28]
    ldr r3, [r1, #32]
    ldr r12, [r1, #36]
    FULL_ONE r4, r2, r3, r12
    FULL_ONE r8, r2, r3, r12
    ldr r2, [r1, #40]
    ldr r3, [r1, #44]
    ldr r12, [r1, #48]
    FULL_ONE r7, r2, r3, r12
    FULL_ONE r11, r2, r3, r12
    ldr r2, [r1, #52]
    ldr r3, [r1, #56]
    ldr r12, [r1, #60]
    FULL_ONE r6, r2, r3, r12
    FULL_ONE r10, r2, r3, r12
    pkhbt r5, r5, r7, lsl #16
    pkhbt r4, r4, r6, lsl #16
    pkhbt r9, r9, r11, lsl #16
    pkhbt r8, r8, r10, lsl #16
    b .Lblocks_store

    .balign 4
.Lblocks_top:
    .rept UNROLL
    ldr.w r2, [r0], #8
    ldr.w r3, [r0, #-4]
    ldr.w r12, [r1], #8
    ldr.w lr, [r1, #-4]
    smlad r4, r2, r12, r4
    smlad r8, r3, r12, r8
    sxtb16 r12, r12
    smlad r6, r2, lr, r6
    smlad r10, r3, lr, r10
    sxtb16 lr, lr
    smlad r5, r2, r12, r5
    smlad r9, r3, r12, r9
    smlad r7, r2, lr, r7
    smlad r11, r3, lr, r11
    .endr
    ldr r2, [sp, #F_W_END]
    ldr r3, [sp, #F_TAIL]
    cmp r1, r2
    bne.w .Lblocks_top
    bx r3
    .size rl_m4_blocks, . - rl_m4_blocks

/* ---------------------------------------------------------------- one row */

    .equ ROW_UNROLL, 11         /* of two steps each */
    .equ ROW_STEPS_BYTES, 136
    .equ R_X, 0
    .equ R_W, 4
    .equ R_TABLE, 8
    .equ R_Y, 12
    .equ R_STEPS, 16
    .equ R_BLOCKS, 20
    .equ R_TAIL, 24

/* Bytes of four sums, {S0 + 256 S1, S0} of two pairs, to [lr]. */
    .macro ROW_SHORT all0, low0, all1, low1
    ldr r2, [r1, #24]
    ldr r3, [r1, #36]
    ldr r12, [r1, #48]
    ldr lr, [r1, #60]
    sub \all0, \all0, \low0
    sub \all1, \all1, \low1
    lsl \low0, \low0, r2
    lsl \all0, \all0, r3
    lsl \low1, \low1, r12
    lsl \all1, \all1, lr
    ldr r2, [r1, #16]
    ldr r3, [r1, #20]
    ldr r12, [r1, #28]
    ldr lr, [r1, #32]
    smmla \low0, \low0, r2, r3
    smmla \all0, \all0, r12, lr
    ldr r2, [r1, #40]
    ldr r3, [r1, #44]
    ldr r12, [r1, #52]
    ldr lr, [r1, #56]
    smmla \low1, \low1, r2, r3
    smmla \all1, \all1, r12, lr
    pkhtb \low0, \low1, \low0, asr #16
    pkhtb \all0, \all1, \all0, asr #16
    .endm

    .macro ROW_FULL all0, low0, all1, low1
    ldr r2, [r1, #16]
    ldr r3, [r1, #20]
    ldr r12, [r1, #24]
    sub \all0, \all0, \low0
    sub \all1, \all1, \low1
    lsl \low0, \low0, #1
    asr \all0, \all0, #7
    lsl \low1, \low1, #1
    asr \all1, \all1, #7
    FULL_ONE \low0, r2, r3, r12
    ldr r2, [r1, #28]
    ldr r3, [r1, #32]
    ldr r12, [r1, #36]
    FULL_ONE \all0, r2, r3, r12
    ldr r2, [r1, #40]
    ldr r3, [r1, #44]
    ldr r12, [r1, #48]
    FULL_ONE \low1, r2, r3, r12
    ldr r2, [r1, #52]
    ldr r3, [r1, #56]
    ldr r12, [r1, #60]
    FULL_ONE \all1, r2, r3, r12
    pkhbt \low0, \low0, \low1, lsl #16
    pkhbt \all0, \all0, \all1, lsl #16
    .endm

    .global rl_m4_rows
    .type rl_m4_rows, %function
    .balign 4
rl_m4_rows:
    push {r4-r11, lr}
    sub sp, #FRAME
    ldr r6, [r0, #R_X]
    ldr r2, [r0, #R_STEPS]
    ldr r3, [r0, #R_TABLE]
    ldr r4, [r0, #R_Y]
    ldr r7, [r0, #R_BLOCKS]
    ldr r8, [r0, #R_TAIL]
    str r3, [sp, #F_TABLE]
    str r4, [sp, #F_Y]
    str r6, [sp, #F_X]
    add r7, r4, r7, lsl #3
    str r7, [sp, #F_Y_END]
    add r6, r6, r2, lsl #2
    str r6, [sp, #F_X_END]
    lsr r2, r2, #1
    sub r2, r2, #1
    movs r3, #ROW_UNROLL
    udiv r6, r2, r3
    mls r2, r6, r3, r2
    rsb r2, r2, #(ROW_UNROLL - 1)
    movs r3, #ROW_STEPS_BYTES
    adr r6, .Lrows_top
    mla r2, r2, r3, r6
    add r2, r2, #1              /* Thumb */
    str r2, [sp, #F_ENTRY]
    adr r6, .Lrows_tail_short
    cmp r8, #0
    beq 1f
    add r6, r6, #(.Lrows_tail_full - .Lrows_tail_short)
1:  add r6, r6, #1
    str r6, [sp, #F_TAIL]
    ldr r12, [r0, #R_W]
    ldr r1, [r0, #R_TABLE]

.Lrows_block:                   /* r1: table, r12: weights */
    ldr r0, [sp, #F_X]
    ldr r3, [sp, #F_ENTRY]
    ldr r4, [r1]
    ldr r5, [r1, #4]
    ldr r6, [r1, #8]
    ldr r7, [r1, #12]
    ldr r8, [r1, #64]
    ldr r9, [r1, #68]
    ldr r10, [r1, #72]
    ldr r11, [r1, #76]
    mov r1, r12
    bx r3

    .balign 4
.Lrows_tail_short:
    ROW_SHORT r4, r5, r6, r7
    add r1, r1, #64
    ROW_SHORT r8, r9, r10, r11
.Lrows_store:
    add r1, r1, #64
    usat16 r5, #8, r5
    usat16 r4, #8, r4
    usat16 r9, #8, r9
    usat16 r8, #8, r8
    str r1, [sp, #F_TABLE]
    orr r5, r5, r4, lsl #8
    orr r9, r9, r8, lsl #8
    ldr r3, [sp, #F_Y]
    ldr r2, [sp, #F_Y_END]
    eor r5, r5, #0x80808080
    eor r9, r9, #0x80808080
    str r5, [r3], #8
    str r9, [r3, #-4]
    mov r12, r0
    str r3, [sp, #F_Y]
    cmp r3, r2
    bne.w .Lrows_block
    add sp, #FRAME
    pop {r4-r11, pc}

    .balign 4
.Lrows_tail_full:
    ROW_FULL r4, r5, r6, r7
    add r1, r1, #64
    ROW_FULL r8, r9, r10, r11
    b.w .Lrows_store

    .balign 4
.Lrows_top:
    .rept ROW_UNROLL
    ldr.w r2, [r0], #8
    ldr.w r3, [r1], #32
    ldr.w r12, [r1, #-28]
    ldr.w lr, [r1, #-24]
    smlad r4, r2, r3, r4
    sxtb16.w r3, r3
    smlad r5, r2, r3, r5
    smlad r6, r2, r12, r6
    sxtb16.w r12, r12
    smlad r7, r2, r12, r7
    smlad r8, r2, lr, r8
    sxtb16.w lr, lr
    smlad r9, r2, lr, r9
    ldr.w r3, [r1, #-20]
    ldr.w r12, [r0, #-4]
    ldr.w lr, [r1, #-16]
    smlad r10, r2, r3, r10
    sxtb16.w r3, r3
    smlad r11, r2, r3, r11
    smlad r4, r12, lr, r4
    sxtb16.w lr, lr
    smlad r5, r12, lr, r5
    ldr.w r2, [r1, #-12]
    ldr.w r3, [r1, #-8]
    ldr.w lr, [r1, #-4]
    smlad r6, r12, r2, r6
    sxtb16.w r2, r2
    smlad r7, r12, r2, r7
    smlad r8, r12, r3, r8
    sxtb16.w r3, r3
    smlad r9, r12, r3, r9
    smlad r10, r12, lr, r10
    sxtb16.w lr, lr
    smlad r11, r12, lr, r11
    .endr
    ldr r2, [sp, #F_X_END]
    cmp r0, r2
    bne.w .Lrows_top
    mov r0, r1                  /* x begins anew, w goes on */
    ldr r2, [sp, #F_TAIL]
    ldr r1, [sp, #F_TABLE]
    bx r2
    .size rl_m4_rows, . - rl_m4_rows

/* ---------------------------------------------------------------- widening */

/* 8 bytes of a and of b in 24 cycles, 9 more a row. */
    .global rl_m4_widen_two
    .type rl_m4_widen_two, %function
    .balign 4
rl_m4_widen_two:
    push {r4-r9, r11, lr}
    ldr r8, [sp, #32]           /* step */
    ldr r9, [sp, #36]           /* rows */
    mov r11, r3
    sub r8, r8, r3, lsl #2
1:  lsrs r3, r11, #1            /* carry: an odd word first */
    bcc 2f
    ldr r4, [r1], #4
    ldr r5, [r2], #4
    sxtb16 r6, r4
    sxtb16 r7, r5
    sxtb16 r4, r4, ror #8
    sxtb16 r5, r5, ror #8
    str r6, [r0], #16
    str r7, [r0, #-12]
    str r4, [r0, #-8]
    str r5, [r0, #-4]
2:  cbz r3, 4f
3:  ldr r4, [r1], #8
    ldr r12, [r1, #-4]
    ldr r5, [r2], #8
    ldr lr, [r2, #-4]
    sxtb16 r6, r4
    sxtb16 r7, r5
    sxtb16 r4, r4, ror #8
    sxtb16 r5, r5, ror #8
    str r6, [r0], #32
    str r7, [r0, #-28]
    str r4, [r0, #-24]
    str r5, [r0, #-20]
    sxtb16 r6, r12
    sxtb16 r7, lr
    sxtb16 r12, r12, ror #8
    sxtb16 lr, lr, ror #8
    str r6, [r0, #-16]
    str r7, [r0, #-12]
    str r12, [r0, #-8]
    str lr, [r0, #-4]
    subs r3, r3, #1
    bne 3b
4:  add r1, r1, r8
    add r2, r2, r8
    subs r9, r9, #1
    bne 1b
    pop {r4-r9, r11, pc}
    .size rl_m4_widen_two, . - rl_m4_widen_two

/* 8 bytes in 18 cycles, 8 more a row, 5 a column. */
    .global rl_m4_widen_columns
    .type rl_m4_widen_columns, %function
    .balign 4
rl_m4_widen_columns:
    push {r4-r11, lr}
    ldr r8, [sp, #36]           /* step */
    ldr r12, [sp, #40]          /* rows */
    ldr lr, [sp, #44]           /* columns */
    mov r11, r3
    sub r8, r8, r3, lsl #2
0:  mov r9, r12
    mov r10, r2
1:  lsrs r3, r11, #1            /* carry: an odd word first */
    bcc 2f
    ldr r4, [r2], #4
    sxtb16 r6, r4
    sxtb16 r4, r4, ror #8
    str r6, [r0], #16
    str r4, [r0, #-8]
    str r6, [r1], #16
    str r4, [r1, #-8]
2:  cbz r3, 4f
3:  ldr r4, [r2], #8
    ldr r5, [r2, #-4]
    sxtb16 r6, r4
    sxtb16 r4, r4, ror #8
    sxtb16 r7, r5
    sxtb16 r5, r5, ror #8
    str r6, [r0], #32
    str r4, [r0, #-24]
    str r7, [r0, #-16]
    str r5, [r0, #-8]
    str r6, [r1], #32
    str r4, [r1, #-24]
    str r7, [r1, #-16]
    str r5, [r1, #-8]
    subs r3, r3, #1
    bne 3b
4:  add r2, r2, r8
    subs r9, r9, #1
    bne 1b
    add r2, r10, r11, lsl #2
    subs lr, lr, #1
    bne 0b
    pop {r4-r11, pc}
    .size rl_m4_widen_columns, . - rl_m4_widen_columns

    .global rl_m4_widen_one
    .type rl_m4_widen_one, %function
    .balign 4
rl_m4_widen_one:
    lsrs r2, r2, #1
    bcc 1f
    ldr r3, [r1], #4
    sxtb16 r12, r3
    sxtb16 r3, r3, ror #8
    str r12, [r0], #8
    str r3, [r0, #-4]
1:  cbz r2, 3f
    push {r4, lr}
2:  ldr r3, [r1], #8
    ldr r4, [r1, #-4]
    sxtb16 r12, r3
    sxtb16 r3, r3, ror #8
    sxtb16 lr, r4
    sxtb16 r4, r4, ror #8
    str r12, [r0], #16
    str r3, [r0, #-12]
    str lr, [r0, #-8]
    str r4, [r0, #-4]
    subs r2, r2, #1
    bne 2b
    pop {r4, pc}
3:  bx lr
    .size rl_m4_widen_one, . - rl_m4_widen_one

#endif
