/* relume: the blob checker, DEPTHWISE_CONV_2D laid out for Cortex-M0+ (SPEC
 * 2.7.3). Filters are only computed with; what is followed is proven here. */
#include "blob_check.h"
#include "engine_fast.h"

#if RL_WITH_M0PLUS
#include "kernels/m0plus/depthwise.h"

/* All windows of a half reach over RL_M0_DW_SIDE inputs at most. The terms are
 * below 2^28 and 2^30: p[0] and p[1] are at most 4096, the window is proven. */
static rl_status check_half(rl_blob_state *c, const rl_op *op)
{
    const int32_t *p = op->p;

    REFUSE_UNLESS(p[0] >= 1 && p[0] <= RL_M0_DW_MOST
                  && rl_m0_dw_reach((uint32_t)p[0], op->kh, op->sh, op->dil_h)
                     <= RL_M0_DW_SIDE, p[0], HALF_ROWS);
    REFUSE_UNLESS(p[1] >= 1 && p[1] <= RL_M0_DW_MOST
                  && rl_m0_dw_reach((uint32_t)p[1], op->kw, op->sw, op->dil_w)
                     <= RL_M0_DW_SIDE, p[1], HALF_COLUMNS);
    return RL_OK;
}

static rl_status check_parameters(rl_blob_state *c, const rl_op *op)
{
    const int32_t *p = op->p;
    uint32_t i;

    REFUSE_UNLESS(op->depth_mult == 1
                  && c->blob.tensors[op->in0].c == c->blob.tensors[op->out].c,
                  op->depth_mult, DEPTHWISE_CHANNELS);
    CHECK(check_half(c, op));
    REFUSE_UNLESS(p[2] >= 0 && p[2] <= (int32_t)c->blob.tensors[op->out].c,
                  p[2], EXACT_CHANNELS);
    REFUSE_UNLESS(p[3] >= 0 && p[3] <= 3, p[3], FLAGS);
    for (i = 4; i < 8; i++) {
        REFUSE_UNLESS(p[i] == 0, p[i], UNUSED);
    }
    REFUSE_UNLESS(rl_m0_depthwise_scratch(op) <= memory_of(c), p[0], SCRATCH);
    return RL_OK;
}

/* Channels without a formula name a row of the exact constants. */
static rl_status check_table(rl_blob_state *c, const rl_op *op)
{
    uint32_t n = c->blob.tensors[op->out].c;
    uint32_t words = (uint32_t)op->p[3] & RL_M0_CORNER ? 7u : 5u;
    const uint32_t *entry;

    CHECK(rl_blob_check_array(c, &op->off_mult, 4u * (uint64_t)n * words));
    CHECK(rl_blob_count(c, &op->off_mult, n));
    entry = (const uint32_t *)(const void *)(c->blob.base + op->off_mult);
    for (; n; n--, entry += words) {
        REFUSE_UNLESS(entry[3] || entry[0] < (uint32_t)op->p[2], entry[0],
                      EXACT_ROW);
    }
    return RL_OK;
}

static rl_status check_exact(rl_blob_state *c, const rl_op *op)
{
    uint32_t n = (uint32_t)op->p[2];
    const int32_t *row;

    if (n == 0) {
        REFUSE_UNLESS(op->off_shift == 0, op->off_shift, NO_EXACT);
        return RL_OK;
    }
    CHECK(rl_blob_check_array(c, &op->off_shift, 12u * (uint64_t)n));
    CHECK(rl_blob_count(c, &op->off_shift, n));
    row = (const int32_t *)(const void *)(c->blob.base + op->off_shift);
    for (; n; n--, row += 3) {
        REFUSE_UNLESS(is_multiplier(row[0], row[1]), row[0], MULTIPLIER);
    }
    return RL_OK;
}

rl_status rl_blob_check_m0plus_depthwise(rl_blob_state *c, const rl_op *op)
{
    uint32_t row = rl_m0_dw_is_3x3(op) ? 20u
                                       : (uint32_t)op->kh * op->kw + 1u;
    uint64_t size = (uint64_t)row * c->blob.tensors[op->out].c;

    CHECK(check_parameters(c, op));
    REFUSE_UNLESS(op->w_size == size, op->w_size, W_SIZE);
    CHECK(rl_blob_check_array(c, &op->off_w, size));
    REFUSE_UNLESS(op->off_bias == 0, op->off_bias, NO_BIAS);
    CHECK(check_table(c, op));
    return check_exact(c, op);
}

#else

rl_status rl_blob_check_m0plus_depthwise(rl_blob_state *c, const rl_op *op)
{
    return rl_blob_refuse(c, &op->kernel, RL_FAULT_KERNEL);
}

#endif
