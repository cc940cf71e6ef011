/* relume: in front of what RL_HOT puts into SRAM: engine and kernels, which
 * copy_rp2.c copies last. Linked first of them (micropython.cmake). */
        .section .time_critical.relume, "ax", %progbits
        .balign 4
        .global rl_hot_begin
rl_hot_begin:
