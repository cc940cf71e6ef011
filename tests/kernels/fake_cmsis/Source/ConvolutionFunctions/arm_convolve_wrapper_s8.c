#include "arm_nnfunctions.h"

FAKE_LAYER(arm_convolve_wrapper_s8, cmsis_nn_conv_params,
           cmsis_nn_per_channel_quant_params)
{
    (void)ctx;
    (void)bias_dims;
    for (int32_t i = 0; i < out->h * out->w * out->c; i++) {
        int32_t o = i % out->c, column = i / out->c % out->w;
        int32_t row = i / out->c / out->w, acc = bias[o];
        for (int32_t k = 0; k < filter->h * filter->w; k++) {
            int32_t r = row * p->stride.h - p->padding.h + k / filter->w;
            int32_t c = column * p->stride.w - p->padding.w + k % filter->w;
            if (r < 0 || r >= in->h || c < 0 || c >= in->w) {
                continue;
            }
            for (int32_t n = 0; n < in->c; n++) {
                acc += (x[(r * in->w + c) * in->c + n] + p->input_offset)
                       * weights[(o * filter->h * filter->w + k) * in->c + n];
            }
        }
        y[i] = fake_byte(acc, q->multiplier[o], q->shift[o], p->output_offset,
                         &p->activation);
    }
    return 0;
}
