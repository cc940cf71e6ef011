/* relume: assembly only: a function that may use every register. It lies in a
 * section of its own, which the firmware puts into SRAM. */
#ifndef RELUME_THUMB_H
#define RELUME_THUMB_H

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

        .macro  leave
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .endm

        .macro  finis name
        leave
        .size   \name, . - \name
        .endm

#endif
