/* relume: sums over the non-zero inputs of a window, 12, 8 or 4 channels at
 * a time (rl_m0_sparse12, 8, 4; the twin is in lists.c).
 *
 * A quad: the weights of four channels as bytes v = w + offset in a word W.
 *     all += u W        odd += u (W >> 8 & 0x00ff00ff)
 * odd holds the sums of channels 1 and 3 in 16-bit lanes; all - (odd << 8),
 * modulo 2^32, those of 0 and 2. A lane is right while the sum of u max(v)
 * is below 2^16, which the script sees to: it flushes in time. A flush adds
 * each pair of lanes P to two sums, P and P >> 16, from which both channels
 * follow: the second is the upper, the first less its 2^16-fold the lower.
 *
 * Cycles of an entry (u, offset): LDM 3, ADD 1, LDM of the words 4, 3 or 2,
 * and 6 a quad: 26, 19 or 12. Of a step: 20, with 8 or 4 channels 16. Of a
 * flush: 23 a quad and 19; of a block about 30 more.
 *
 * In a run: r0 list, r1 u, r2 weights, r3 mask, r4 product, r7 base,
 * r8 r9, r10 r11, r12 lr: all and odd of the quads. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .equ    SCRIPT, 0        /* next step */
        .equ    WEIGHTS, 4       /* of the block */
        .equ    FROM, 8          /* sums so far: start, then acc */
        .equ    TO, 12           /* acc of the block */
        .equ    BLOCKS, 16
        .equ    STEP, 20
        .equ    BEGIN, 24        /* first step of the script */
        .equ    MASK, 28
        .equ    START, 32
        .equ    FRAME, 40
        .equ    RUN, 32

        /* word of weights, its two lane registers */
        .macro  quad w, all, odd
        lsrs    r4, \w, #8
        ands    r4, r3
        muls    r4, r1
        add     \odd, r4
        muls    \w, r1
        add     \all, \w
        .endm

        .macro  entry quads
        ldm     r0!, {r1, r2}
        adds    r2, r2, r7
        .if     \quads == 3
        ldm     r2, {r2, r5, r6}
        .elseif \quads == 2
        ldm     r2, {r2, r5}
        .else
        ldr     r2, [r2]
        .endif
        quad    r2, r8, r9
        .if     \quads >= 2
        quad    r5, r10, r11
        .endif
        .if     \quads == 3
        quad    r6, r12, lr
        .endif
        .endm

        /* lanes of one quad into sums r0 -> r1 */
        .macro  empty all, odd
        mov     r2, \all
        mov     r3, \odd
        movs    r4, #0
        mov     \all, r4
        mov     \odd, r4
        lsls    r4, r3, #8
        subs    r2, r2, r4
        ldm     r0!, {r4-r7}
        adds    r4, r4, r2
        lsrs    r2, r2, #16
        adds    r5, r5, r2
        adds    r6, r6, r3
        lsrs    r3, r3, #16
        adds    r7, r7, r3
        stm     r1!, {r4-r7}
        .endm

        /* where the next step is, and the block's weights */
        .macro  script_to reg, quads
        .if     \quads == 3
        ldr     \reg, [sp, #SCRIPT]
        .else
        mov     \reg, lr
        .endif
        .endm

        .macro  script_from reg, quads
        .if     \quads == 3
        str     \reg, [sp, #SCRIPT]
        .else
        mov     lr, \reg
        .endif
        .endm

        .macro  sparse name, quads
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
        sub     sp, #FRAME
        ldm     r0!, {r1-r6}     /* script, w, start, acc, blocks, step */
        str     r1, [sp, #BEGIN]
        str     r2, [sp, #WEIGHTS]
        str     r3, [sp, #START]
        str     r4, [sp, #TO]
        str     r5, [sp, #BLOCKS]
        str     r6, [sp, #STEP]
        movs    r1, #255
        lsls    r2, r1, #16
        orrs    r1, r2
        str     r1, [sp, #MASK]
        movs    r4, #0
        mov     r8, r4
        mov     r9, r4
        mov     r10, r4
        mov     r11, r4
        .if     \quads == 3
        mov     r12, r4
        mov     lr, r4
        .else
        ldr     r2, [sp, #WEIGHTS]
        mov     r12, r2
        .endif
.Lblock_\name:
        ldr     r4, [sp, #BEGIN]
        ldr     r3, [sp, #START]
        str     r3, [sp, #FROM]
        ldr     r3, [sp, #MASK]
        b       .Lstep_\name
        .rept   RUN
        entry   \quads
        .endr
.Lnext_\name:                    /* RUN entries end here */
        script_to r4, \quads
.Lstep_\name:
        ldm     r4!, {r0, r1, r7}
        script_from r4, \quads
        cmp     r1, #0
        blt     .Lflush_\name
.Lgo_\name:
        .if     \quads == 3
        ldr     r4, [sp, #WEIGHTS]
        adds    r7, r7, r4
        .else
        add     r7, r12
        .endif
        .if     \quads == 3
        movs    r2, #42
        .elseif \quads == 2
        movs    r2, #30
        .else
        movs    r2, #18
        .endif
        muls    r1, r2
        mov     r2, pc           /* the address of .Lhere */
        subs    r2, r2, r1
.Lhere_\name:
        subs    r2, #(.Lhere_\name - .Lnext_\name)
        mov     pc, r2
.Lflush_\name:
        ldr     r0, [sp, #FROM]
        ldr     r1, [sp, #TO]
        str     r1, [sp, #FROM]
        empty   r8, r9
        .if     \quads >= 2
        empty   r10, r11
        .endif
        .if     \quads == 3
        empty   r12, lr
        .endif
        ldr     r3, [sp, #MASK]
        script_to r4, \quads
        subs    r4, #12
        ldm     r4!, {r0, r2, r7}
        lsls    r5, r2, #1       /* RL_M0_END has bit 30, too */
        bmi     .Lend_\name
        uxtb    r1, r2
        b       .Lgo_\name
.Lend_\name:
        str     r1, [sp, #TO]
        ldr     r1, [sp, #BLOCKS]
        subs    r1, #1
        beq     .Lout_\name
        str     r1, [sp, #BLOCKS]
        ldr     r1, [sp, #START]
        adds    r1, #(16 * \quads)
        str     r1, [sp, #START]
        ldr     r1, [sp, #WEIGHTS]
        ldr     r2, [sp, #STEP]
        adds    r1, r1, r2
        str     r1, [sp, #WEIGHTS]
        .if     \quads < 3
        mov     r12, r1
        .endif
        b       .Lblock_\name
.Lout_\name:
        add     sp, #FRAME
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   \name, . - \name
        .endm

        sparse  rl_m0_sparse12, 3
        sparse  rl_m0_sparse8, 2
        sparse  rl_m0_sparse4, 1

#endif
