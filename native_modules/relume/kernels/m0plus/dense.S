/* relume: sums over all inputs of a window, four channels at a time
 * (rl_m0_dense), and the pairs of inputs that they take (rl_m0_pairs). The
 * twins are in lists.c.
 *
 * Inputs a and b, weights as bytes v = w + offset in words A and B, z =
 * 0x8000 - offset (a + b) (2^16 + 1). A lane of
 *     P = a (A & 0x00ff00ff) + b (B & 0x00ff00ff) + z
 * is a w + b w' modulo 2^32, and 0x8000 more in the low one, which keeps it
 * from 0 to 65535: |a|, |b| <= 128 and |w| + |w'| <= 255 (proven by the
 * packer). So P >> 16 is the high product exactly. Kept are the sum of P and
 * that of P >> 16, as after a flush of the sparse way.
 *
 * 28 cycles for two inputs of four channels: 3.5 a multiplication; a turn of
 * the loop, four pairs, takes 4 more, a quad 60. A pair takes 14 cycles to
 * make, from bytes 16. */
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
        b       .Lquad_done
        .endm

        .equ    QUADS, 0         /* left */
        .equ    LANE, 4          /* of the next quad in its block */
        .equ    WEIGHTS, 8
        .equ    ENTRY, 12        /* of the loop, in the middle of a turn */
        .equ    BACK, 16         /* how far the weights are set back for it */
        .equ    START, 20
        .equ    ACC, 24
        .equ    FRAME, 32

        .section .time_critical.relume.dense, "ax", %progbits
        .balign 4
        .global rl_m0_dense
        .type   rl_m0_dense, %function
        .thumb_func
rl_m0_dense:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        sub     sp, #FRAME
        mov     lr, r0
        ldr     r1, [r0, #16]
        str     r1, [sp, #QUADS]
        ldr     r1, [r0, #4]
        str     r1, [sp, #WEIGHTS]
        ldr     r1, [r0, #8]
        str     r1, [sp, #START]
        ldr     r1, [r0, #12]
        str     r1, [sp, #ACC]
        movs    r1, #0
        str     r1, [sp, #LANE]
        ldr     r2, [r0, #24]    /* pairs */
        ldr     r3, [r0, #28]    /* row */
        ldr     r1, [r0, #0]
        movs    r4, #12
        muls    r4, r2
        adds    r4, r4, r1
        mov     r12, r4          /* end of the pairs */
        movs    r1, #0
        subs    r1, r1, r2
        movs    r2, #3
        ands    r1, r2           /* pairs of a turn that are left out */
        lsls    r2, r1, #1
        muls    r2, r3
        str     r2, [sp, #BACK]
        movs    r2, #46          /* bytes of code of a pair */
        muls    r1, r2
        adr     r2, .Leight
        cmp     r3, #8
        beq     1f
        ldr     r4, .Ltwelve_from_eight
        adds    r2, r2, r4
1:      adds    r1, r1, r2
        str     r1, [sp, #ENTRY]
        movs    r5, #255
        lsls    r4, r5, #16
        orrs    r5, r4
.Lquad:
        movs    r4, #0
        mov     r8, r4
        mov     r9, r4
        mov     r10, r4
        mov     r11, r4
        mov     r0, lr
        ldr     r0, [r0, #0]
        ldr     r1, [sp, #WEIGHTS]
        ldr     r2, [sp, #BACK]
        subs    r1, r1, r2
        ldr     r2, [sp, #ENTRY]
        mov     pc, r2
        .balign 4
.Ltwelve_from_eight:
        .word   .Ltwelve - .Leight
        .balign 4
.Leight:
        turn    8
        .balign 4
.Ltwelve:
        turn    12
.Lquad_done:
        ldr     r0, [sp, #START]
        ldr     r1, [sp, #ACC]
        ldm     r0!, {r2, r3, r4, r6}
        add     r2, r8
        add     r3, r9
        add     r4, r10
        add     r6, r11
        stm     r1!, {r2, r3, r4, r6}
        ldr     r2, [sp, #QUADS]
        subs    r2, #1
        beq     .Ldone
        str     r2, [sp, #QUADS]
        str     r0, [sp, #START]
        str     r1, [sp, #ACC]
        ldr     r0, [sp, #WEIGHTS]
        ldr     r1, [sp, #LANE]
        mov     r2, lr
        ldr     r3, [r2, #28]    /* row */
        adds    r0, #4
        adds    r1, #4
        cmp     r1, r3
        bne     1f
        ldr     r1, [r2, #20]    /* step */
        adds    r0, r0, r1
        subs    r0, r0, r3
        movs    r1, #0
1:      str     r0, [sp, #WEIGHTS]
        str     r1, [sp, #LANE]
        b       .Lquad
.Ldone:
        add     sp, #FRAME
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   rl_m0_dense, . - rl_m0_dense

        .global rl_m0_pairs
        .type   rl_m0_pairs, %function
        .thumb_func
rl_m0_pairs:                     /* r0 x, r1 to, r2 n, r3 offset */
        push    {r4-r7, lr}
        mov     r12, r2
        lsls    r5, r3, #16
        orrs    r5, r3           /* offset in both lanes */
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
        mov     r2, r12
        subs    r2, #1
        beq     2f
        mov     r12, r2
        asrs    r3, r7, #24
        lsls    r2, r7, #8
        asrs    r2, r2, #24
        adds    r4, r2, r3
        muls    r4, r5
        subs    r4, r6, r4
        stm     r1!, {r2, r3, r4}
        mov     r2, r12
        subs    r2, #1
        mov     r12, r2
        bne     1b
2:      pop     {r4-r7, pc}
        .size   rl_m0_pairs, . - rl_m0_pairs

        /* one pair of r2 and r3 */
        .macro  store_pair
        adds    r4, r2, r3
        muls    r4, r5
        subs    r4, r6, r4
        stm     r1!, {r2, r3, r4}
        .endm

        /* the next input; r7 = 1 */
        .macro  next_input reg
        ldrsb   \reg, [r0, r7]
        adds    r0, #1
        .endm

        .global rl_m0_pairs_of
        .type   rl_m0_pairs_of, %function
        .thumb_func
        /* r0 one before the next input, r8 - r0 inputs left of the row, r9
         * rows left, r10 bytes of a row, r11 from a row's end to the next */
rl_m0_pairs_of:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        ldm     r0!, {r1-r6}     /* x, to, rows, bytes, stride, offset */
        mov     r9, r3
        mov     r10, r4
        subs    r5, r5, r4
        mov     r11, r5
        subs    r0, r1, #1
        mov     r1, r2
        lsls    r5, r6, #16
        orrs    r5, r6
        movs    r6, #128
        lsls    r6, r6, #8
        movs    r7, #1
.Lfirst:                         /* a row, nothing waits */
        mov     r2, r10
        adds    r2, r2, r0
        mov     r8, r2
.Lpairs:
        mov     r2, r8
        subs    r2, r2, r0       /* inputs left of the row */
        cmp     r2, #2
        blo     .Lfew
1:      cmp     r2, #4
        blo     2f
        next_input r2
        next_input r3
        store_pair
        next_input r2
        next_input r3
        store_pair
        mov     r2, r8
        subs    r2, r2, r0
        b       1b
2:      cmp     r2, #2
        blo     .Lfew
        next_input r2
        next_input r3
        store_pair
        mov     r2, r8
        subs    r2, r2, r0
.Lfew:
        cmp     r2, #0
        beq     .Lrow_done
        next_input r2            /* waits for the next row */
        mov     r4, r9
        subs    r4, #1
        beq     .Llast
        mov     r9, r4
        add     r0, r11
        mov     r4, r10
        adds    r4, r4, r0
        mov     r8, r4
        next_input r3
        store_pair
        b       .Lpairs
.Lrow_done:
        mov     r4, r9
        subs    r4, #1
        beq     .Lall
        mov     r9, r4
        add     r0, r11
        b       .Lfirst
.Llast:
        movs    r3, #0
        store_pair
.Lall:
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   rl_m0_pairs_of, . - rl_m0_pairs_of

#endif
