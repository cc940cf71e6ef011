/* relume: CONV_2D, Cortex-M4: windows of pairs of pixels are widened to
 * halfwords, rl_m4_blocks does the rest. Padding is the input's zero point,
 * which the packer has folded into the bias. Three ways to the windows:
 *
 * points   1 x 1 dense: the input as it is, two pixels at a time.
 * columns  stride 1 (p[2]): terms in the order [kw][kh][in.c]. A window is kw
 *          columns of the input side by side; each column is widened once
 *          for all windows of a row that hold it.
 * windows  any other: each window by itself, terms [kh][kw * in.c rounded up
 *          to 4], the spare weights 0: up to 3 bytes behind a row are read
 *          and count for nothing. Windows that leave the input or are
 *          dilated are gathered first.
 *
 * Where channels are left out (p[3]: how many are computed) a pixel is a copy
 * of the template at off_mult, and channel i of the sums goes to byte
 * place[i] of off_shift.
 *
 * Scratch (rl_m4_layout_of): `group` pairs of windows; for columns one column
 * more at either end, and a pixel of padding; else two windows of bytes.
 * Behind them the computed channels of the group, if some are left out. */
#include "conv.h"

/* ----------------------------------------------------------------- windows */

static RL_HOT rl_m4_corner next(rl_m4_walk *at)
{
    const rl_op *op = at->call->op;
    rl_m4_corner p;

    p.y = (int32_t)(at->row * op->sh) - op->pad_top;
    p.x = (int32_t)(at->column * op->sw) - op->pad_left;
    if (++at->column == at->call->out->w) {
        at->column = 0;
        at->row++;
    }
    return p;
}

/* Pixels from the next one on, at most n, whose windows are inside. */
static RL_HOT uint32_t inside(const rl_m4_walk *at, uint32_t n)
{
    const rl_op *op = at->call->op;
    int32_t y = (int32_t)(at->row * op->sh) - op->pad_top;
    int32_t x = (int32_t)(at->column * op->sw) - op->pad_left;
    int32_t last = at->call->in0->w - op->kw; /* column of a first tap */
    uint32_t some = 0;

    if (!at->compact || y < 0 || x < 0 || y + op->kh > at->call->in0->h) {
        return 0;
    }
    if (n > at->call->out->w - at->column) {
        n = at->call->out->w - at->column;
    }
    for (; some < n && x <= last; some++) {
        x += op->sw;
    }
    return some;
}

/* n pixels of one row, all inside, n even. */
static RL_HOT void widen_inside(rl_m4_walk *at, uint32_t n, uint32_t *to)
{
    const rl_op *op = at->call->op;
    uint32_t c = at->call->in0->c;
    uint32_t step = op->sw * c;
    rl_m4_corner p = next(at);
    const int8_t *x = at->call->a + (uint32_t)p.y * at->x_row
        + (uint32_t)p.x * c;
    uint32_t words = at->run >> 2;
    uint32_t rows = op->kh;
    uint32_t left;

    for (left = n; left; left -= 2, to += at->k, x += 2u * step) {
        rl_m4_widen_two(to, x, x + step, words, at->x_row, rows);
    }
    at->column += n - 1u;
    if (at->column >= at->call->out->w) {
        at->column = 0;
        at->row++;
    }
}

static RL_HOT void widen_any(rl_m4_walk *at, uint32_t n, uint32_t *to)
{
    rl_m4_corner p = next(at);
    rl_m4_corner q = n > 1 ? next(at) : p;

    rl_m4_gather(at, &p, at->bytes);
    rl_m4_gather(at, &q, at->bytes + at->k);
    rl_m4_widen_two(to, at->bytes, at->bytes + at->k, at->k >> 2, 0, 1);
}

/* Pixels [0, n) from `row`, `column` on; an odd last one twice. */
static RL_HOT void windows(rl_m4_walk *at, uint32_t n)
{
    uint32_t *to = at->words;

    while (n) {
        uint32_t some = inside(at, n) & ~1u;

        if (some) {
            widen_inside(at, some, to);
        } else {
            some = n > 1 ? 2 : 1;
            widen_any(at, some, to);
        }
        to += ((some + 1u) >> 1) * at->k;
        n -= some;
    }
}

/* ----------------------------------------------------------------- columns */

static RL_HOT const int8_t *pixel_at(const rl_m4_walk *at, int32_t y, int32_t x)
{
    return at->call->a + (uint32_t)y * at->x_row
        + (uint32_t)x * at->call->in0->c;
}

/* Words of n columns from (y, x) on to `to`. All columns are inside the input
 * or all are outside; rows may be either. */
static RL_HOT void widen_at(const rl_m4_walk *at, int32_t y, int32_t x,
                            uint32_t *to, uint32_t n, int outside)
{
    const rl_tensor *in = at->call->in0;
    uint32_t c = in->c;
    uint32_t rows = at->call->op->kh;
    uint32_t *too = to - rows * c + 1;
    uint32_t row;

    if (!outside && y >= 0 && y + (int32_t)rows <= in->h) {
        rl_m4_widen_columns(to, too, pixel_at(at, y, x), c >> 2, at->x_row,
                            rows, n);
        return;
    }
    for (; n; n--, x++) {
        for (row = 0; row < rows; row++, to += c, too += c) {
            int32_t v = y + (int32_t)row;
            int here = !outside && v >= 0 && v < in->h;

            rl_m4_widen_columns(to, too,
                                here ? pixel_at(at, v, x) : at->bytes,
                                c >> 2, 0, 1, 1);
        }
    }
}

/* Columns of pixels [0, n) of one row. Words 0 of a column are for the first
 * pixel of a pair, words 1 of the one before for the second: columns -1 and
 * past the last are written in halves that nobody reads. */
static RL_HOT void columns(rl_m4_walk *at, uint32_t n)
{
    const rl_op *op = at->call->op;
    uint32_t size = (uint32_t)op->kh * at->call->in0->c;
    uint32_t *to = at->words;
    rl_m4_corner p = next(at);
    int32_t end = p.x + (int32_t)(((n + 1u) & ~1u) - 1u + op->kw);
    int32_t x = p.x;

    while (x < end) {
        int outside = x < 0 || x >= at->call->in0->w;
        int32_t stop = x < 0 ? 0 : outside ? end : at->call->in0->w;

        stop = stop < end ? stop : end;
        widen_at(at, p.y, x, to, (uint32_t)(stop - x), outside);
        to += (uint32_t)(stop - x) * size;
        x = stop;
    }
    at->column += n - 1u;
    if (at->column >= at->call->out->w) {
        at->column = 0;
        at->row++;
    }
}

/* -------------------------------------------------------------------- tile */

static RL_HOT void begin(rl_m4_walk *at, const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t c = call->in0->c;
    uint32_t i;

    at->call = call;
    at->row = call->first / call->out->w;
    at->column = call->first - at->row * call->out->w;
    at->x_row = (uint32_t)call->in0->w * c;
    at->run = ((uint32_t)op->kw * c + 3u) & ~3u;
    at->k = (uint32_t)op->kh * at->run;
    at->fill = (uint8_t)call->in0->zero_point * 0x01010101u;
    at->compact = op->dil_h == 1 && op->dil_w == 1;
    at->bytes = (int8_t *)call->scratch;
    at->words = (uint32_t *)(void *)call->scratch;
    if (!op->p[2]) {
        at->words += at->k / 2u;
        return;
    }
    at->words += c / 4u + op->kh * c;
    for (i = 0; i < c; i++) {
        at->bytes[i] = (int8_t)call->in0->zero_point;
    }
}

static RL_HOT int is_points(const rl_m4_walk *at)
{
    const rl_op *op = at->call->op;

    return op->kh == 1 && op->kw == 1 && op->sh == 1 && op->sw == 1
        && (at->call->in0->c & 3u) == 0
        && at->call->out->w == at->call->in0->w;
}

/* Windows of pixels [done, done + n) of the tile. */
static RL_HOT void fill_windows(rl_m4_walk *at, uint32_t n, uint32_t done)
{
    uint32_t c = at->call->in0->c;

    if (at->call->op->p[2]) {
        columns(at, n);
    } else if (is_points(at)) {
        const int8_t *x = at->call->a + (at->call->first + done) * c;

        if (n > 1) {
            rl_m4_widen_two(at->words, x, x + c, c >> 2, 2 * c, n >> 1);
        }
        if (n & 1u) {
            x += (n - 1u) * c;
            rl_m4_widen_two(at->words + (n >> 1) * at->k, x, x, c >> 2, 0,
                            1);
        }
    } else {
        windows(at, n);
    }
}

static RL_HOT void run(rl_m4_job *job, const rl_m4_walk *at, uint32_t n,
                       uint32_t window, uint32_t channels)
{
    job->x = at->words;
    job->pixel = channels;
    job->pairs = n >> 1;
    if (job->pairs) {
        rl_m4_blocks(job);
        job->x += job->pairs * window;
        job->y += 2u * job->pairs * channels;
    }
    if (n & 1u) {
        job->pixel = 0;
        job->pairs = 1;
        rl_m4_blocks(job);
        job->y += channels;
    }
}

/* n pixels of `stride` computed channels each -> whole pixels. */
static RL_HOT void scatter(const rl_call *call, const int8_t *from,
                           uint32_t stride, int8_t *y, uint32_t n)
{
    const int8_t *template = (const int8_t *)(const void *)call->mult;
    const uint16_t *place = (const uint16_t *)(const void *)call->shift;
    uint32_t c = call->out->c;
    uint32_t live = (uint32_t)call->op->p[3];
    uint32_t i;

    for (; n; n--, from += stride, y += c) {
        (void)rl_m4_put(y, template, c);
        for (i = 0; i < live; i++) {
            y[place[i]] = from[i];
        }
    }
}

static RL_HOT void set_up(rl_m4_job *job, const rl_m4_walk *at, uint32_t channels,
                          uint32_t window)
{
    const rl_call *call = at->call;

    job->w = (const uint32_t *)(const void *)call->w;
    job->table = (const uint32_t *)(const void *)call->bias;
    job->steps = at->k / 2u;
    job->blocks = channels / 4u;
    job->tail = (uint32_t)call->op->p[0];
    job->x_step = 4 * ((int32_t)window - (int32_t)at->k);
}

/* Words of all windows of a group, those that nobody reads included. */
static RL_HOT uint32_t group_words(const rl_m4_walk *at)
{
    const rl_op *op = at->call->op;
    uint32_t group = (uint32_t)op->p[1];

    if (op->p[2]) {
        return (2u * group + op->kw - 1u) * op->kh * at->call->in0->c;
    }
    return group * at->k;
}

RL_HOT void rl_m4_conv_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t most = 2u * (uint32_t)op->p[1];
    uint32_t c = call->out->c;
    uint32_t channels = op->p[3] ? ((uint32_t)op->p[3] + 3u) & ~3u : c;
    int8_t *y = call->y + call->first * c;
    int8_t *spare;
    uint32_t done, n, window; /* window: words from pair to pair */
    rl_m4_job job;
    rl_m4_walk at;

    begin(&at, call);
    window = op->p[2] ? 2u * op->kh * call->in0->c : at.k;
    set_up(&job, &at, channels, window);
    spare = (int8_t *)(at.words + group_words(&at));
    for (done = 0; done < call->count; done += n, y += n * c) {
        n = call->count - done;
        if (op->p[2] && n > call->out->w - at.column) {
            n = call->out->w - at.column;
        }
        n = n < most ? n : most;
        fill_windows(&at, n, done);
        job.y = (uint8_t *)(op->p[3] ? spare : y);
        run(&job, &at, n, window, channels);
        if (op->p[3]) {
            scatter(call, spare, channels, y, n);
        }
    }
}
