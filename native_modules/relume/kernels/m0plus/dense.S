/* relume: sums over all inputs of a window, 8 channels at a time
 * (rl_m0_dense), and the words that it reads (rl_m0_spread). The twins are in
 * lists.c; the sums are those of sparse.S, with x in the place of u.
 *
 * Cycles of a pair of inputs: 3 + 2 * (3 + 16) = 41; a turn, TURN pairs,
 * takes 4 more, a block 45. A word of rl_m0_spread takes 6.25, of the last 1
 * to 3 of a row 10; a row about 10. */
#if defined(__ARM_ARCH_6M__)

#include "thumb.h"

        .equ    INPUTS, 0
        .equ    WEIGHTS, 4       /* of the block */
        .equ    START, 8
        .equ    SUMS, 12
        .equ    BLOCKS, 16
        .equ    TURNS, 20
        .equ    ENTRY, 24        /* of the first turn, in its middle */
        .equ    FRAME, 32
        .equ    TURN, 8          /* a power of 2 */
        .equ    PAIR, 70         /* bytes of code of a pair */

        .macro  quad w, x, all, turned, upper
        rev16   r4, \w
        muls    r4, \x
        add     \turned, r4
        lsrs    r4, \w, #16
        muls    r4, \x
        add     \upper, r4
        muls    \w, \x
        add     \all, \w
        .endm

        begin   rl_m0_dense
        sub     sp, #FRAME
        ldm     r0!, {r1-r7}     /* inputs, w, start, sums, blocks, step, pairs */
        mov     r0, sp
        stm     r0!, {r1-r5}
        adds    r6, r7, #(TURN - 1)
        lsrs    r6, r6, #3
        negs    r7, r7
        movs    r1, #(TURN - 1)
        ands    r7, r1           /* pairs of a turn that are left out */
        movs    r1, #PAIR
        muls    r7, r1
        adr     r1, .Lturn
        adds    r7, r7, r1
        stm     r0!, {r6, r7}
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
        ldr     r0, [sp, #INPUTS]
        ldr     r2, [sp, #WEIGHTS]
        ldr     r3, [sp, #TURNS]
        ldr     r4, [sp, #ENTRY]
        mov     pc, r4
        .balign 4
.Lturn:
        .rept   TURN
        ldm     r0!, {r1, r7}
        ldm     r2!, {r5, r6}
        quad    r5, r1, r8, r9, r10
        quad    r6, r1, r11, r12, lr
        ldm     r2!, {r5, r6}
        quad    r5, r7, r8, r9, r10
        quad    r6, r7, r11, r12, lr
        .endr
        subs    r3, #1
        beq     .Lend
        b       .Lturn
.Lend:
        str     r2, [sp, #WEIGHTS] /* the next block follows */
        ldr     r0, [sp, #SUMS]
        mov     r1, r8
        mov     r2, r9
        mov     r3, r10
        mov     r4, r11
        mov     r5, r12
        mov     r6, lr
        stm     r0!, {r1-r6}
        str     r0, [sp, #SUMS]
        ldr     r1, [sp, #BLOCKS]
        subs    r1, #1
        str     r1, [sp, #BLOCKS]
        beq     .Lout
        b       .Lblock
.Lout:
        add     sp, #FRAME
        finis   rl_m0_dense

        /* r0 x, r1 to, r2 sum, r7 bytes left of the row less 4; r8 rows left,
         * r9 bytes of a row, r10 from a row's end to the next */
        .global rl_m0_spread
        .type   rl_m0_spread, %function
        .thumb_func
rl_m0_spread:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        push    {r4-r6}
        ldm     r0!, {r1-r5}     /* x, to, rows, bytes, stride */
        mov     r0, r1
        mov     r1, r2
        mov     r8, r3
        mov     r9, r4
        subs    r5, r5, r4
        mov     r10, r5
        movs    r2, #0
.Lrow:
        mov     r7, r9
        subs    r7, #4
        blo     .Lfew
.Lfour:
        ldrb    r3, [r0]
        ldrb    r4, [r0, #1]
        ldrb    r5, [r0, #2]
        ldrb    r6, [r0, #3]
        adds    r0, #4
        sxtb    r3, r3
        sxtb    r4, r4
        sxtb    r5, r5
        sxtb    r6, r6
        adds    r2, r2, r3
        adds    r2, r2, r4
        adds    r2, r2, r5
        adds    r2, r2, r6
        stm     r1!, {r3-r6}
        subs    r7, #4
        bhs     .Lfour
.Lfew:
        adds    r7, #4
        beq     .Lrow_done
.Lone:
        ldrb    r3, [r0]
        adds    r0, #1
        sxtb    r3, r3
        adds    r2, r2, r3
        stm     r1!, {r3}
        subs    r7, #1
        bne     .Lone
.Lrow_done:
        add     r0, r10
        mov     r3, r8
        subs    r3, #1
        mov     r8, r3
        bne     .Lrow
        mov     r0, r2
        pop     {r4-r6}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        pop     {r4-r7, pc}
        .size   rl_m0_spread, . - rl_m0_spread

#endif
