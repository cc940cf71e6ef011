/* relume: planes of a depthwise convolution (see depthwise.h; the twins are in
 * depthwise_planes.c).
 *
 * Cycles: weave 33 for two inputs of four channels; above 5 a word. */
#if defined(__ARM_ARCH_6M__)

#include "thumb.h"

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

/* --------------------------------------------------------------------- pad */

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
