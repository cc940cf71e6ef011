/* relume: sums of channels taken apart and requantised (rl_m0_finish_plain
 * and _corner; the twins are in lists.c, the constants and their proof in
 * host/relume/blob/layouts/m0plus_requant.py).
 *
 * A quad's sums are
 *     all    = S0 + 2^8 S1 + 2^16 S2 + 2^24 S3
 *     turned = S1 + 2^8 S0 + 2^16 S3 + 2^24 S2      modulo 2^32
 *     upper  = S2 + 2^8 S3
 * with every S from -2^23 to 2^23 - 1. With L = all - 2^16 upper = S0 +
 * 2^8 S1, turned - 2^8 L - 2^24 upper = S1 + 2^16 (S3 - S1): its low half is
 * that of S1, so 2^16 times it is 2^16 S1, and 2^8 L less that is 2^8 S0. L
 * less S0 is 2^8 S1. The other two likewise, all modulo 2^32.
 *
 * d < 0 gives the low end of the clamp, which the whole quad is filled with
 * first: 7 cycles. Inside the staircase 18 cycles, 24 with a corner. Above
 * it, or where no constants exist, a call. A quad costs 34 more.
 *
 * r0 sums, r1 table, r2 y, r3 d, r4-r7 constants; r8 what is added to sums,
 * r9 r10 r12 sums that wait, r11 end of y, lr what is added to upper; [sp] the
 * argument. */
#if defined(__ARM_ARCH_6M__)

#include "thumb.h"

        .equ    LOW, 0
        .equ    HIGH, 4
        .equ    UPPER, 8
        .equ    CALLER, 12       /* the argument */
        .equ    FRAME, 16

        .macro  channel at, corner, name
        bmi     .Llow_\name\at
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
        begin   \name
        sub     sp, #FRAME
        str     r0, [sp, #CALLER]
        ldr     r7, [r0, #28]    /* add_upper */
        str     r7, [sp, #UPPER]
        mov     lr, r7
        ldm     r0!, {r1-r7}     /* sums, table, y, quads, add, low, high */
        str     r6, [sp, #LOW]
        str     r7, [sp, #HIGH]
        mov     r8, r5
        lsls    r4, r4, #2
        adds    r4, r4, r3
        mov     r11, r4
        mov     r0, r1
        mov     r1, r2
        mov     r2, r3
.Lquad_\name:
        ldr     r4, [sp, #LOW]
        str     r4, [r2]
        ldm     r0!, {r3, r4, r5}
        add     r3, r8
        add     r4, r8
        add     r5, lr
        lsls    r6, r5, #16
        subs    r3, r3, r6       /* L */
        lsls    r6, r3, #8
        subs    r4, r4, r6
        lsls    r7, r5, #24
        subs    r4, r4, r7       /* S1 + 2^16 (S3 - S1) */
        lsls    r7, r4, #16
        subs    r6, r6, r7
        asrs    r6, r6, #8       /* S0 */
        subs    r3, r3, r6
        asrs    r3, r3, #8       /* S1 */
        mov     r9, r3
        subs    r4, r4, r3
        lsls    r3, r3, #16
        adds    r4, r4, r3       /* 2^16 S3 */
        lsls    r3, r5, #8
        subs    r3, r3, r4
        asrs    r3, r3, #8       /* S2 */
        mov     r10, r3
        subs    r5, r5, r3
        asrs    r5, r5, #8       /* S3 */
        mov     r12, r5
        movs    r3, r6
        channel 0, \corner, \name
        mov     r3, r9
        cmp     r3, #0
        channel 1, \corner, \name
        mov     r3, r10
        cmp     r3, #0
        channel 2, \corner, \name
        mov     r3, r12
        cmp     r3, #0
        channel 3, \corner, \name
        adds    r2, #4
        cmp     r2, r11
        bne     .Lquad_\name
        add     sp, #FRAME
        leave
        aside   0, \corner, \name
        aside   1, \corner, \name
        aside   2, \corner, \name
        aside   3, \corner, \name
        .size   \name, . - \name
        .endm

        .section .time_critical.relume.over, "ax", %progbits
        .thumb_func
over:                            /* r4 = output; keeps r0 to r3, r12, lr */
        mov     r6, lr
        ldr     r5, [sp, #UPPER]
        mov     lr, r5
        cmp     r7, #0
        beq     1f
        ldr     r4, [sp, #HIGH]
        bx      r6
1:      mov     r7, r12
        push    {r0-r3, r5-r7}
        ldr     r0, [sp, #(28 + CALLER)]
        mov     r1, r3
        mov     r2, r4
        bl      rl_m0_exact
        mov     r4, r0
        pop     {r0-r3, r5-r7}
        mov     lr, r5
        mov     r12, r7
        bx      r6

        finish  rl_m0_finish_plain, 0
        finish  rl_m0_finish_corner, 1

#endif
