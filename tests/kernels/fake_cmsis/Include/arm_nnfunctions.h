/* A stand-in of our own for tests: the functions that relume.bench.cmsis calls. */
#ifndef FAKE_ARM_NNFUNCTIONS_H
#define FAKE_ARM_NNFUNCTIONS_H

#include "arm_nn_types.h"

#define FAKE_LAYER(name, params, quant) \
    arm_cmsis_nn_status name( \
        const cmsis_nn_context *ctx, const params *p, const quant *q, \
        const cmsis_nn_dims *in, const int8_t *x, \
        const cmsis_nn_dims *filter, const int8_t *weights, \
        const cmsis_nn_dims *bias_dims, const int32_t *bias, \
        const cmsis_nn_dims *out, int8_t *y)

FAKE_LAYER(arm_convolve_wrapper_s8, cmsis_nn_conv_params,
           cmsis_nn_per_channel_quant_params);
FAKE_LAYER(arm_depthwise_conv_wrapper_s8, cmsis_nn_dw_conv_params,
           cmsis_nn_per_channel_quant_params);
FAKE_LAYER(arm_fully_connected_s8, cmsis_nn_fc_params,
           cmsis_nn_per_tensor_quant_params);

/* TFLite's requantisation and clamp. */
int8_t fake_byte(int32_t acc, int32_t multiplier, int32_t shift,
                 int32_t offset, const cmsis_nn_activation *clamp);

#endif
