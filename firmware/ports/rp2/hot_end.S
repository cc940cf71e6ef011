/* relume: behind what RL_HOT puts into SRAM: see hot_begin.S. */
        .section .time_critical.relume, "ax", %progbits
        .balign 4
        .global rl_hot_end
rl_hot_end:
