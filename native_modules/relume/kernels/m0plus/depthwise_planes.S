/* relume: DEPTHWISE_CONV_2D 3 x 3 in words of two lanes (see depthwise.h; the
 * twins are in depthwise_planes.c, the bounds in depthwise.c).
 *
 * Cycles: weave 33 for two inputs of four channels. Of two outputs (a pair):
 * narrow 44 (stride 1) or 52 (stride 2), split 56, rows 80, wide 108; the rolling sums of
 * narrow and split cost 40 more for a column. above 5 a word. finish 5 and, of
 * each output, 5 below the staircase, inside 15 (free 13, short 11, both 9),
 * with a corner 18 or 25. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .macro  begin name
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
        .endm

        .macro  finis name
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   \name, . - \name
        .endm

/* ------------------------------------------------------------------- weave */

/* r0 to, r1 a, r2 b, r3-r6 words, r7 0x00ff00ff; r9 0x80808080, r10 end of the
 * row, r11 what was ored, r12 a_step, lr b_step. [sp]: columns * 16, rows, a_skip,
 * b_skip, to_skip. Halfwords change places first: (a3 a2 a1 a0), (b3 b2 b1 b0)
 * to (b1 b0 a1 a0), (b3 b2 a3 a2); then even and odd bytes are taken apart. */
        begin   rl_m0_dw_weave
        sub     sp, #20
        mov     r7, r0
        adds    r7, #28
        ldm     r7!, {r4-r6}
        str     r4, [sp, #8]
        str     r5, [sp, #12]
        str     r6, [sp, #16]
        ldm     r0!, {r1-r7}     /* to, a, b, columns, rows, steps */
        mov     r12, r6
        mov     lr, r7
        lsls    r4, r4, #4
        str     r4, [sp, #0]
        str     r5, [sp, #4]
        mov     r0, r1
        mov     r1, r2
        mov     r2, r3
        movs    r3, #128
        lsls    r5, r3, #8
        orrs    r3, r5
        lsls    r5, r3, #16
        orrs    r3, r5
        mov     r9, r3
        movs    r3, #0
        mov     r11, r3
        movs    r7, #255
        lsls    r5, r7, #16
        orrs    r7, r5
.Lweave_row:
        ldr     r3, [sp, #0]
        add     r3, r0
        mov     r10, r3
.Lweave:
        ldr     r3, [r1]
        add     r1, r12
        ldr     r5, [r2]
        add     r2, lr
        mov     r4, r9
        eors    r3, r4
        eors    r5, r4
        mov     r4, r11
        orrs    r4, r3
        orrs    r4, r5
        mov     r11, r4
        lsrs    r4, r3, #16
        eors    r4, r5
        uxth    r4, r4
        eors    r5, r4
        lsls    r4, r4, #16
        eors    r3, r4
        lsrs    r4, r3, #8
        lsrs    r6, r5, #8
        ands    r3, r7
        ands    r4, r7
        ands    r5, r7
        ands    r6, r7
        stm     r0!, {r3-r6}
        cmp     r0, r10
        bne     .Lweave
        ldr     r3, [sp, #8]
        adds    r1, r1, r3
        ldr     r3, [sp, #12]
        adds    r2, r2, r3
        ldr     r3, [sp, #16]
        adds    r0, r0, r3
        ldr     r3, [sp, #4]
        subs    r3, #1
        str     r3, [sp, #4]
        bne     .Lweave_row
        mov     r0, r11
        add     sp, #20
        finis   rl_m0_dw_weave

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
        beq     .Ltail_\name
        b       .Lrows_\name
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

/* ------------------------------------------------------------ rows, wide */

/* A window's filter row: lanes with a start of their own, added up apart. */
        .macro  row op
        inputs
        times
        ldm     r7!, {r4}
        adds    r3, r3, r4
        uxth    r4, r3
        lsrs    r3, r3, #16
        \op     r8, r4
        \op     r9, r3
        add     r6, r10
        .endm

        .macro  sums_rows
        row     mov
        row     add
        row     add
        mov     r3, r8
        mov     r4, r9
        subs    r7, #48
        .endm

/* A window's filter row: all += w * word, r9 += w * lane 1. */
        .macro  wide op
        inputs
        times
        \op     r8, r3
        subs    r7, #12
        lsrs    r0, r0, #16
        lsrs    r1, r1, #16
        lsrs    r2, r2, #16
        times
        \op     r9, r3
        add     r6, r10
        .endm

        .macro  sums_wide
        wide    mov
        wide    add
        wide    add
        mov     r4, r9
        lsls    r5, r4, #16
        mov     r3, r8
        subs    r3, r3, r5
        subs    r7, #36
        .endm

/* r8 and r9 sums, r10 x_row, r11 sums, r12 from below a window to the next one
 * down, lr end of the column of sums. [sp]: columns, rows * 8, x_column, x. */
        .macro  windows name, sums
        begin   \name
        ldm     r0!, {r3-r7}     /* x, w, x_row, rows, columns */
        mov     r10, r5
        sub     sp, #16
        lsls    r6, r6, #3
        str     r7, [sp, #0]
        str     r6, [sp, #4]
        str     r3, [sp, #12]
        adds    r0, #4
        ldm     r0!, {r1-r3}     /* sums, x_column, y_row */
        mov     r11, r1
        str     r2, [sp, #8]
        subs    r3, r3, r5
        subs    r3, r3, r5
        subs    r3, r3, r5
        mov     r12, r3
        mov     r7, r4
.Lcolumn_\name:
        ldr     r6, [sp, #12]
        ldr     r3, [sp, #4]
        add     r3, r11
        mov     lr, r3
.Lwindow_\name:
        \sums
        mov     r5, r11
        stm     r5!, {r3, r4}
        mov     r11, r5
        add     r6, r12
        cmp     r5, lr
        bne     .Lwindow_\name
        ldr     r6, [sp, #12]
        ldr     r3, [sp, #8]
        adds    r6, r6, r3
        str     r6, [sp, #12]
        ldr     r3, [sp, #0]
        subs    r3, #1
        str     r3, [sp, #0]
        beq     1f
        b       .Lcolumn_\name
1:      add     sp, #16
        finis   \name
        .endm

        windows rl_m0_dw_rows, sums_rows
        windows rl_m0_dw_wide, sums_wide

/* ------------------------------------------------------------------ finish */

/* One output; r4 and r5 are free. kind: 0, free 1 (no limit is reached), short
 * 2 (b is 0), free and short 3, corner 4. */
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
        .if     \kind == 4
        cmp     r4, lr
        blo     8f
        ldr     r3, [sp, #16]
        adds    r5, r5, r3
        ldr     r3, [sp, #20]
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
 * y_skip, high, delta, y_lane, s_height. */
        .macro  finish name, load, size, kind
        begin   \name
        sub     sp, #28
        ldm     r0!, {r1-r7}     /* s, y, a, y_lane, b, origin, limit */
        mov     r8, r7
        mov     r7, r6
        mov     r6, r5
        mov     r5, r0
        mov     r0, r1
        mov     r1, r2
        mov     r2, r3
        mov     r3, r4
        str     r3, [sp, #20]
        ldr     r4, [r5, #0]     /* c, y_row, s_row, s_height */
        mov     r9, r4
        ldr     r4, [r5, #4]
        mov     r10, r4
        ldr     r4, [r5, #8]
        mov     r12, r4
        ldr     r4, [r5, #12]
        str     r4, [sp, #24]
        ldr     r4, [r5, #16]    /* columns, s_skip, y_skip, high */
        str     r4, [sp, #0]
        ldr     r4, [r5, #20]
        str     r4, [sp, #4]
        ldr     r4, [r5, #24]
        str     r4, [sp, #8]
        ldr     r4, [r5, #28]
        str     r4, [sp, #12]
        .if     \kind == 4
        ldr     r4, [r5, #32]    /* corner, delta */
        mov     lr, r4
        ldr     r4, [r5, #36]
        str     r4, [sp, #16]
        .endif
.Lcolumn_\name:
        ldr     r4, [sp, #24]
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
        add     sp, #28
        finis   \name
        .if     (\kind & 1) == 0
.Labove_\name\()0:
        ldr     r4, [sp, #12]
        b       .Lput_\name\()0
.Labove_\name\()1:
        ldr     r4, [sp, #12]
        b       .Lput_\name\()1
        .endif
        .endm

        finish  rl_m0_dw_finish_narrow, ldrh, 2, 0
        finish  rl_m0_dw_free_narrow, ldrh, 2, 1
        finish  rl_m0_dw_short_narrow, ldrh, 2, 2
        finish  rl_m0_dw_lean_narrow, ldrh, 2, 3
        finish  rl_m0_dw_corner_narrow, ldrh, 2, 4
        finish  rl_m0_dw_finish_wide, ldr, 4, 0
        finish  rl_m0_dw_free_wide, ldr, 4, 1
        finish  rl_m0_dw_short_wide, ldr, 4, 2
        finish  rl_m0_dw_lean_wide, ldr, 4, 3
        finish  rl_m0_dw_corner_wide, ldr, 4, 4

/* ------------------------------------------------------------------- above */

        .section .time_critical.relume.rl_m0_dw_above, "ax", %progbits
        .balign 4
        .global rl_m0_dw_above
        .type   rl_m0_dw_above, %function
        .thumb_func
rl_m0_dw_above:
        push    {r4-r6, lr}
        movs    r3, #0
        b       2f
1:      ldr     r4, [r0, #0]
        ldr     r5, [r0, #16]
        ldr     r6, [r0, #32]
        adds    r4, r4, r2
        orrs    r3, r4
        ldr     r4, [r0, #48]
        adds    r5, r5, r2
        orrs    r3, r5
        adds    r6, r6, r2
        orrs    r3, r6
        adds    r4, r4, r2
        orrs    r3, r4
        adds    r0, #64
2:      subs    r1, #4
        bhs     1b
        adds    r1, #4
        beq     4f
3:      ldr     r4, [r0]
        adds    r4, r4, r2
        orrs    r3, r4
        adds    r0, #16
        subs    r1, #1
        bne     3b
4:      mov     r0, r3
        pop     {r4-r6, pc}
        .size   rl_m0_dw_above, . - rl_m0_dw_above

/* -------------------------------------------------------------------- fill */

        .section .time_critical.relume.rl_m0_dw_fill, "ax", %progbits
        .balign 4
        .global rl_m0_dw_fill
        .type   rl_m0_dw_fill, %function
        .thumb_func
rl_m0_dw_fill:
        push    {r4-r6, lr}
        mov     r4, r1
        mov     r5, r1
        mov     r6, r1
1:      stm     r0!, {r1, r4-r6}
        subs    r2, #1
        bne     1b
        pop     {r4-r6, pc}
        .size   rl_m0_dw_fill, . - rl_m0_dw_fill

/* to, word, columns, rows, skip on the stack */
        .section .time_critical.relume.rl_m0_dw_pad, "ax", %progbits
        .balign 4
        .global rl_m0_dw_pad
        .type   rl_m0_dw_pad, %function
        .thumb_func
rl_m0_dw_pad:
        push    {r4-r7, lr}
        ldr     r7, [sp, #20]
        mov     r4, r1
        mov     r5, r1
        mov     r6, r1
        mov     r12, r2
1:      mov     r2, r12
2:      stm     r0!, {r1, r4-r6}
        subs    r2, #1
        bne     2b
        adds    r0, r0, r7
        subs    r3, #1
        bne     1b
        pop     {r4-r7, pc}
        .size   rl_m0_dw_pad, . - rl_m0_dw_pad

#endif
