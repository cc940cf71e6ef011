/* relume: FULLY_CONNECTED, portable: one row of weights per output, two
 * outputs of the same input row at a time where words are aligned. */
#include "../kernels.h"
#include "dot.h"
#include "output.h"

/* sum[r] = sum of (x[i] - zero_point) * w[r * n + i], i < n, r < 2. n and w are
 * multiples of 4. */
RL_APART RL_HOT void dot_words(const int8_t *x, const int8_t *w, uint32_t n,
                               int32_t zero_point, uint32_t *sum)
{
    const int8_t *end = w + n;
    uint32_t s0 = 0, s1 = 0;

    for (; w != end; w += 4, x += 4) {
        uint32_t u = rl_dot_word(w), v = rl_dot_word(w + n);
        int32_t z = x[0] - zero_point;

        rl_dot_add(&s0, z, (int8_t)u);
        rl_dot_add(&s1, z, (int8_t)v);
        z = x[1] - zero_point;
        u >>= 8;
        v >>= 8;
        rl_dot_add(&s0, z, (int8_t)u);
        rl_dot_add(&s1, z, (int8_t)v);
        z = x[2] - zero_point;
        u >>= 8;
        v >>= 8;
        rl_dot_add(&s0, z, (int8_t)u);
        rl_dot_add(&s1, z, (int8_t)v);
        z = x[3] - zero_point;
        u >>= 8;
        v >>= 8;
        rl_dot_add(&s0, z, (int8_t)u);
        rl_dot_add(&s1, z, (int8_t)v);
    }
    sum[0] = s0;
    sum[1] = s1;
}

static RL_HOT uint32_t dot_row(const int8_t *x, const int8_t *w, uint32_t n,
                               int32_t zero_point)
{
    const int8_t *end = x + n;
    uint32_t sum = 0;

    while (x != end) {
        sum += (uint32_t)((*x++ - zero_point) * *w++);
    }
    return sum;
}

/* Outputs [channel, channel + n) of one input row x[k]. */
static RL_HOT RL_SMALL void row_of(const rl_call *call, const int8_t *x,
                                   uint32_t k, uint32_t channel, uint32_t n,
                                   int8_t *y)
{
    int32_t zero_point = call->in0->zero_point;
    const int8_t *w = call->w + channel * k;
    uint32_t sums[4];

    for (; k % 4 == 0 && n >= 4; n -= 4, channel += 4, w += 4 * k, y += 4) {
        dot_words(x, w, k, zero_point, sums);
        dot_words(x, w + 2 * k, k, zero_point, sums + 2);
        rl_output_put(call, channel, sums, 4, y);
    }
    for (; n; n--, channel++, w += k, y++) {
        sums[0] = dot_row(x, w, k, zero_point);
        rl_output_put(call, channel, sums, 1, y);
    }
}

RL_HOT RL_SMALL void rl_dense_tile(const rl_call *call)
{
    uint32_t channels = call->out->c;
    uint32_t rows = (uint32_t)call->out->h * call->out->w;
    uint32_t k = call->in0->size / rows;
    uint32_t row = call->first / channels;
    uint32_t channel = call->first - row * channels;
    const int8_t *x = call->a + row * k;
    int8_t *y = call->y + call->first;
    uint32_t left = call->count;

    while (left) {
        uint32_t n = channels - channel;

        if (n > left) {
            n = left;
        }
        row_of(call, x, k, channel, n, y);
        y += n;
        x += k;
        left -= n;
        channel = 0;
    }
}
