/* relume: DEPTHWISE_CONV_2D, portable: small rather than fast, for each core
 * has a kernel of its own for nearly all of them. Bounds are settled once per
 * pixel. */
#include "../kernels.h"
#include "output.h"
#include "window.h"

typedef struct {
    const rl_call *call;
    const int8_t  *x;    /* first valid tap, channel 0 */
    const int8_t  *w;    /* weights of that tap, channel 0 */
    uint32_t       rows, columns;
    uint32_t       x_row, x_column; /* bytes from tap to tap in x */
    uint32_t       w_row;           /* bytes from row to row in w */
} pixel;

/* One output channel that reads input channel `source`. */
static RL_HOT void one(const pixel *at, uint32_t channel, uint32_t source,
                       int8_t *y)
{
    const int8_t *x_row = at->x + source;
    const int8_t *w_row = at->w + channel;
    uint32_t channels = at->call->out->c;
    int32_t zero_point = at->call->in0->zero_point;
    uint32_t sum = 0;
    uint32_t rows, columns;

    for (rows = at->rows; rows; rows--) {
        const int8_t *x = x_row;
        const int8_t *w = w_row;

        for (columns = at->columns; columns; columns--) {
            sum += (uint32_t)((*x - zero_point) * *w);
            x += at->x_column;
            w += channels;
        }
        x_row += at->x_row;
        w_row += at->w_row;
    }
    rl_output_put(at->call, channel, &sum, 1, y + channel);
}

static RL_HOT void channels_of(const pixel *at, int8_t *y)
{
    uint32_t n = at->call->out->c;
    uint32_t channel = 0, source, left;

    for (source = 0; channel < n; source++) {
        for (left = at->call->op->depth_mult; left; left--) {
            one(at, channel++, source, y);
        }
    }
}

/* The window whose first tap is at row y, column x. */
static RL_HOT void place(pixel *at, int32_t y, int32_t x)
{
    const rl_op *op = at->call->op;
    const rl_tensor *in = at->call->in0;
    rl_window_axis v = rl_window_clip(y, op->kh, op->dil_h, in->h);
    rl_window_axis h = rl_window_clip(x, op->kw, op->dil_w, in->w);

    at->rows = v.high - v.low;
    at->columns = h.high - h.low;
    if (at->rows == 0 || at->columns == 0) {
        at->rows = 0;
        at->x = at->call->a;
        at->w = at->call->w;
        return;
    }
    at->x = at->call->a + (v.start * in->w + h.start) * in->c;
    at->w = at->call->w + (v.low * op->kw + h.low) * at->call->out->c;
}

RL_HOT void rl_depthwise_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t width = call->out->w;
    uint32_t row = call->first / width;
    uint32_t column = call->first - row * width;
    int8_t *y = call->y + call->first * call->out->c;
    uint32_t left;
    pixel at;

    at.call = call;
    at.x_column = (uint32_t)op->dil_w * call->in0->c;
    at.x_row = (uint32_t)op->dil_h * call->in0->w * call->in0->c;
    at.w_row = (uint32_t)op->kw * call->out->c;
    for (left = call->count; left; left--) {
        place(&at, (int32_t)(row * op->sh) - op->pad_top,
              (int32_t)(column * op->sw) - op->pad_left);
        channels_of(&at, y);
        y += call->out->c;
        if (++column == width) {
            column = 0;
            row++;
        }
    }
}
