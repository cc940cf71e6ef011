/* relume: sums over all inputs of a window, four channels at a time
 * (rl_m0_dense4), and the pairs of inputs that they take (rl_m0_pairs). The
 * twins are in lists.c.
 *
 * Inputs a and b, weights as bytes v = w + 128 in words A and B, z = 0x8000
 * - 128 (a + b) (2^16 + 1). A lane of
 *     P = a (A & 0x00ff00ff) + b (B & 0x00ff00ff) + z
 * is a w + b w' modulo 2^32, and 0x8000 more in the low one, which keeps it
 * from 0 to 65535: |a|, |b| <= 128 and |w| + |w'| <= 255 (proven by the
 * packer). So P >> 16 is the high product exactly. Kept are the sum of P and
 * that of P >> 16; the low sum is the former minus the latter << 16.
 *
 * 28 cycles for two inputs of four channels: 3.5 a multiplication; a turn of
 * the loop, four pairs, takes 4 more. A pair takes 12 cycles to make. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        /* r0 pairs, r1 weights, r5 mask; sums of P and P >> 16: r8 r9 of
         * channels 0 and 2, r10 r11 of 1 and 3 */
        .macro  pair at, row
        ldm     r0!, {r2, r3, r4}
        ldr     r6, [r1, #(\at)]
        lsrs    r7, r6, #8
        ands    r7, r5
        muls    r7, r2
        adds    r7, r7, r4
        ands    r6, r5
        muls    r6, r2
        adds    r6, r6, r4
        ldr     r2, [r1, #(\at + \row)]
        lsrs    r4, r2, #8
        ands    r4, r5
        muls    r4, r3
        adds    r7, r7, r4
        ands    r2, r5
        muls    r2, r3
        adds    r6, r6, r2
        add     r8, r6
        asrs    r6, r6, #16
        add     r9, r6
        add     r10, r7
        asrs    r7, r7, #16
        add     r11, r7
        .endm

        .macro  turn row
1:      pair    0, \row
        pair    2 * \row, \row
        pair    4 * \row, \row
        pair    6 * \row, \row
        adds    r1, #(8 * \row)
        cmp     r0, r12
        bne     1b
        .endm

        .section .time_critical.relume.dense, "ax", %progbits
        .balign 4
        .global rl_m0_dense4
        .type   rl_m0_dense4, %function
        .thumb_func
rl_m0_dense4:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        mov     lr, r0
        ldr     r2, [r0, #24]    /* pairs */
        ldr     r3, [r0, #28]    /* row */
        ldr     r1, [r0, #4]     /* w */
        ldr     r0, [r0, #0]     /* inputs */
        movs    r4, #12
        muls    r2, r4
        adds    r2, r2, r0
        mov     r12, r2
        movs    r5, #255
        lsls    r4, r5, #16
        orrs    r5, r4
        movs    r4, #0
        mov     r8, r4
        mov     r9, r4
        mov     r10, r4
        mov     r11, r4
        cmp     r3, #12
        beq     .Ltwelve
        turn    8
        b       .Ldone
.Ltwelve:
        turn    12
.Ldone:
        mov     r0, lr
        ldr     r1, [r0, #8]     /* start */
        ldr     r0, [r0, #12]    /* acc */
        ldm     r1!, {r2-r5}
        mov     r6, r9
        add     r3, r9
        lsls    r6, r6, #16
        mov     r7, r8
        subs    r7, r7, r6
        adds    r2, r2, r7
        mov     r6, r11
        add     r5, r11
        lsls    r6, r6, #16
        mov     r7, r10
        subs    r7, r7, r6
        adds    r4, r4, r7
        stm     r0!, {r2-r5}
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   rl_m0_dense4, . - rl_m0_dense4

        .global rl_m0_pairs
        .type   rl_m0_pairs, %function
        .thumb_func
rl_m0_pairs:                     /* r0 x, 4-byte aligned; r1 to; r2 n, even */
        push    {r4-r7, lr}
        mov     r12, r2
        movs    r5, #128
        lsls    r6, r5, #16
        orrs    r5, r6           /* 0x00800080 */
        movs    r6, #128
        lsls    r6, r6, #8       /* 0x8000 */
1:      ldm     r0!, {r7}
        sxtb    r2, r7
        lsrs    r3, r7, #8
        sxtb    r3, r3
        adds    r4, r2, r3
        muls    r4, r5
        subs    r4, r6, r4
        stm     r1!, {r2, r3, r4}
        asrs    r3, r7, #24
        lsls    r2, r7, #8
        asrs    r2, r2, #24
        adds    r4, r2, r3
        muls    r4, r5
        subs    r4, r6, r4
        stm     r1!, {r2, r3, r4}
        mov     r2, r12
        subs    r2, #2
        mov     r12, r2
        bne     1b
        pop     {r4-r7, pc}
        .size   rl_m0_pairs, . - rl_m0_pairs

#endif
