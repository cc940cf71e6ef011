/* relume: the first instructions after the boot ROM and boot2.
 *
 * The SDK's start-up code copies what lies in SRAM from flash while the core
 * still runs from the ring oscillator, 6.5 MHz (RP2040 datasheet 2.17), and only
 * then starts the crystal, which takes 6 ms (pico-sdk, PICO_XOSC_STARTUP_DELAY_
 * MULTIPLIER). Here the ring oscillator's divider goes from 16 to 2 and the
 * crystal is started first, so that both go on side by side. The ring is at
 * most 12 MHz with divider 16, so at most 96 MHz with 2: within what core
 * (133 MHz) and flash (half of it) are specified for. Then copy_rp2.c copies;
 * if that fails, the SDK's code does what it always does.
 *
 * firmware/tools/uf2.py finds the marker, puts the address of the start-up
 * code behind it and that of relume_reset into the vector table. */
#include "pico.h"
#ifndef PICO_XOSC_STARTUP_DELAY_MULTIPLIER
#define PICO_XOSC_STARTUP_DELAY_MULTIPLIER 6
#endif

        .syntax unified
        .cpu    cortex-m0plus
        .thumb

        .equ    ROSC_DIV, 0x40060010
        .equ    ROSC_DIV_2, 0xaa2
        .equ    XOSC_CTRL, 0x40024000
        .equ    XOSC_STARTUP, 0x0c
        .equ    XOSC_ENABLE, 0xfabaa0   /* 1 to 15 MHz */
        /* milliseconds, in 256 periods of 12 MHz */
        .equ    XOSC_DELAY, 47 * PICO_XOSC_STARTUP_DELAY_MULTIPLIER

        .section .reset, "ax"
        .balign 4
        .thumb_func
relume_reset:
        ldr     r0, =ROSC_DIV
        ldr     r1, =ROSC_DIV_2
        str     r1, [r0]
        ldr     r0, =XOSC_CTRL
        ldr     r1, =XOSC_DELAY
        str     r1, [r0, #XOSC_STARTUP]
        ldr     r1, =XOSC_ENABLE
        str     r1, [r0]
        bl      rl_copy_start
        cmp     r0, #0
        beq     sdk
        ldr     r1, =runtime_init
        blx     r1
        ldr     r1, =main
        blx     r1
        ldr     r1, =exit       /* does not return */
        blx     r1
sdk:    ldr     r0, next
        bx      r0

        .balign 4
        .ascii  "relume reset"
next:   .word   0
        .word   relume_reset + 1
        .ltorg
