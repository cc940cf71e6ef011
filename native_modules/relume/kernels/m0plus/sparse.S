/* relume: sums over the non-zero inputs of a window, 8 channels at a time
 * (rl_m0_sparse, rl_m0_narrow; the twin is in lists.c).
 *
 * The weights of four channels are bytes v = w + offset of a word W. Kept
 * are, modulo 2^32,
 *     all += u W     turned += u rev16(W)     upper += u (W >> 16)
 * from which rl_m0_finish takes the four sums apart: nothing overflows.
 *
 * Narrow: while each S is below 2^16 two of them are enough, and upper is made
 * of these: P = all - 2^8 turned = S0 + 2^16 (S2 - S0), so S2 is the upper
 * half of P + 2^16 P; S3 likewise.
 *
 * Cycles of an entry (u, offset): LDM 3, ADD 1, LDM of two words 3, and 8 a
 * quad: 23; narrow 5 a quad: 17. Of a run: 21, and 4 for each RUN entries
 * more. Of a block: 60, narrow 90.
 *
 * r0 list, r1 u, r2 weights, r3 next run, r4 product, r5 second word, r6
 * entries left, r7 base; r8 r9 r10 and r11 r12 lr: all, turned, upper. */
#if defined(__ARM_ARCH_6M__)

#include "thumb.h"

        .equ    RUNS, 0
        .equ    START, 4
        .equ    SUMS, 8
        .equ    WEIGHTS, 12      /* of the block */
        .equ    STEP, 16
        .equ    END, 20          /* of the weights of all */
        .equ    FRAME, 24
        .equ    RUN, 16          /* a power of 2 */

        .macro  quad w, all, turned, upper
        rev16   r4, \w
        muls    r4, r1
        add     \turned, r4
        .ifnb   \upper
        lsrs    r4, \w, #16
        muls    r4, r1
        add     \upper, r4
        .endif
        muls    \w, r1
        add     \all, \w
        .endm

        /* narrow: a quad's sums without their start; r0 start, r7 sums */
        .macro  widen all, turned
        mov     r1, \all
        mov     r2, \turned
        lsls    r3, r2, #8
        subs    r3, r1, r3
        lsls    r4, r3, #16
        adds    r3, r3, r4
        lsrs    r3, r3, #16      /* S2 */
        lsls    r4, r1, #8
        subs    r4, r2, r4
        lsls    r5, r4, #16
        adds    r4, r4, r5
        lsrs    r4, r4, #16      /* S3 */
        lsls    r4, r4, #8
        adds    r3, r3, r4
        ldm     r0!, {r4, r5, r6}
        adds    r1, r1, r4
        adds    r2, r2, r5
        adds    r3, r3, r6
        stm     r7!, {r1, r2, r3}
        .endm

        .macro  sums name, narrow
        begin   \name
        sub     sp, #FRAME
        ldm     r0!, {r1-r6}     /* runs, w, start, sums, blocks, step */
        mov     r0, sp
        stm     r0!, {r1, r3, r4}
        muls    r5, r6
        adds    r5, r5, r2
        mov     r1, r2
        mov     r2, r6
        mov     r3, r5
        stm     r0!, {r1-r3}
.Lblock_\name:
        .if     \narrow
        movs    r1, #0
        mov     r8, r1
        mov     r9, r1
        mov     r10, r1
        mov     r11, r1
        .else
        ldr     r0, [sp, #START]
        ldm     r0!, {r1-r6}
        str     r0, [sp, #START]
        mov     r8, r1
        mov     r9, r2
        mov     r10, r3
        mov     r11, r4
        mov     r12, r5
        mov     lr, r6
        .endif
        ldr     r3, [sp, #RUNS]
        b       .Lstep_\name
.Lrun_\name:
        .rept   RUN
        ldm     r0!, {r1, r2}
        adds    r2, r2, r7
        ldm     r2, {r2, r5}
        .if     \narrow
        quad    r2, r8, r9
        quad    r5, r10, r11
        .else
        quad    r2, r8, r9, r10
        quad    r5, r11, r12, lr
        .endif
        .endr
.Lnext_\name:                          /* RUN entries end here */
        subs    r6, #RUN
        blt     .Lstep_\name
        b       .Lrun_\name
.Lstep_\name:
        ldm     r3!, {r0, r6, r7}
        cmp     r6, #0
        blt     .Lend_\name
        ldr     r4, [sp, #WEIGHTS]
        adds    r7, r7, r4
        movs    r5, #(RUN - 1)
        ands    r5, r6           /* entries of no whole RUN come first */
        .if     \narrow
        movs    r4, #26          /* bytes of code of an entry */
        .else
        movs    r4, #38
        .endif
        muls    r4, r5
        mov     r5, pc           /* the address of .Lhere_\name */
        subs    r5, r5, r4
.Lhere_\name:
        subs    r5, #(.Lhere_\name - .Lnext_\name)
        mov     pc, r5
.Lend_\name:
        .if     \narrow
        ldr     r0, [sp, #START]
        ldr     r7, [sp, #SUMS]
        widen   r8, r9
        widen   r10, r11
        str     r0, [sp, #START]
        str     r7, [sp, #SUMS]
        .else
        ldr     r0, [sp, #SUMS]
        mov     r1, r8
        mov     r2, r9
        mov     r3, r10
        mov     r4, r11
        mov     r5, r12
        mov     r6, lr
        stm     r0!, {r1-r6}
        str     r0, [sp, #SUMS]
        .endif
        add     r0, sp, #WEIGHTS
        ldm     r0!, {r1-r3}
        adds    r1, r1, r2
        str     r1, [sp, #WEIGHTS]
        cmp     r1, r3
        beq     .Lout_\name
        b       .Lblock_\name
.Lout_\name:
        add     sp, #FRAME
        finis   \name
        .endm

        sums    rl_m0_sparse, 0
        sums    rl_m0_narrow, 1

#endif
