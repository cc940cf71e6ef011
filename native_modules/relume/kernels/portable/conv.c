/* relume: CONV_2D, portable.
 *
 * For each output pixel the window is gathered once into scratch as 32-bit
 * words with the zero point taken off; padding is then a plain zero. Every
 * channel is one dot product of k = kh * kw * in.c terms, two channels at a
 * time so that a gathered word is loaded once for two products. */
#include "../kernels.h"
#include "../requant.h"
#include "dot.h"

static RL_HOT int32_t *put_zeros(int32_t *to, uint32_t n)
{
    while (n--) {
        *to++ = 0;
    }
    return to;
}

static RL_HOT int32_t *put_bytes(int32_t *to, const int8_t *from, uint32_t n,
                                 int32_t zero_point)
{
    const int8_t *end4 = from + (n & ~3u);
    const int8_t *end = from + n;

    for (; from != end4; from += 4, to += 4) {
        to[0] = from[0] - zero_point;
        to[1] = from[1] - zero_point;
        to[2] = from[2] - zero_point;
        to[3] = from[3] - zero_point;
    }
    while (from != end) {
        *to++ = *from++ - zero_point;
    }
    return to;
}

/* One row of the window: kw taps from column x on, of the input row `row`
 * ([in.w][in.c]). */
static RL_HOT int32_t *put_row(const rl_call *call, int32_t *to,
                               const int8_t *row, int32_t x)
{
    const rl_op *op = call->op;
    int32_t width = call->in0->w;
    uint32_t c = call->in0->c;
    int32_t zero_point = call->in0->zero_point;
    uint32_t taps = op->kw;

    if (op->dil_w == 1 && x >= 0 && x + (int32_t)taps <= width) {
        return put_bytes(to, row + (uint32_t)x * c, taps * c, zero_point);
    }
    for (; taps; taps--, x += op->dil_w) {
        if (x < 0 || x >= width) {
            to = put_zeros(to, c);
        } else {
            to = put_bytes(to, row + (uint32_t)x * c, c, zero_point);
        }
    }
    return to;
}

/* The window whose first tap is at row y, column x. */
static RL_HOT void gather(const rl_call *call, int32_t y, int32_t x)
{
    const rl_op *op = call->op;
    uint32_t stride = (uint32_t)call->in0->w * call->in0->c;
    int32_t height = call->in0->h;
    int32_t *to = call->scratch;
    uint32_t rows;

    for (rows = op->kh; rows; rows--, y += op->dil_h) {
        if (y < 0 || y >= height) {
            to = put_zeros(to, (uint32_t)op->kw * call->in0->c);
        } else {
            to = put_row(call, to, call->a + (uint32_t)y * stride, x);
        }
    }
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

/* All channels of one gathered pixel. An odd last channel is computed
 * together with the one before it, which gets the same value again. */
static RL_HOT void channels(const rl_call *call, int8_t *y, uint32_t k)
{
    uint32_t n = call->out->c;
    uint32_t channel;

    if (n == 1) {
        y[0] = finish(call, 0, rl_dot_one(call->scratch, call->w, k));
        return;
    }
    for (channel = 0; channel < n; channel += 2) {
        rl_dot_pair sum;

        if (channel + 1 == n) {
            channel--;
        }
        sum = rl_dot_two(call->scratch, call->w + channel * k, k);
        y[channel] = finish(call, channel, sum.s0);
        y[channel + 1] = finish(call, channel + 1, sum.s1);
    }
}

RL_HOT void rl_conv_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t width = call->out->w;
    uint32_t row = call->first / width;
    uint32_t column = call->first - row * width;
    uint32_t k = (uint32_t)op->kh * op->kw * call->in0->c;
    int8_t *y = call->y + call->first * call->out->c;
    uint32_t left;

    for (left = call->count; left; left--) {
        gather(call, (int32_t)(row * op->sh) - op->pad_top,
               (int32_t)(column * op->sw) - op->pad_left);
        channels(call, y, k);
        y += call->out->c;
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}
