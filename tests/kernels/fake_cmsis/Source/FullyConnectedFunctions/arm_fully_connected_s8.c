#include "arm_nnfunctions.h"

FAKE_LAYER(arm_fully_connected_s8, cmsis_nn_fc_params,
           cmsis_nn_per_tensor_quant_params)
{
    (void)ctx;
    (void)in;
    (void)bias_dims;
    for (int32_t o = 0; o < out->c; o++) {
        int32_t acc = bias[o];
        for (int32_t n = 0; n < filter->n; n++) {
            acc += (x[n] + p->input_offset) * weights[o * filter->n + n];
        }
        y[o] = fake_byte(acc, q->multiplier, q->shift, p->output_offset,
                         &p->activation);
    }
    return 0;
}
