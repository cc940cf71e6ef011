/* relume: FULLY_CONNECTED, portable: one row of weights per output, two
 * outputs of the same input row at a time. */
#include "../kernels.h"
#include "../requant.h"

typedef struct {
    uint32_t s0, s1;
} pair;

/* sum of (x[i] - zero_point) * w[i] for rows w[0, n) and w[n, 2n). */
static RL_HOT pair dot_two(const int8_t *x, const int8_t *w, uint32_t n,
                           int32_t zero_point)
{
    const int8_t *v = w + n;
    const int8_t *end2 = w + (n & ~1u);
    pair sum = { 0, 0 };
    int32_t u;

    for (; w != end2; w += 2, v += 2, x += 2) {
        u = x[0] - zero_point;
        sum.s0 += (uint32_t)(u * w[0]);
        sum.s1 += (uint32_t)(u * v[0]);
        u = x[1] - zero_point;
        sum.s0 += (uint32_t)(u * w[1]);
        sum.s1 += (uint32_t)(u * v[1]);
    }
    if (n & 1u) {
        u = x[0] - zero_point;
        sum.s0 += (uint32_t)(u * w[0]);
        sum.s1 += (uint32_t)(u * v[0]);
    }
    return sum;
}

static RL_HOT uint32_t dot_one(const int8_t *x, const int8_t *w, uint32_t n,
                               int32_t zero_point)
{
    const int8_t *end = x + n;
    uint32_t sum = 0;

    while (x != end) {
        sum += (uint32_t)((*x++ - zero_point) * *w++);
    }
    return sum;
}

static RL_HOT int8_t finish(const rl_call *call, uint32_t channel,
                            uint32_t sum)
{
    const rl_op *op = call->op;
    int32_t acc = (int32_t)sum;

    if (call->bias) {
        acc = rl_requant_add(acc, call->bias[channel]);
    }
    acc = rl_requant_scale(acc, call->mult[channel], call->shift[channel]);
    acc = rl_requant_add(acc, call->out->zero_point);
    return rl_requant_clamp(acc, op->act_min, op->act_max);
}

/* Outputs [channel, channel + n) of one input row x[k]. */
static RL_HOT void row_of(const rl_call *call, const int8_t *x, uint32_t k,
                          uint32_t channel, uint32_t n, int8_t *y)
{
    int32_t zero_point = call->in0->zero_point;
    const int8_t *w = call->w + channel * k;

    for (; n >= 2; n -= 2, channel += 2, w += 2 * k) {
        pair sum = dot_two(x, w, k, zero_point);

        *y++ = finish(call, channel, sum.s0);
        *y++ = finish(call, channel + 1, sum.s1);
    }
    if (n) {
        *y = finish(call, channel, dot_one(x, w, k, zero_point));
    }
}

RL_HOT void rl_dense_tile(const rl_call *call)
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
