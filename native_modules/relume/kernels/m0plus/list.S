/* relume: the list of non-zero inputs (rl_m0_list; the twin is in lists.c).
 *
 * Four inputs are one word; xor with 0x80808080 turns x into u = x + 128. A
 * word of four zeros costs 9 cycles; else 9 and, of each input, 8 if it is
 * not zero and 5 if it is. A pixel costs 12.
 *
 * r0 x, r1 next entry, r2 u, r3 offset, r4 end of the pixel, r5 sum, r6 word,
 * r7 0x80808080; r8 next mark, r9 depth, r10 end of x. */
#if defined(__ARM_ARCH_6M__)

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        /* r2 holds u, the flags tell whether it is 0 */
        .macro  put
        beq     9f
        stm     r1!, {r2, r3}
        adds    r5, r5, r2
9:      adds    r3, #8           /* RL_M0_WIDTH */
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
        push    {r4-r6}
        ldm     r0!, {r1-r5}     /* x, marks, to, bytes, depth */
        mov     r0, r1
        mov     r8, r2
        mov     r1, r3
        adds    r4, r4, r0
        mov     r10, r4
        mov     r9, r5
        ldr     r7, =0x80808080
        movs    r3, #0
        movs    r5, #0
        mov     r4, r0
.Lpixel:
        mov     r2, r8
        stm     r2!, {r1, r5}
        mov     r8, r2
        cmp     r0, r10
        beq     .Lout
        add     r4, r9
.Lword:
        ldm     r0!, {r6}
        eors    r6, r7
        beq     .Lzero
        uxtb    r2, r6
        cmp     r2, #0
        put
        lsls    r2, r6, #16
        lsrs    r2, r2, #24
        put
        lsls    r2, r6, #8
        lsrs    r2, r2, #24
        put
        lsrs    r2, r6, #24
        put
        cmp     r0, r4
        bne     .Lword
        b       .Lpixel
.Lzero:
        adds    r3, #32
        cmp     r0, r4
        bne     .Lword
        b       .Lpixel
.Lout:
        pop     {r4-r6}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        pop     {r4-r7, pc}
        .pool
        .size   rl_m0_list, . - rl_m0_list

#endif
