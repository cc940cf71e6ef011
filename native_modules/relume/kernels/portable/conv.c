/* relume: CONV_2D, portable.
 *
 * For each output pixel the window is gathered once into scratch as 32-bit
 * words with the zero point taken off; padding is then a plain zero. Every
 * channel is one dot product of k = kh * kw * in.c terms, two channels at a
 * time so that a gathered word is loaded once for two products. */
#include "../kernels.h"
#include "dot.h"
#include "output.h"

static RL_HOT int32_t *put_zeros(int32_t *to, uint32_t n)
{
    while (n--) {
        *to++ = 0;
    }
    return to;
}

static RL_FAST RL_HOT int32_t *put_bytes(int32_t *to, const int8_t *from,
                                         uint32_t n, int32_t zero_point)
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

static RL_FAST RL_HOT void dot_words(const int32_t *x, const int8_t *w,
                                     uint32_t n, uint32_t *sum)
{
    rl_dot_words(x, w, n, sum);
}

static RL_FAST RL_HOT void dot_bytes(const int32_t *x, const int8_t *w,
                                     uint32_t n, uint32_t *sum)
{
    rl_dot_bytes(x, w, n, sum);
}

static RL_FAST RL_HOT uint32_t dot_row(const int32_t *x, const int8_t *w,
                                       uint32_t n)
{
    return rl_dot_row(x, w, n);
}

/* All channels of one gathered pixel, four at a time; the last four reach
 * back over channels already done, which get the same values again. */
static RL_HOT void channels_of(const rl_call *call, int8_t *y, uint32_t k)
{
    uint32_t n = call->out->c;
    int words = k % 4 == 0;
    uint32_t channel;
    uint32_t sums[4];

    for (channel = 0; n < 4 && channel < n; channel++) {
        sums[channel] = dot_row(call->scratch, call->w + channel * k, k);
    }
    if (n < 4) {
        rl_output_put(call, 0, sums, n, y);
        return;
    }
    for (channel = 0; channel < n; channel += 4) {
        const int8_t *w;

        if (channel + 4 > n) {
            channel = n - 4;
        }
        w = call->w + channel * k;
        if (words) {
            dot_words(call->scratch, w, k, sums);
            dot_words(call->scratch, w + 2 * k, k, sums + 2);
        } else {
            dot_bytes(call->scratch, w, k, sums);
            dot_bytes(call->scratch, w + 2 * k, k, sums + 2);
        }
        rl_output_put(call, channel, sums, 4, y + channel);
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
        channels_of(call, y, k);
        y += call->out->c;
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}
