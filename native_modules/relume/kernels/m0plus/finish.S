/* relume: requantisation without 64-bit products (rl_m0_finish_plain and
 * _corner; the twins are in lists.c, the constants and their proof in
 * host/relume/blob/layouts/m0plus_requant.py).
 *
 * d < 0 gives the low end of the clamp, which the whole quad is filled with
 * first: 7 cycles. Inside the staircase 18 cycles, 24 with a corner. Above
 * it, or where no constants exist, a call. A quad costs 20 more.
 *
 * r0 sums, r1 table, r2 y, r3 d, r4-r7 constants; r8 what is added to sums,
 * r9 low byte four times, r10 high byte, r11 end of y, r12 upper sum;
 * [sp] the argument. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .macro  channel at, corner, name
        .if     \at < 2
        ldm     r0!, {r3, r4}    /* sums of P and P >> 16 */
        mov     r12, r4
        lsls    r4, r4, #16
        subs    r3, r3, r4
        .else
        mov     r3, r12
        .endif
        add     r3, r8
        cmp     r3, #0
        blt     .Llow_\name\at
        ldm     r1!, {r4-r7}     /* a, b, c, limit */
        cmp     r3, r7
        bhs     .Lover_\name\at
        muls    r4, r3
        muls    r5, r3
        lsrs    r5, r5, #14
        adds    r4, r4, r5
        .if     \corner
        ldm     r1!, {r5, r7}
        cmp     r3, r5
        blo     8f
        mov     r6, r7
8:
        .endif
        adds    r4, r4, r6
        lsrs    r4, r4, #24
.Lput_\name\at:
        strb    r4, [r2, #\at]
.Lskip_\name\at:
        .endm

        .macro  aside at, corner, name
.Llow_\name\at:
        .if     \corner
        adds    r1, #24
        .else
        adds    r1, #16
        .endif
        b       .Lskip_\name\at
.Lover_\name\at:
        .if     \corner
        adds    r1, #8
        .endif
        bl      over
        b       .Lput_\name\at
        .endm

        .macro  finish name, corner
        .section .time_critical.relume.\name, "ax", %progbits
        .balign 4
        .global \name
        .type   \name, %function
        .thumb_func
\name:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        push    {r0, r1}
        mov     r7, r0
        ldm     r7!, {r0-r6}     /* acc, table, y, quads, add, low, high */
        lsls    r3, r3, #2
        adds    r3, r3, r2
        mov     r11, r3
        mov     r8, r4
        mov     r10, r6
        uxtb    r5, r5
        lsls    r6, r5, #8
        orrs    r5, r6
        lsls    r6, r5, #16
        orrs    r5, r6
        mov     r9, r5
.Lquad_\name:
        mov     r4, r9
        str     r4, [r2]
        channel 0, \corner, \name
        channel 2, \corner, \name
        channel 1, \corner, \name
        channel 3, \corner, \name
        adds    r2, #4
        cmp     r2, r11
        beq     .Lout_\name
        b       .Lquad_\name
.Lout_\name:
        pop     {r0, r1}
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        aside   0, \corner, \name
        aside   2, \corner, \name
        aside   1, \corner, \name
        aside   3, \corner, \name
        .size   \name, . - \name
        .endm

        .section .time_critical.relume.over, "ax", %progbits
        .thumb_func
over:                            /* r4 = output; keeps r0 to r3 */
        cmp     r7, #0
        beq     1f
        mov     r4, r10
        bx      lr
1:      mov     r5, r12
        push    {r0-r3, r5, lr}
        ldr     r0, [sp, #24]    /* the argument of the caller */
        mov     r1, r3
        mov     r2, r4
        bl      rl_m0_exact
        mov     r4, r0
        pop     {r0-r3, r5}
        mov     r12, r5
        pop     {pc}

        finish  rl_m0_finish_plain, 0
        finish  rl_m0_finish_corner, 1

#endif
