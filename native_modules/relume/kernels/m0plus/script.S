/* relume: the script of one window (rl_m0_script; the twin is in lists.c).
 *
 * First the lists' ends tell how many entries there are and what u sums up
 * to; if that costs more than the dense way, it ends here: 17 cycles a row.
 * Then words are taken as long as the sum since the last flush stays within
 * the limit: 5 cycles each, 20 a step, 30 a row. A word that is above the
 * limit by itself goes entry by entry, each flushed.
 *
 * r0 rows, r1 first entry of the step, r2 n and whatever else, r3 base,
 * r4 mark, r5 next step, r6 last mark, r7 sum that may not be passed;
 * r8 flags of the next step, r9 what is left of the limit, r10 limit,
 * r11 rows left, r12 argument, lr end of the steps; [sp] cycles left, sum. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        /* step for entries [r1, r2); long ones and the end of the steps are
         * seen to aside */
        .macro  emit at
        subs    r2, r2, r1
        beq     .Lemitted\at
        cmp     r5, lr
        bhs     .Laside\at
        cmp     r2, #255
        bhi     .Laside\at
        lsrs    r2, r2, #3
        add     r2, r8
        stm     r5!, {r1, r2, r3}
        movs    r2, #0
        mov     r8, r2
.Lemitted\at:
        .endm

        .macro  aside at
.Laside\at:
        bl      .Llong
        b       .Lemitted\at
        .endm

        .section .time_critical.relume.script, "ax", %progbits
        .balign 4
        .global rl_m0_script
        .type   rl_m0_script, %function
        .thumb_func
rl_m0_script:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        mov     r12, r0
        mov     r7, r0
        ldm     r7!, {r0-r3}     /* rows, n, first, last */
        movs    r4, #0           /* bytes of entries */
        movs    r5, #0           /* sum of u */
        mov     r11, r1
        cmp     r1, #0
        beq     .Lcounted
        mov     r10, r0
.Lcount:
        ldr     r6, [r0]         /* marks */
        adds    r0, #8
        adds    r7, r6, r3
        adds    r6, r6, r2
        mov     r8, r2
        ldr     r2, [r7]
        adds    r4, r4, r2
        ldr     r2, [r6]
        subs    r4, r4, r2
        ldr     r2, [r7, #4]
        adds    r5, r5, r2
        ldr     r2, [r6, #4]
        subs    r5, r5, r2
        mov     r2, r8
        subs    r1, #1
        bne     .Lcount
        mov     r0, r10
.Lcounted:
        mov     r1, r12
        ldr     r2, [r1, #32]    /* cost of an entry */
        lsrs    r4, r4, #3
        muls    r4, r2
        ldr     r2, [r1, #40]    /* what the dense way takes */
        subs    r4, r2, r4       /* is left for steps */
        blo     .Ldense_too
        ldr     r2, [r1, #36]    /* cost of a step, a flush included */
        lsrs    r3, r5, #8
        muls    r3, r2
        cmp     r3, r4
        bls     1f
.Ldense_too:
        b       .Ldense
1:      push    {r4, r5}
        ldr     r5, [r1, #20]    /* steps */
        ldr     r2, [r1, #28]    /* their end */
        mov     lr, r2
        ldr     r2, [r1, #24]    /* limit */
        mov     r10, r2
        mov     r9, r2
        movs    r2, #0
        mov     r8, r2
        mov     r2, r11
        cmp     r2, #0
        bne     .Lrow
        b       .Lend
.Lrow:
        ldm     r0!, {r4}
        ldm     r0!, {r3}
        mov     r7, r12
        ldr     r2, [r7, #16]
        adds    r3, r3, r2
        ldr     r2, [r7, #12]
        adds    r6, r4, r2
        ldr     r2, [r7, #8]
        adds    r4, r4, r2
        ldr     r1, [r4]
        ldr     r7, [r4, #4]
        add     r7, r9
.Lrest:                          /* does all that is left of the row fit? */
        ldr     r2, [r6, #4]
        cmp     r2, r7
        bhi     .Lscan
        subs    r7, r7, r2
        mov     r9, r7
        ldr     r2, [r6]
        emit    0
        mov     r2, r11
        subs    r2, #1
        mov     r11, r2
        bne     .Lrow
        b       .Lend
.Lscan:
        ldr     r2, [r4, #12]
        cmp     r2, r7
        bhi     0f
        ldr     r2, [r4, #20]
        cmp     r2, r7
        bhi     1f
        ldr     r2, [r4, #28]
        cmp     r2, r7
        bhi     2f
        ldr     r2, [r4, #36]
        cmp     r2, r7
        bhi     3f
        adds    r4, #32
        b       .Lscan
3:      adds    r4, #8
2:      adds    r4, #8
1:      adds    r4, #8
0:      ldr     r2, [r4]
        emit    1
        movs    r2, #1
        lsls    r2, r2, #31
        mov     r8, r2           /* RL_M0_FLUSH */
        ldr     r1, [r4]
        ldr     r7, [r4, #4]
        add     r7, r10
        ldr     r2, [r4, #12]
        cmp     r2, r7
        bls     .Lrest
.Lentry:                         /* the word is too much at once */
        movs    r2, #8
        adds    r2, r2, r1
        emit    2
        movs    r2, #1
        lsls    r2, r2, #31
        mov     r8, r2
        adds    r1, #8
        ldr     r2, [r4, #8]
        cmp     r1, r2
        bne     .Lentry
        adds    r4, #8
        ldr     r7, [r4, #4]
        add     r7, r10
        b       .Lrest
.Lend:
        movs    r2, #3
        lsls    r2, r2, #30      /* RL_M0_END */
        stm     r5!, {r1, r2, r3}
        mov     r2, r12
        ldr     r1, [r2, #20]
        subs    r5, r5, r1       /* 12 bytes a step */
        ldr     r1, [r2, #44]    /* its cost / 12 */
        muls    r5, r1
        pop     {r4}
        pop     {r0}
        cmp     r5, r4
        bhi     .Ldense
.Lout:
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
.Lnone:
        add     sp, #8
.Ldense:
        movs    r0, #0
        mvns    r0, r0
        b       .Lout

        aside   0
        aside   1
        aside   2

        /* more than 31 entries, r2 bytes of them, or no room; lr is restored */
.Llong:
        mov     r7, lr           /* r7 is made anew after every step */
        push    {r2, r7}
        mov     r7, r12
        ldr     r7, [r7, #28]
1:      cmp     r5, r7
        bhs     3f
        ldr     r2, [sp]
        cmp     r2, #255
        bls     2f
        subs    r2, #255
        subs    r2, #1
        str     r2, [sp]
        movs    r2, #32
        add     r2, r8
        stm     r5!, {r1, r2, r3}
        movs    r2, #0
        mov     r8, r2
        adds    r1, #255
        adds    r1, #1
        b       1b
2:      lsrs    r2, r2, #3
        beq     4f
        add     r2, r8
        stm     r5!, {r1, r2, r3}
        movs    r2, #0
        mov     r8, r2
4:      mov     lr, r7
        pop     {r2, r7}
        bx      r7
3:      add     sp, #8
        b       .Lnone
        .size   rl_m0_script, . - rl_m0_script

#endif
