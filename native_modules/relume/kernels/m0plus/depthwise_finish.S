/* relume: requantisation of a depthwise convolution (see depthwise.h; the twin
 * is in depthwise_finish.c).
 *
 * Cycles: 95 a call, 17 a column, 5 a pair; of each output 5 below the
 * staircase, inside 15 (free 13, short 11, both 9), with a corner 18 or 25. */
#if defined(__ARM_ARCH_6M__)

#include "thumb.h"

/* One output; r4 and r5 are free. kind: RL_M0_DW_FREE 1, _SHORT 2, _CORNER 4. */
        .macro  output name, lane, load, at, kind, offset
        \load   r4, [r0, #\at]
        subs    r4, r4, r7
        blt     .Lbelow_\name\lane
        .if     (\kind & 1) == 0
        cmp     r4, r8
        bhs     .Labove_\name\lane
        .endif
        .if     (\kind & 2) == 0
        movs    r5, r4
        muls    r5, r6
        lsrs    r5, r5, #14
        .endif
        .if     \kind & 4
        cmp     r4, lr
        blo     8f
        ldr     r3, [sp, #16]
        adds    r5, r5, r3
        ldr     r3, [sp, #24]
8:
        .endif
        muls    r4, r2
        .if     (\kind & 2) == 0
        adds    r4, r4, r5
        .endif
        add     r4, r9
        lsrs    r4, r4, #24
.Lput_\name\lane:
        strb    r4, [r1, \offset]
.Lbelow_\name\lane:
        .endm

/* r0 s, r1 y, r2 a, r3 y_lane, r6 b, r7 origin; r8 limit, r9 c, r10 y_row, r11
 * end of the column of sums, r12 s_row, lr corner. [sp]: columns, s_skip,
 * y_skip, high, delta, s_height, y_lane. */
        .macro  variant name, load, size, kind
.Lcolumn_\name:
        ldr     r4, [sp, #20]
        add     r4, r0
        mov     r11, r4
.Lpair_\name:
        output  \name, 0, \load, 0, \kind, #0
        output  \name, 1, \load, \size, \kind, r3
        add     r0, r12
        add     r1, r10
        cmp     r0, r11
        bne     .Lpair_\name
        ldr     r4, [sp, #4]
        adds    r0, r0, r4
        ldr     r4, [sp, #8]
        adds    r1, r1, r4
        ldr     r4, [sp, #0]
        subs    r4, #1
        str     r4, [sp, #0]
        bne     .Lcolumn_\name
        b       .Lout
        .if     (\kind & 1) == 0
.Labove_\name\()0:
        ldr     r4, [sp, #12]
        b       .Lput_\name\()0
.Labove_\name\()1:
        ldr     r4, [sp, #12]
        b       .Lput_\name\()1
        .endif
        .endm

        begin   rl_m0_dw_finish
        sub     sp, #28
        lsls    r1, r1, #1
        mov     r11, r1
        ldm     r0!, {r1-r7}     /* s, y, y_lane, y_row, s_row, table, start */
        str     r3, [sp, #24]
        mov     r8, r1
        mov     r9, r2
        mov     r10, r4
        mov     r12, r5
        ldm     r0!, {r1, r2, r4, r5} /* columns, s_skip, y_skip, high */
        str     r1, [sp, #0]
        str     r2, [sp, #4]
        str     r4, [sp, #8]
        str     r5, [sp, #12]
        ldr     r1, [r0]         /* s_height */
        str     r1, [sp, #20]
        ldm     r6!, {r0-r2, r4, r5} /* a, b, c, limit, origin */
        adds    r7, r7, r5
        mov     r5, r8
        mov     r8, r4
        mov     r4, r9
        mov     r9, r2
        mov     r2, r0
        mov     r0, r5
        mov     r5, r6
        mov     r6, r1
        mov     r1, r4
        mov     r4, r11
        add     pc, r4
        nop
        b       .Lcolumn_plain
        b       .Lcolumn_free
        b       .Lcolumn_short
        b       .Lcolumn_lean
        b       .Lcorner
        b       .Lcolumn_wide
        b       .Lcolumn_wide_free
        b       .Lcolumn_wide_short
        b       .Lcolumn_wide_lean
        b       .Lcorner_wide

        .macro  corner           /* lr, delta = c' - c */
        ldm     r5!, {r4}
        mov     lr, r4
        ldr     r4, [r5]
        mov     r5, r9
        subs    r4, r4, r5
        str     r4, [sp, #16]
        .endm

        variant plain, ldrh, 2, 0
        variant free, ldrh, 2, 1
        variant short, ldrh, 2, 2
        variant lean, ldrh, 2, 3
        variant wide, ldr, 4, 0
        variant wide_free, ldr, 4, 1
        variant wide_short, ldr, 4, 2
        variant wide_lean, ldr, 4, 3
.Lcorner:
        corner
        variant corner, ldrh, 2, 4
.Lcorner_wide:
        corner
        variant corner_wide, ldr, 4, 4
.Lout:  add     sp, #28
        finis   rl_m0_dw_finish

#endif
