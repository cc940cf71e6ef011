/* relume: AVERAGE_POOL_2D and MAX_POOL_2D, portable. Padding is left out of
 * the window, for the average also out of its divisor. Every window touches
 * the input (proven by the checker). */
#include "../kernels.h"
#include "../requant.h"
#include "dot.h"
#include "window.h"

#define LANE_TAPS 257u /* u = x + 128 of so many taps fit 16 bits */

typedef struct {
    const rl_call *call;
    const int8_t  *x;    /* first valid tap, channel 0 */
    uint32_t       rows, columns;
    uint32_t       x_row, channels; /* bytes from row to row, tap to tap */
} pixel;

/* n / d where n <= 128 d + d / 2 and d < 2^24: restoring division, 8 bits of
 * quotient, which is cheaper than a library call. */
static RL_HOT uint32_t divide(uint32_t n, uint32_t d)
{
    uint32_t quotient = 0;
    uint32_t bit;

    for (bit = 128, d <<= 7; bit; bit >>= 1, d >>= 1) {
        if (n >= d) {
            n -= d;
            quotient += bit;
        }
    }
    return quotient;
}

/* sum / count, halves away from zero. */
static RL_HOT int32_t average(int32_t sum, uint32_t count)
{
    if (sum > 0) {
        return (int32_t)divide((uint32_t)sum + count / 2, count);
    }
    return -(int32_t)divide((uint32_t)-sum + count / 2, count);
}

static RL_FAST RL_HOT int32_t sum_of(const pixel *at, uint32_t channel)
{
    const int8_t *row = at->x + channel;
    uint32_t step = at->channels;
    uint32_t rows, columns;
    int32_t sum = 0;

    for (rows = at->rows; rows; rows--) {
        const int8_t *x = row;

        for (columns = at->columns; columns; columns--) {
            sum += *x;
            x += step;
        }
        row += at->x_row;
    }
    return sum;
}

/* Channels [channel, channel + 4), which begin at a multiple of 4, of at most
 * LANE_TAPS taps: two channels a word. */
static RL_FAST RL_HOT void sum_four(const pixel *at, uint32_t channel,
                                    int32_t *sums)
{
    const int8_t *row = at->x + channel;
    uint32_t step = at->channels;
    uint32_t even = 0, odd = 0;
    int32_t zero = (int32_t)(128u * at->rows * at->columns);
    uint32_t rows, columns;

    for (rows = at->rows; rows; rows--) {
        const int8_t *x = row;

        for (columns = at->columns; columns; columns--) {
            uint32_t word = rl_dot_word(x) ^ 0x80808080u;

            even += word & 0x00FF00FFu;
            odd += (word >> 8) & 0x00FF00FFu;
            x += step;
        }
        row += at->x_row;
    }
    sums[0] = (int32_t)(even & 0xFFFFu) - zero;
    sums[1] = (int32_t)(odd & 0xFFFFu) - zero;
    sums[2] = (int32_t)(even >> 16) - zero;
    sums[3] = (int32_t)(odd >> 16) - zero;
}

static RL_FAST RL_HOT int32_t max_of(const pixel *at, uint32_t channel)
{
    const int8_t *row = at->x + channel;
    uint32_t step = at->channels;
    uint32_t rows, columns;
    int32_t max = -128;

    for (rows = at->rows; rows; rows--) {
        const int8_t *x = row;

        for (columns = at->columns; columns; columns--) {
            if (*x > max) {
                max = *x;
            }
            x += step;
        }
        row += at->x_row;
    }
    return max;
}

static RL_HOT void average_pixel(const pixel *at, int8_t *y)
{
    const rl_op *op = at->call->op;
    uint32_t count = at->rows * at->columns;
    int by_fours = at->channels % 4 == 0 && count <= LANE_TAPS;
    int32_t sums[4];
    uint32_t channel;

    for (channel = 0; channel < at->channels; channel++) {
        int32_t sum;

        if (!by_fours) {
            sum = sum_of(at, channel);
        } else {
            if (channel % 4 == 0) {
                sum_four(at, channel, sums);
            }
            sum = sums[channel % 4];
        }
        y[channel] = rl_requant_clamp(average(sum, count), op->act_min,
                                      op->act_max);
    }
}

static RL_HOT void max_pixel(const pixel *at, int8_t *y)
{
    const rl_op *op = at->call->op;
    uint32_t channel;

    for (channel = 0; channel < at->channels; channel++) {
        y[channel] = rl_requant_clamp(max_of(at, channel), op->act_min,
                                      op->act_max);
    }
}

/* The window whose first tap is at row y, column x. */
static RL_HOT void place(pixel *at, int32_t y, int32_t x)
{
    const rl_op *op = at->call->op;
    const rl_tensor *in = at->call->in0;
    rl_window_axis v = rl_window_clip(y, op->kh, 1, in->h);
    rl_window_axis h = rl_window_clip(x, op->kw, 1, in->w);

    at->rows = v.high - v.low;
    at->columns = h.high - h.low;
    at->x = at->call->a + (v.start * in->w + h.start) * in->c;
}

RL_INLINE void each_pixel(const rl_call *call,
                          void (*compute)(const pixel *at, int8_t *y))
{
    const rl_op *op = call->op;
    uint32_t width = call->out->w;
    uint32_t row = call->first / width;
    uint32_t column = call->first - row * width;
    int8_t *y = call->y + call->first * call->out->c;
    uint32_t left;
    pixel at;

    at.call = call;
    at.channels = call->in0->c;
    at.x_row = (uint32_t)call->in0->w * call->in0->c;
    for (left = call->count; left; left--) {
        place(&at, (int32_t)(row * op->sh) - op->pad_top,
              (int32_t)(column * op->sw) - op->pad_left);
        compute(&at, y);
        y += call->out->c;
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}

RL_HOT void rl_pool_average_tile(const rl_call *call)
{
    each_pixel(call, average_pixel);
}

RL_HOT void rl_pool_max_tile(const rl_call *call)
{
    each_pixel(call, max_pixel);
}
