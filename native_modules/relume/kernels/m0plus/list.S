/* relume: the list of non-zero inputs (rl_m0_list; the twin is in lists.c).
 *
 * Four inputs are one word; xor with 0x80808080 turns x into u = x + 128. A
 * word of four zeros costs 13 cycles; else 10 and, of each input, 8 if it is
 * not zero and 5 if it is.
 *
 * r0 x, r1 next entry, r2 u, r3 offset, r4 row, r5 sum, r6 word, r7 next
 * mark; r8 0x80808080, r9 4 row, r10 end of x. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        /* r2 holds u, the flags tell whether it is 0 */
        .macro  put
        beq     9f
        stm     r1!, {r2, r3}
        adds    r5, r5, r2
9:      adds    r3, r3, r4
        .endm

        .section .time_critical.relume.list, "ax", %progbits
        .balign 4
        .global rl_m0_list
        .type   rl_m0_list, %function
        .thumb_func
rl_m0_list:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        ldm     r0!, {r1-r5}     /* x, marks, to, words, row */
        mov     r0, r1
        lsls    r4, r4, #2
        adds    r4, r4, r0
        mov     r10, r4
        mov     r7, r2
        mov     r1, r3
        mov     r4, r5
        lsls    r5, r5, #2
        mov     r9, r5
        movs    r3, #128
        lsls    r6, r3, #8
        orrs    r3, r6
        lsls    r6, r3, #16
        orrs    r3, r6
        mov     r8, r3
        movs    r3, #0
        movs    r5, #0
.Lmark:
        stm     r7!, {r1, r5}
        cmp     r0, r10
        beq     .Lout
        ldm     r0!, {r6}
        mov     r2, r8
        eors    r6, r2
        beq     .Lzero
        lsls    r2, r6, #24
        lsrs    r2, r2, #24
        put
        lsls    r2, r6, #16
        lsrs    r2, r2, #24
        put
        lsls    r2, r6, #8
        lsrs    r2, r2, #24
        put
        lsrs    r2, r6, #24
        put
        b       .Lmark
.Lzero:
        add     r3, r9
        b       .Lmark
.Lout:
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   rl_m0_list, . - rl_m0_list

#endif
