/* relume: sums over the non-zero inputs of a window, 8 channels at a time
 * (rl_m0_sparse; the twin is in lists.c).
 *
 * The weights of four channels are bytes v = w + offset of a word W. Kept
 * are, modulo 2^32,
 *     all += u W     turned += u rev16(W)     upper += u (W >> 16)
 * from which rl_m0_finish takes the four sums apart: nothing overflows.
 *
 * Cycles of an entry (u, offset): LDM 3, ADD 1, LDM of two words 3, and 8 a
 * quad: 23. Of a run: 17, and 6 for each RUN entries more. Of a block: 40.
 *
 * r0 list, r1 u, r2 weights, r3 next run, r4 product, r5 second word, r6
 * entries left, r7 base; r8 r9 r10 and r11 r12 lr: all, turned, upper. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .equ    RUNS, 0
        .equ    WEIGHTS, 4       /* of the block */
        .equ    START, 8
        .equ    SUMS, 12
        .equ    BLOCKS, 16
        .equ    STEP, 20
        .equ    FRAME, 24
        .equ    RUN, 24
        .equ    ENTRY, 38        /* bytes of code of an entry */

        .macro  quad w, all, turned, upper
        rev16   r4, \w
        muls    r4, r1
        add     \turned, r4
        lsrs    r4, \w, #16
        muls    r4, r1
        add     \upper, r4
        muls    \w, r1
        add     \all, \w
        .endm

        .section .time_critical.relume.sparse, "ax", %progbits
        .balign 4
        .global rl_m0_sparse
        .type   rl_m0_sparse, %function
        .thumb_func
rl_m0_sparse:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        sub     sp, #FRAME
        ldm     r0!, {r1-r6}     /* runs, w, start, sums, blocks, step */
        mov     r0, sp
        stm     r0!, {r1-r6}
.Lblock:
        ldr     r0, [sp, #START]
        ldm     r0!, {r1-r6}
        str     r0, [sp, #START]
        mov     r8, r1
        mov     r9, r2
        mov     r10, r3
        mov     r11, r4
        mov     r12, r5
        mov     lr, r6
        ldr     r3, [sp, #RUNS]
        b       .Lstep
.Lfull:
        subs    r6, #RUN
.Lrun:
        .rept   RUN
        ldm     r0!, {r1, r2}
        adds    r2, r2, r7
        ldm     r2, {r2, r5}
        quad    r2, r8, r9, r10
        quad    r5, r11, r12, lr
        .endr
.Lnext:                          /* RUN entries end here */
        cmp     r6, #0
        bne     .Lmore
.Lstep:
        ldm     r3!, {r0, r6, r7}
        cmp     r6, #0
        blt     .Lend
        ldr     r4, [sp, #WEIGHTS]
        adds    r7, r7, r4
.Lmore:
        cmp     r6, #RUN
        bhi     .Lfull_too
        movs    r4, #ENTRY
        muls    r4, r6
        movs    r6, #0
        mov     r5, pc           /* the address of .Lhere */
        subs    r5, r5, r4
.Lhere:
        subs    r5, #(.Lhere - .Lnext)
        mov     pc, r5
.Lfull_too:
        b       .Lfull
.Lend:
        ldr     r0, [sp, #SUMS]
        mov     r1, r8
        mov     r2, r9
        mov     r3, r10
        mov     r4, r11
        mov     r5, r12
        mov     r6, lr
        stm     r0!, {r1-r6}
        str     r0, [sp, #SUMS]
        ldr     r1, [sp, #WEIGHTS]
        ldr     r2, [sp, #STEP]
        adds    r1, r1, r2
        str     r1, [sp, #WEIGHTS]
        ldr     r1, [sp, #BLOCKS]
        subs    r1, #1
        str     r1, [sp, #BLOCKS]
        beq     .Lout
        b       .Lblock
.Lout:
        add     sp, #FRAME
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   rl_m0_sparse, . - rl_m0_sparse

#endif
