/* relume: which kernel of a core computes an op. SPEC 2.7. */
#include "engine_fast.h"

#if RL_WITH_M0PLUS
#include "kernels/m0plus/add.h"
#include "kernels/m0plus/depthwise.h"
#endif

#if RL_WITH_M4
#include "kernels/m4/m4.h"
#endif

int rl_fast_has_core(uint32_t core)
{
    return core == RL_FOR_PORTABLE
        || (RL_WITH_M0PLUS && core == RL_FOR_M0PLUS)
        || (RL_WITH_M4 && core == RL_FOR_M4);
}

#if RL_WITH_M0PLUS
static RL_HOT void m0plus_tile(const rl_call *call)
{
    switch (call->op->kind) {
    case RL_CONV_2D: rl_m0_conv_tile(call); break;
    case RL_DEPTHWISE_CONV_2D: rl_m0_depthwise_tile(call); break;
    case RL_ADD: rl_m0_add_tile(call); break;
    default: rl_m0_dense_tile(call); break;
    }
}
#endif

#if RL_WITH_M4
static RL_HOT void m4_depthwise(const rl_call *call)
{
    switch (call->op->kernel) {
    case RL_M4_TAPS: rl_m4_taps_tile(call); break;
    case RL_M4_AS_CONV: rl_m4_conv_tile(call); break;
    default: rl_m4_depthwise_tile(call); break;
    }
}

static RL_HOT void m4_tile(const rl_call *call)
{
    switch (call->op->kind) {
    case RL_CONV_2D: rl_m4_conv_tile(call); break;
    case RL_DEPTHWISE_CONV_2D: m4_depthwise(call); break;
    case RL_ADD: rl_m4_add_tile(call); break;
    default: rl_m4_dense_tile(call); break;
    }
}
#endif

RL_HOT void rl_fast_tile(uint32_t core, const rl_call *call)
{
#if RL_WITH_M0PLUS
    if (core == RL_FOR_M0PLUS) {
        m0plus_tile(call);
    }
#endif
#if RL_WITH_M4
    if (core == RL_FOR_M4) {
        m4_tile(call);
    }
#endif
}

uint32_t rl_fast_scratch(uint32_t core, const rl_op *op, const rl_tensor *in,
                         const rl_tensor *out)
{
#if RL_WITH_M0PLUS
    if (core == RL_FOR_M0PLUS) {
        switch (op->kind) {
        case RL_DEPTHWISE_CONV_2D:
            return rl_m0_depthwise_scratch(op);
        case RL_ADD: return 0;
        default: return rl_m0_scratch(op, in, out);
        }
    }
#endif
#if RL_WITH_M4
    if (core == RL_FOR_M4) {
        rl_m4_layout layout = { 0, 0, 0, 0, 0 };

        (void)rl_m4_layout_of(op, in, out, &layout);
        return (uint32_t)layout.scratch; /* checked: fits scratch_size */
    }
#endif
    return 0;
}
