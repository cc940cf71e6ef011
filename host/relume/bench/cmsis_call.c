/* Calls CMSIS-NN's functions for one layer, from a table of words that
 * relume.bench.cmsis fills: linked with a checkout that the user names. */
#include "arm_nnfunctions.h"

enum { IN_H, IN_W, IN_C, OUT_H, OUT_W, OUT_C, KH, KW, SH, SW, PAD_H, PAD_W,
       DIL_H, DIL_W, IN_OFFSET, OUT_OFFSET, ACT_MIN, ACT_MAX, CH_MULT,
       MULTIPLIERS, SHIFTS, WEIGHTS, BIAS, INPUT, OUTPUT, BUFFER,
       BUFFER_SIZE, KIND };

enum { CONV = 1, DEPTHWISE = 2, DENSE = 3 };

static void *at(const int32_t *v, int field)
{
    return (void *)(intptr_t)v[field];
}

static int32_t conv(const int32_t *v, const cmsis_nn_context *ctx)
{
    cmsis_nn_conv_params p = { v[IN_OFFSET], v[OUT_OFFSET],
        { v[SW], v[SH] }, { v[PAD_W], v[PAD_H] }, { v[DIL_W], v[DIL_H] },
        { v[ACT_MIN], v[ACT_MAX] } };
    cmsis_nn_per_channel_quant_params q = { at(v, MULTIPLIERS),
                                            at(v, SHIFTS) };
    cmsis_nn_dims in = { 1, v[IN_H], v[IN_W], v[IN_C] };
    cmsis_nn_dims filter = { v[OUT_C], v[KH], v[KW], v[IN_C] };
    cmsis_nn_dims bias = { 1, 1, 1, v[OUT_C] };
    cmsis_nn_dims out = { 1, v[OUT_H], v[OUT_W], v[OUT_C] };
    return arm_convolve_wrapper_s8(ctx, &p, &q, &in, at(v, INPUT), &filter,
                                   at(v, WEIGHTS), &bias, at(v, BIAS), &out,
                                   at(v, OUTPUT));
}

static int32_t depthwise(const int32_t *v, const cmsis_nn_context *ctx)
{
    cmsis_nn_dw_conv_params p = { v[IN_OFFSET], v[OUT_OFFSET], v[CH_MULT],
        { v[SW], v[SH] }, { v[PAD_W], v[PAD_H] }, { v[DIL_W], v[DIL_H] },
        { v[ACT_MIN], v[ACT_MAX] } };
    cmsis_nn_per_channel_quant_params q = { at(v, MULTIPLIERS),
                                            at(v, SHIFTS) };
    cmsis_nn_dims in = { 1, v[IN_H], v[IN_W], v[IN_C] };
    cmsis_nn_dims filter = { 1, v[KH], v[KW], v[OUT_C] };
    cmsis_nn_dims bias = { 1, 1, 1, v[OUT_C] };
    cmsis_nn_dims out = { 1, v[OUT_H], v[OUT_W], v[OUT_C] };
    return arm_depthwise_conv_wrapper_s8(ctx, &p, &q, &in, at(v, INPUT),
                                         &filter, at(v, WEIGHTS), &bias,
                                         at(v, BIAS), &out, at(v, OUTPUT));
}

/* One multiplier for all channels, as TFLite's dense layers mostly have. */
static int32_t dense(const int32_t *v, const cmsis_nn_context *ctx)
{
    cmsis_nn_fc_params p = { v[IN_OFFSET], 0, v[OUT_OFFSET],
                             { v[ACT_MIN], v[ACT_MAX] } };
    cmsis_nn_per_tensor_quant_params q = {
        *(const int32_t *)at(v, MULTIPLIERS),
        *(const int32_t *)at(v, SHIFTS) };
    cmsis_nn_dims in = { 1, 1, 1, v[IN_C] };
    cmsis_nn_dims filter = { v[IN_C], 1, 1, v[OUT_C] };
    cmsis_nn_dims bias = { 1, 1, 1, v[OUT_C] };
    cmsis_nn_dims out = { 1, 1, 1, v[OUT_C] };
    return arm_fully_connected_s8(ctx, &p, &q, &in, at(v, INPUT), &filter,
                                  at(v, WEIGHTS), &bias, at(v, BIAS), &out,
                                  at(v, OUTPUT));
}

int32_t relume_cmsis(const int32_t *v);

int32_t relume_cmsis(const int32_t *v)
{
    cmsis_nn_context ctx = { at(v, BUFFER), v[BUFFER_SIZE] };
    switch (v[KIND]) {
        case CONV:
            return conv(v, &ctx);
        case DEPTHWISE:
            return depthwise(v, &ctx);
        default:
            return dense(v, &ctx);
    }
}
