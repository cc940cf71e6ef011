/* relume: ADD (see add.h; the twin is in add.c).
 *
 * 19 cycles an output, 1 more at the low end of the clamp, 2 at the high end.
 *
 * r0 end of a, r1 of b, r2 of y, r3 minus what is left, r4 by_a, r5 and r6
 * terms, r7 by_b; r8 start, r9 low, r10 high, r11 shift. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .section .time_critical.relume.rl_m0_add, "ax", %progbits
        .balign 4
        .global rl_m0_add
        .type   rl_m0_add, %function
        .thumb_func
rl_m0_add:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        ldm     r0!, {r1-r7}     /* a, b, y, n, by_a, by_b, start */
        mov     r8, r7
        mov     r7, r6
        mov     r6, r0
        adds    r0, r1, r4
        adds    r1, r2, r4
        adds    r2, r3, r4
        negs    r3, r4
        mov     r4, r5
        ldr     r5, [r6, #0]     /* shift, low, high */
        mov     r11, r5
        ldr     r5, [r6, #4]
        mov     r9, r5
        ldr     r5, [r6, #8]
        mov     r10, r5
1:      ldrsb   r5, [r0, r3]
        ldrsb   r6, [r1, r3]
        muls    r5, r4
        muls    r6, r7
        adds    r5, r5, r6
        add     r5, r8
        mov     r6, r11
        asrs    r5, r5, r6
        cmp     r5, r9
        blt     3f
        cmp     r5, r10
        bgt     4f
2:      strb    r5, [r2, r3]
        adds    r3, #1
        bne     1b
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
3:      mov     r5, r9
        b       2b
4:      mov     r5, r10
        b       2b
        .size   rl_m0_add, . - rl_m0_add

#endif
