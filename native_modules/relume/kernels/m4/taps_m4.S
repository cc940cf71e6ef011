/* relume: DEPTHWISE_CONV_2D of any filter, Cortex-M4 (twin in taps.c).
 *
 * Four channels of one output pixel at a time. A tap is a word of four input
 * bytes and two words of weights, (w0, w2) and (w1, w3):
 *   SXTB16 x -> (x0, x2)      SMLABB s0, SMLATT s2
 *   SXTB16 x ROR 8 -> (x1, x3)   SMLABB s1, SMLATT s3
 * 14 cycles for 4 MACs, about 80 for the four outputs on top. */
#include "asm.h"

#if RL_M4_ASM

    .syntax unified
    .thumb
#ifdef RL_HOT /* the firmware: in SRAM */
    .section .time_critical.relume, "ax", %progbits
#else
    .text
#endif

    .equ T_X, 0
    .equ T_X_COLUMN, 4
    .equ T_X_ROW, 8
    .equ T_W, 12
    .equ T_TABLE, 16
    .equ T_Y, 20
    .equ T_COLUMNS, 24
    .equ T_ROWS, 28
    .equ T_BLOCKS, 32

    .equ F_X, 0
    .equ F_TABLE, 4
    .equ F_Y, 8
    .equ F_BLOCKS, 12
    .equ F_GAP, 16      /* from the end of a row of taps to the next row */
    .equ FRAME, 20

/* r9: the table, on to the next channel. */
    .macro BYTE_OF sum
    ldm r9!, {r2, r3, r10}
    lsl \sum, \sum, #1
    smmulr \sum, \sum, r2
    add \sum, \sum, \sum, asr #31
    add \sum, \sum, r3
    asr \sum, \sum, r10
    ssat \sum, #8, \sum
    .endm

    .global rl_m4_taps
    .type rl_m4_taps, %function
    .balign 4
rl_m4_taps:
    push {r4-r11, lr}
    sub sp, #FRAME
    mov lr, r0
    ldr r1, [lr, #T_W]
    ldr r2, [lr, #T_X]
    ldr r3, [lr, #T_TABLE]
    ldr r4, [lr, #T_Y]
    ldr r5, [lr, #T_BLOCKS]
    ldr r6, [lr, #T_X_ROW]
    ldr r7, [lr, #T_COLUMNS]
    ldr r8, [lr, #T_X_COLUMN]
    str r2, [sp, #F_X]
    str r3, [sp, #F_TABLE]
    str r4, [sp, #F_Y]
    str r5, [sp, #F_BLOCKS]
    mls r6, r7, r8, r6
    str r6, [sp, #F_GAP]
.Ltaps_block:
    ldr r9, [sp, #F_TABLE]
    ldr r0, [sp, #F_X]
    ldr r3, [lr, #T_ROWS]
    ldm r9!, {r4-r7}
    add r2, r0, #4
    str r9, [sp, #F_TABLE]
    str r2, [sp, #F_X]
.Ltaps_row:
    ldr r2, [lr, #T_COLUMNS]
.Ltaps_tap:
    ldr r9, [r0]
    ldr r10, [r1], #8
    ldr r11, [r1, #-4]
    add r0, r0, r8
    sxtb16 r12, r9
    sxtb16 r9, r9, ror #8
    smlabb r4, r12, r10, r4
    smlatt r6, r12, r10, r6
    smlabb r5, r9, r11, r5
    smlatt r7, r9, r11, r7
    subs r2, r2, #1
    bne .Ltaps_tap
    ldr r9, [sp, #F_GAP]
    subs r3, r3, #1
    add r0, r0, r9
    bne .Ltaps_row

    ldr r9, [sp, #F_TABLE]
    ldr r0, [sp, #F_Y]
    BYTE_OF r4
    BYTE_OF r5
    BYTE_OF r6
    BYTE_OF r7
    ldr r2, [sp, #F_BLOCKS]
    strb r4, [r0], #4
    strb r5, [r0, #-3]
    strb r6, [r0, #-2]
    strb r7, [r0, #-1]
    str r9, [sp, #F_TABLE]
    str r0, [sp, #F_Y]
    subs r2, r2, #1
    str r2, [sp, #F_BLOCKS]
    bne .Ltaps_block
    add sp, #FRAME
    pop {r4-r11, pc}
    .size rl_m4_taps, . - rl_m4_taps

#endif
