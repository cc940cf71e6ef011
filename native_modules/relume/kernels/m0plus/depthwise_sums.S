/* relume: sums of a depthwise convolution in words of two lanes (see
 * depthwise.h; the twins are in depthwise_sums.c, the bounds in
 * depthwise_channel.c).
 *
 * Cycles of two outputs (a pair): narrow 44 (stride 1) or 52 (stride 2), split
 * 56; the rolling sums of narrow and split cost 40 more for a column. taps: 14
 * a pair, 12 a group, 7 a tap. */
#if defined(__ARM_ARCH_6M__)

#include "thumb.h"

/* ------------------------------------------------------------------ narrow */

/* Three inputs of a row; a row of the filter times them, in r3. */
        .macro  inputs
        ldr     r0, [r6, #0]
        ldr     r1, [r6, #16]
        ldr     r2, [r6, #32]
        .endm

        .macro  times
        ldm     r7!, {r3-r5}
        muls    r3, r0
        muls    r4, r1
        muls    r5, r2
        adds    r3, r3, r4
        adds    r3, r3, r5
        .endm

/* A column of outputs, stride 1: row r of the input ends output r - 2 (a), goes
 * on with r - 1 (b) and begins r (c). The first two rows end none, the last two
 * begin none. emit makes a sum of r3 and its argument. */
        .macro  phase emit, a, b, c
        inputs
        times
        mov     \c, r3
        times
        add     \b, r3
        times
        \emit   \a
        add     r6, r11
        .endm

/* r0-r2 inputs, r3-r5 weights, r6 x, r7 w; r8-r10 sums under way, r11 x_row,
 * r12 the last row but one. [sp]: columns, span, x, rows to the first turn of the
 * loop, which takes three. r6 = rows >= 2. */
        .macro  rolling name, emit
        sub     sp, #16
        str     r7, [sp, #0]
        subs    r7, r6, #2
1:      subs    r7, #3
        bpl     1b
        adds    r7, #3
        str     r7, [sp, #12]
        muls    r6, r5
        str     r6, [sp, #4]
        mov     r11, r5
        mov     r7, r4
        mov     r6, r3
.Lcolumn_\name:
        str     r6, [sp, #8]
        ldr     r3, [sp, #4]
        add     r3, r6
        mov     r12, r3
        inputs
        times
        mov     r8, r3
        add     r6, r11
        subs    r7, #12
        inputs
        times
        mov     r9, r3
        times
        add     r8, r3
        add     r6, r11
        subs    r7, #24
        ldr     r3, [sp, #12]
        cmp     r3, #1
        bhi     3f
        beq     4f
        cmp     r6, r12
        bne     .Lrows_\name
        b       .Ltail_\name
3:      mov     r10, r9
        mov     r9, r8
        b       2f
4:      mov     r10, r8
        mov     r8, r9
        b       1f
.Lrows_\name:
        phase   \emit, r8, r9, r10
2:      phase   \emit, r9, r10, r8
1:      phase   \emit, r10, r8, r9
        cmp     r6, r12
        .ifc    \emit, emit_narrow
        bne     .Lrows_\name
        .else
        beq     .Ltail_\name
        b       .Lrows_\name
        .endif
.Ltail_\name:
        adds    r7, #12
        inputs
        times
        add     r9, r3
        times
        \emit   r8
        adds    r7, #24
        add     r6, r11
        inputs
        times
        \emit   r9
        ldr     r6, [sp, #8]
        adds    r6, #16
        ldr     r3, [sp, #0]
        subs    r3, #1
        str     r3, [sp, #0]
        beq     1f
        b       .Lcolumn_\name
1:      add     sp, #16
        .endm

        .macro  emit_narrow a
        add     r3, \a
        add     r3, lr
        str     r3, [r6, #0]
        subs    r7, #36
        .endm

        begin   rl_m0_dw_narrow1 /* lr start */
        ldm     r0!, {r3-r7}     /* x, w, x_row, rows, columns */
        ldr     r1, [r0]
        mov     lr, r1
        rolling one, emit_narrow
        finis   rl_m0_dw_narrow1

/* As above; r8 the sum under way, r9 -16 * column. */
        begin   rl_m0_dw_narrow2
        ldm     r0!, {r3-r7}     /* x, w, x_row, rows, columns */
        ldr     r1, [r0]
        mov     lr, r1
        mov     r11, r5
        lsls    r6, r6, #1
        adds    r6, #1
        muls    r6, r5
        sub     sp, #12
        str     r7, [sp, #0]
        str     r6, [sp, #4]
        movs    r7, #0
        mov     r9, r7
        mov     r7, r4
        mov     r6, r3
.Ltwo_column:
        str     r6, [sp, #8]
        ldr     r3, [sp, #4]
        add     r3, r6
        mov     r12, r3
        inputs
        times
        mov     r8, r3
        add     r6, r11
.Ltwo:
        inputs
        times
        add     r8, r3
        add     r6, r11
        inputs
        times
        add     r3, r8
        add     r3, lr
        mov     r4, r9
        str     r3, [r6, r4]
        subs    r7, #36
        times
        mov     r8, r3
        add     r6, r11
        cmp     r6, r12
        bne     .Ltwo
        subs    r7, #12
        mov     r6, r9
        subs    r6, #16
        mov     r9, r6
        ldr     r6, [sp, #8]
        adds    r6, #32
        ldr     r3, [sp, #0]
        subs    r3, #1
        str     r3, [sp, #0]
        bne     .Ltwo_column
        add     sp, #12
        finis   rl_m0_dw_narrow2

/* ------------------------------------------------------------------- split */

/* Row 2 of the filter is not added to the other rows' lanes before they are
 * taken apart. */
        .macro  emit_split a
        ldm     r7!, {r0, r1}
        adds    r3, r3, r1
        mov     r4, \a
        adds    r4, r4, r0
        uxth    r0, r3
        uxth    r1, r4
        adds    r0, r0, r1
        lsrs    r3, r3, #16
        lsrs    r4, r4, #16
        adds    r1, r3, r4
        mov     r3, lr
        stm     r3!, {r0, r1}
        mov     lr, r3
        subs    r7, #44
        .endm

        begin   rl_m0_dw_split1  /* lr sums */
        ldm     r0!, {r3-r7}     /* x, w, x_row, rows, columns */
        ldr     r1, [r0, #4]
        mov     lr, r1
        rolling split, emit_split
        finis   rl_m0_dw_split1

/* -------------------------------------------------------------------- taps */

/* r0, r1 sums of lanes 0 and 1, r2 lanes of a group, r6 x, r7 table; r8 end of
 * the table, r9 y_row, r10 table, r11 sums, r12 end of the column of sums.
 * [sp]: columns, rows * 8, x_column, x. */
        begin   rl_m0_dw_taps
        sub     sp, #16
        ldm     r0!, {r1-r7}     /* x, w, x_row, rows, columns, start, sums */
        mov     r10, r2
        mov     r11, r7
        lsls    r4, r4, #3
        str     r5, [sp, #0]
        str     r4, [sp, #4]
        str     r1, [sp, #12]
        ldm     r0!, {r2-r4}     /* x_column, y_row, end */
        str     r2, [sp, #8]
        mov     r9, r3
        mov     r8, r4
.Ltaps_column:
        ldr     r6, [sp, #12]
        ldr     r3, [sp, #4]
        add     r3, r11
        mov     r12, r3
.Ltaps_window:
        movs    r0, #0
        movs    r1, #0
        mov     r7, r10
.Ltaps_group:
        ldm     r7!, {r2, r5}
        add     pc, r5
        nop                      /* pc reads as four bytes further on */
        .rept   9                /* RL_M0_DW_GROUP */
        ldm     r7!, {r3, r4}
        ldr     r4, [r6, r4]
        muls    r3, r4
        adds    r2, r2, r3
        .endr
        uxth    r3, r2
        adds    r0, r0, r3
        lsrs    r2, r2, #16
        adds    r1, r1, r2
        cmp     r7, r8
        bne     .Ltaps_group
        mov     r5, r11
        stm     r5!, {r0, r1}
        mov     r11, r5
        add     r6, r9
        cmp     r5, r12
        bne     .Ltaps_window
        ldr     r6, [sp, #12]
        ldr     r3, [sp, #8]
        adds    r6, r6, r3
        str     r6, [sp, #12]
        ldr     r3, [sp, #0]
        subs    r3, #1
        str     r3, [sp, #0]
        bne     .Ltaps_column
        add     sp, #16
        finis   rl_m0_dw_taps

#endif
