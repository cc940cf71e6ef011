/* relume: requantization of CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED. */
#include "output.h"

#include "../requant.h"

RL_HOT void rl_output_put(const rl_call *call, uint32_t channel,
                          const uint32_t *sums, uint32_t n, int8_t *y)
{
    const rl_op *op = call->op;
    int32_t zero = call->out->zero_point;
    int32_t low = op->act_min, high = op->act_max;
    const int32_t *bias = call->bias ? call->bias + channel : NULL;
    const int32_t *mult = call->mult + channel;
    const int8_t *shift = call->shift + channel;
    int8_t *end = y + n;

    while (y != end) {
        int32_t acc = (int32_t)*sums++;

        if (bias) {
            acc = rl_requant_add(acc, *bias++);
        }
        acc = rl_requant_scale(acc, *mult++, *shift++);
        *y++ = rl_requant_clamp(rl_requant_add(acc, zero), low, high);
    }
}
