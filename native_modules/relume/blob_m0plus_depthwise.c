/* relume: the blob checker, DEPTHWISE_CONV_2D laid out for Cortex-M0+ (SPEC
 * 2.7.3). Filters are only computed with; what is followed is proven here. */
#include "blob_check.h"
#include "engine_fast.h"

#if RL_WITH_M0PLUS
#include "kernels/m0plus/depthwise.h"

_Static_assert(RL_M0_DW_MOST == 1 << 12, "POWER(12) below");

/* All windows of a half reach over RL_M0_DW_SIDE inputs at most. The terms are
 * below 2^28 and 2^30: p[0] and p[1] are at most 4096, the window is proven. */
static rl_status check_half(rl_blob_state *c, const rl_op *op)
{
    const int32_t *p = op->p;

    REFUSE_UNLESS(rl_m0_dw_reach((uint32_t)p[0], op->kh, op->sh, op->dil_h)
                  <= RL_M0_DW_SIDE, p[0], HALF_ROWS);
    REFUSE_UNLESS(rl_m0_dw_reach((uint32_t)p[1], op->kw, op->sw, op->dil_w)
                  <= RL_M0_DW_SIDE, p[1], HALF_COLUMNS);
    return RL_OK;
}

static rl_status check_parameters(rl_blob_state *c, const rl_op *op)
{
    static const rl_blob_range ranges[] = {
        RANGE(HALF_ROWS, rl_op, p[0], 1, POWER(12)),
        RANGE(HALF_COLUMNS, rl_op, p[1], 1, POWER(12)),
        RANGE(EXACT_CHANNELS, rl_op, p[2], 0, BITS(16)),
        RANGE(FLAGS, rl_op, p[3], 0, 3),
        RANGE(UNUSED, rl_op, p[4], 0, 0),
        RANGE(UNUSED, rl_op, p[5], 0, 0),
        RANGE(UNUSED, rl_op, p[6], 0, 0),
        RANGE(UNUSED, rl_op, p[7], 0, 0),
    };
    const int32_t *p = op->p;

    CHECK_RANGES(c, op, ranges);
    REFUSE_UNLESS(op->depth_mult == 1 && c->in->c == c->out->c,
                  op->depth_mult, DEPTHWISE_CHANNELS);
    CHECK(check_half(c, op));
    REFUSE_UNLESS(p[2] <= c->out->c, p[2], EXACT_CHANNELS);
    REFUSE_UNLESS(rl_m0_depthwise_scratch(op) <= memory_of(c), p[0], SCRATCH);
    return RL_OK;
}

static rl_status check_exact(rl_blob_state *c, const rl_op *op)
{
    uint32_t n = (uint32_t)op->p[2];

    if (n == 0) {
        REFUSE_UNLESS(op->off_shift == 0, op->off_shift, NO_EXACT);
        return RL_OK;
    }
    CHECK(rl_blob_check_array(c, &op->off_shift, 12u * n));
    return rl_blob_check_exact(c, op);
}

rl_status rl_blob_check_m0plus_depthwise(rl_blob_state *c, const rl_op *op)
{
    uint32_t row = rl_m0_dw_is_3x3(op) ? 20u
                                       : (uint32_t)op->kh * op->kw + 1u;
    uint64_t size = (uint64_t)row * c->out->c;

    CHECK(check_parameters(c, op));
    CHECK(rl_blob_check_weights(c, op, size));
    REFUSE_UNLESS(op->off_bias == 0, op->off_bias, NO_BIAS);
    CHECK(rl_blob_check_table(c, op, c->out->c, 5));
    return check_exact(c, op);
}

#else

rl_status rl_blob_check_m0plus_depthwise(rl_blob_state *c, const rl_op *op)
{
    return rl_blob_refuse(c, &op->kernel, RL_FAULT_KERNEL);
}

#endif
