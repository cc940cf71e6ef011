/* relume: DEPTHWISE_CONV_2D of any filter, Cortex-M4: one pixel at a time,
 * four channels of it together. A window inside the input is read where it
 * lies. Others, and all where channels are repeated or make no whole words,
 * are gathered: [taps][out.c rounded up to 4] bytes, padding and repetitions
 * included.
 *
 * Scratch: a gathered window, and a pixel of the output. */
#include "m4.h"

typedef struct {
    const rl_call *call;
    uint32_t       channels; /* of the output, rounded up to 4 */
    uint32_t       x_row;    /* bytes of an input row */
    uint32_t       fill;     /* four zero points */
    int8_t        *window;
    uint8_t       *pixel;    /* where the output has no whole words */
    int            in_place; /* windows inside the input need no gathering */
} walk;

#if !RL_M4_ASM

static uint8_t byte_of(uint32_t sum, const uint32_t *channel)
{
    uint64_t product = (uint64_t)((int64_t)(int32_t)(sum << 1)
                                  * (int32_t)channel[0]);
    int32_t x = (int32_t)(uint32_t)((product + (1ull << 31)) >> 32);
    uint32_t by = channel[2] & 0xFFu;

    x = (int32_t)((uint32_t)x + (uint32_t)(x >> 31) + channel[1]);
    x >>= by < 32u ? by : 31u;
    return (uint8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

static const uint32_t *block_of(const rl_m4_window *job, const int8_t *x,
                                const uint32_t *w, uint32_t *sum)
{
    uint32_t row, column;

    for (row = 0; row < job->rows; row++) {
        const int8_t *at = x + row * job->x_row;

        for (column = 0; column < job->columns; column++, w += 2) {
            const int8_t *tap = at + column * job->x_column;

            sum[0] += (uint32_t)(tap[0] * (int16_t)(w[0] & 0xFFFFu));
            sum[1] += (uint32_t)(tap[1] * (int16_t)(w[1] & 0xFFFFu));
            sum[2] += (uint32_t)(tap[2] * (int16_t)(w[0] >> 16));
            sum[3] += (uint32_t)(tap[3] * (int16_t)(w[1] >> 16));
        }
    }
    return w;
}

void rl_m4_taps(const rl_m4_window *job)
{
    const uint32_t *table = job->table;
    const uint32_t *w = job->w;
    uint32_t block, i;

    for (block = 0; block < job->blocks; block++, table += RL_M4_TABLE) {
        uint32_t sum[4];

        for (i = 0; i < 4; i++) {
            sum[i] = table[i];
        }
        w = block_of(job, job->x + 4u * block, w, sum);
        for (i = 0; i < 4; i++) {
            job->y[4u * block + i] = byte_of(sum[i], table + 4 + 3 * i);
        }
    }
}

#endif

/* One input pixel, each channel depth_mult times. */
static RL_HOT void put_pixel(const walk *at, int8_t *to, const int8_t *from)
{
    uint32_t repeat = at->call->op->depth_mult;
    uint32_t n = at->call->in0->c;
    uint32_t left;

    if (repeat == 1) {
        (void)rl_m4_put(to, from, n);
        return;
    }
    for (; n; n--, from++) {
        for (left = repeat; left; left--) {
            *to++ = *from;
        }
    }
}

/* One row of taps from column x on, tap by tap. row: of the input. */
static RL_HOT int8_t *put_taps(const walk *at, int8_t *to, const int8_t *row,
                               int32_t x)
{
    const rl_op *op = at->call->op;
    const rl_tensor *in = at->call->in0;
    uint32_t n;

    for (n = op->kw; n; n--, x += op->dil_w, to += at->channels) {
        if (x < 0 || x >= in->w) {
            (void)rl_m4_put_fill(to, at->fill, at->channels);
        } else {
            put_pixel(at, to, row + (uint32_t)x * in->c);
        }
    }
    return to;
}

/* The same for taps that lie side by side, in one run. At least one is
 * inside: the checker's windows are, where they are not dilated. */
static RL_HOT int8_t *put_run(const walk *at, int8_t *to, const int8_t *row,
                              int32_t x)
{
    int32_t n = at->call->op->kw;
    int32_t left = x < 0 ? -x : 0;
    int32_t end = at->call->in0->w - x;
    uint32_t c = at->channels;

    end = end < n ? end : n;
    to = rl_m4_put_fill(to, at->fill, (uint32_t)left * c);
    to = rl_m4_put(to, row + (uint32_t)(x + left) * c,
                   (uint32_t)(end - left) * c);
    return rl_m4_put_fill(to, at->fill, (uint32_t)(n - end) * c);
}

/* The window whose first tap is at row y, column x. */
static RL_HOT void gather(const walk *at, int32_t y, int32_t x)
{
    const rl_op *op = at->call->op;
    int8_t *to = at->window;
    uint32_t rows;

    for (rows = op->kh; rows; rows--, y += op->dil_h) {
        const int8_t *row = at->call->a;

        if (y < 0 || y >= at->call->in0->h) {
            to = rl_m4_put_fill(to, at->fill, op->kw * at->channels);
            continue;
        }
        row += (uint32_t)y * at->x_row;
        to = at->in_place && op->dil_w == 1 ? put_run(at, to, row, x)
                                            : put_taps(at, to, row, x);
    }
}

static RL_HOT int is_inside(const walk *at, int32_t y, int32_t x)
{
    const rl_op *op = at->call->op;

    return y >= 0 && x >= 0
        && y + (op->kh - 1) * op->dil_h < at->call->in0->h
        && x + (op->kw - 1) * op->dil_w < at->call->in0->w;
}

static RL_HOT void find_window(const walk *at, int32_t y, int32_t x,
                               rl_m4_window *job)
{
    const rl_op *op = at->call->op;

    if (at->in_place && is_inside(at, y, x)) {
        job->x = at->call->a + (uint32_t)y * at->x_row
            + (uint32_t)x * at->channels;
        job->x_column = op->dil_w * at->channels;
        job->x_row = op->dil_h * at->x_row;
        job->columns = op->kw;
        job->rows = op->kh;
        return;
    }
    gather(at, y, x);
    job->x = at->window;
    job->x_column = at->channels;
    job->x_row = 0;
    job->columns = (uint32_t)op->kh * op->kw;
    job->rows = 1;
}

RL_HOT void rl_m4_taps_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t c = call->out->c;
    uint32_t row = call->first / call->out->w;
    uint32_t column = call->first - row * call->out->w;
    int8_t *y = call->y + call->first * c;
    uint32_t left;
    rl_m4_window job;
    walk at;

    at.call = call;
    at.channels = (c + 3u) & ~3u;
    at.x_row = (uint32_t)call->in0->w * call->in0->c;
    at.fill = (uint8_t)call->in0->zero_point * 0x01010101u;
    at.window = (int8_t *)call->scratch;
    at.pixel = (uint8_t *)call->scratch
        + (uint32_t)op->kh * op->kw * at.channels;
    at.in_place = op->depth_mult == 1 && at.channels == c;
    job.w = (const uint32_t *)(const void *)call->w;
    job.table = (const uint32_t *)(const void *)call->bias;
    job.blocks = at.channels / 4u;
    for (left = call->count; left; left--, y += c) {
        find_window(&at, (int32_t)(row * op->sh) - op->pad_top,
                    (int32_t)(column * op->sw) - op->pad_left, &job);
        job.y = at.channels == c ? (uint8_t *)y : at.pixel;
        rl_m4_taps(&job);
        if (at.channels != c) {
            (void)rl_m4_put(y, (const int8_t *)at.pixel, c);
        }
        if (++column == call->out->w) {
            column = 0;
            row++;
        }
    }
}
