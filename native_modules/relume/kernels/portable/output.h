/* relume: from the sums of a weighted op to its output bytes. */
#ifndef RELUME_OUTPUT_H
#define RELUME_OUTPUT_H

#include "../kernels.h"

/* y[i] = clamp(scale(sums[i] + bias) + zero point) of channels
 * [channel, channel + n), n >= 1. */
void rl_output_put(const rl_call *call, uint32_t channel,
                   const uint32_t *sums, uint32_t n, int8_t *y);

#endif
