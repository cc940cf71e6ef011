/* relume: ADD by two tables, Cortex-M4 (twin in add.c): 36 cycles for four
 * outputs, 11 of them loads of the tables' words. */
#include "asm.h"

#if RL_M4_ASM

    .syntax unified
    .thumb
#ifdef RL_HOT /* the firmware: in SRAM */
    .section .time_critical.relume, "ax", %progbits
#else
    .text
#endif

    .global rl_m4_add_words
    .type rl_m4_add_words, %function
    .balign 4
rl_m4_add_words:
    push {r4-r11, lr}
    ldr lr, [sp, #36]           /* n */
    add r12, r3, #1024
1:  ldr r4, [r1], #4
    ldr r5, [r2], #4
    uxtb r6, r4
    uxtb r7, r5
    ubfx r8, r4, #8, #8
    ubfx r9, r5, #8, #8
    ldr r6, [r3, r6, lsl #2]
    ldr r7, [r12, r7, lsl #2]
    ldr r8, [r3, r8, lsl #2]
    ldr r9, [r12, r9, lsl #2]
    ubfx r10, r4, #16, #8
    ubfx r11, r5, #16, #8
    lsr r4, r4, #24
    lsr r5, r5, #24
    ldr r10, [r3, r10, lsl #2]
    ldr r11, [r12, r11, lsl #2]
    ldr r4, [r3, r4, lsl #2]
    ldr r5, [r12, r5, lsl #2]
    add r6, r6, r7
    add r8, r8, r9
    add r10, r10, r11
    add r4, r4, r5
    ssat r6, #8, r6, asr #20
    ssat r8, #8, r8, asr #20
    ssat r10, #8, r10, asr #20
    ssat r4, #8, r4, asr #20
    strb r6, [r0], #4
    strb r8, [r0, #-3]
    strb r10, [r0, #-2]
    strb r4, [r0, #-1]
    subs lr, lr, #1
    bne 1b
    pop {r4-r11, pc}
    .size rl_m4_add_words, . - rl_m4_add_words

#endif
