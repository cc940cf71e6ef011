/* relume: CONV_2D and FULLY_CONNECTED on Cortex-M0+: which way a pixel goes.
 *
 * Sparse: only inputs other than zero (x != -128) are multiplied. Each row of
 * the input is turned once into a list of (u, offset of weights); a pixel's
 * script names the runs of the lists that its window covers, one a filter
 * row, and the places where the 16-bit lanes must be emptied. Offsets grow
 * along the whole row of the input, so that neighbouring pixels of a window
 * make one run, and one base for the weights serves it.
 * Dense: all inputs of the window, two at a time. Its time depends on nothing
 * but the shape, and it is taken whenever the script would take longer.
 * A layer whose weights are more than the flash cache holds is computed some
 * blocks of channels at a time for a whole row of pixels, so that their
 * weights are fetched once a row and not once a pixel.
 * SPEC 2.7.1 has the layout, docs/KERNELS.md the bounds. */
#include "m0plus.h"

#define MAX_STEPS 64u /* of a script, the end included */
#define MAX_LINES 15u /* rows of a sparse filter */
#define CACHED 14336u /* bytes of weights that stay in the flash cache */

typedef struct {
    const rl_call *call;
    uint32_t k, pairs;       /* inputs of a window, rounded up to pairs */
    uint32_t width;          /* channels of a block: 8 or 12 */
    uint32_t live, quads;
    uint32_t flags, offset;  /* of the weights */
    uint32_t rest;           /* quads of the last block if it is not whole */
    uint32_t span;           /* quads at a time, all or whole blocks */
    rl_m0_job    whole, last, dense;
    rl_m0_finish finish;
    rl_m0_window window;
    rl_m0_line   lines[MAX_LINES];
    /* scratch */
    int8_t     *row;         /* [quads][4] outputs of a pixel */
    int8_t     *bytes;       /* [2 * pairs] a window */
    rl_m0_pair *pair;        /* [pairs] */
    uint8_t    *lists;
} kernel;

/* n / by, by >= 1, below 2^24 both: this core has no division, and a library
 * call would not do in a native module. */
static RL_HOT uint32_t quotient(uint32_t n, uint32_t by)
{
    uint32_t shift = 0, result = 0;

    while (by << shift < n) {
        shift++;
    }
    do {
        result <<= 1;
        if (by << shift <= n) {
            n -= by << shift;
            result++;
        }
    } while (shift--);
    return result;
}

static uint32_t align4(uint32_t n)
{
    return (n + 3u) & ~3u;
}

/* ----------------------------------------------------------------- scratch */

static uint32_t taps_of(const rl_op *op)
{
    return op->kind == RL_FULLY_CONNECTED ? 1u : (uint32_t)op->kh * op->kw;
}

static uint32_t depth_of(const rl_op *op, const rl_tensor *in,
                         const rl_tensor *out)
{
    if (op->kind == RL_FULLY_CONNECTED) {
        return quotient(in->size, (uint32_t)out->h * out->w);
    }
    return in->c;
}

/* Bytes of the list of a row of `n` inputs. */
static uint32_t list_bytes(uint32_t n)
{
    return (n / 4u + 1u) * (uint32_t)sizeof(rl_m0_mark)
        + n * (uint32_t)sizeof(rl_m0_entry);
}

/* Inputs of one list: a pixel's where windows do not overlap. */
static uint32_t list_inputs(const rl_op *op, const rl_tensor *in,
                            const rl_tensor *out)
{
    uint32_t depth = depth_of(op, in, out);

    return taps_of(op) == 1 ? depth : depth * in->w;
}

uint32_t rl_m0_scratch(const rl_op *op, const rl_tensor *in,
                       const rl_tensor *out)
{
    uint32_t quads = ((uint32_t)op->p[1] + 3u) / 4u;
    uint32_t pairs = (taps_of(op) * depth_of(op, in, out) + 1u) / 2u;
    uint32_t size = quads * 20u + MAX_STEPS * (uint32_t)sizeof(rl_m0_step)
        + align4(2u * pairs) + pairs * (uint32_t)sizeof(rl_m0_pair);

    if ((uint32_t)op->p[3] & RL_M0_SPARSE) {
        uint32_t rows = op->kind == RL_FULLY_CONNECTED ? 1u : op->kh;

        size += rows * list_bytes(list_inputs(op, in, out));
    }
    return size;
}

/* ------------------------------------------------------------------- set-up */

/* Cycles of a script against those of the dense way, per block. */
static RL_HOT void set_window(kernel *m)
{
    rl_m0_window *w = &m->window;
    int wide = m->width == 12;

    w->lines = m->lines;
    w->limit = (uint32_t)m->call->op->p[4];
    w->end = w->steps + MAX_STEPS - 1;
    w->entry_cost = wide ? 26u : 19u;
    w->step_cost = wide ? 120u : 96u;
    w->byte_cost = wide ? 10u : 8u;
    w->most = wide ? 84u * m->pairs + 240u : 56u * m->pairs + 180u;
    w->scratch = m->call->scratch;
}

static RL_HOT void set_finish(kernel *m)
{
    const rl_call *call = m->call;
    rl_m0_finish *f = &m->finish;

    f->low = call->op->act_min;
    f->high = call->op->act_max;
    f->exact = (const uint32_t *)(const void *)call->shift;
    f->zero_point = call->out->zero_point;
}

static RL_HOT void prepare(kernel *m, const rl_call *call)
{
    const rl_op *op = call->op;
    uint8_t *at = (uint8_t *)call->scratch;

    m->call = call;
    m->k = taps_of(op) * depth_of(op, call->in0, call->out);
    m->pairs = (m->k + 1u) / 2u;
    m->width = (uint32_t)op->p[0];
    m->live = (uint32_t)op->p[1];
    m->quads = (m->live + 3u) / 4u;
    m->flags = (uint32_t)op->p[3];
    m->offset = (uint32_t)op->p[5];
    m->whole.acc = (uint32_t *)(void *)at;
    at += m->quads * 16u;
    m->row = (int8_t *)at;
    at += m->quads * 4u;
    m->window.steps = (rl_m0_step *)(void *)at;
    at += MAX_STEPS * sizeof(rl_m0_step);
    m->bytes = (int8_t *)at;
    at += align4(2u * m->pairs);
    m->pair = (rl_m0_pair *)(void *)at;
    m->lists = at + m->pairs * sizeof(rl_m0_pair);
    set_window(m);
    set_finish(m);
}

/* Prepares quads [first, first + n) for all ways: first begins a block, and
 * only the layer's last block is not whole. */
static RL_HOT void set_span(kernel *m, uint32_t first, uint32_t n)
{
    const rl_call *call = m->call;
    uint32_t words = m->flags & RL_M0_CORNER ? 6u : 4u;
    uint32_t left = n;
    rl_m0_job *job = &m->whole;

    job->inputs = m->window.steps;
    job->step = 2u * m->pairs * m->width;
    job->pairs = m->pairs;
    job->row = m->width;
    job->scratch = call->scratch;
    job->w = (const uint8_t *)call->w + first * 8u * m->pairs;
    job->start = (const uint32_t *)(const void *)call->bias + 4u * first;
    for (job->blocks = 0; 4u * left >= m->width; job->blocks++) {
        left -= m->width / 4u;
    }
    m->rest = left;
    m->last = *job;
    m->last.w += job->blocks * job->step;
    m->last.start += job->blocks * m->width;
    m->last.acc += job->blocks * m->width;
    m->last.blocks = 1;
    m->dense = *job;
    m->dense.inputs = m->pair;
    m->dense.start += 4u * m->quads;
    m->dense.blocks = n;
    m->finish.acc = job->acc;
    m->finish.table = (const uint32_t *)call->mult + 4u * words * first;
    m->finish.quads = n;
}

/* All quads at once, or blocks whose weights the flash cache holds. Channels
 * that are stored one by one are not taken apart. */
static RL_HOT void set_spans(kernel *m)
{
    uint32_t channels = m->call->out->c;
    uint32_t block = 2u * m->pairs * m->width;
    uint32_t bytes = block, quads = m->width / 4u;

    while (quads < m->quads && bytes + block <= CACHED) {
        bytes += block;
        quads += m->width / 4u;
    }
    if (m->live != channels || (channels & 3u) || quads > m->quads
        || m->quads * 8u * m->pairs <= CACHED) {
        quads = m->quads;
    }
    m->span = quads;
    set_span(m, 0, quads);
}

/* Goes on to the span that begins at quad `first`; 0 if there is none. */
static RL_HOT int next_span(kernel *m, uint32_t first)
{
    if (m->span == m->quads) {
        return first == 0;
    }
    if (first >= m->quads) {
        return 0;
    }
    set_span(m, first, first + m->span > m->quads ? m->quads - first
                                                  : m->span);
    return 1;
}

/* -------------------------------------------------------------------- sums */

static RL_HOT void run_sparse(const kernel *m)
{
    if (m->whole.blocks) {
        if (m->width == 12) {
            rl_m0_sparse12(&m->whole);
        } else {
            rl_m0_sparse8(&m->whole);
        }
    }
    if (m->rest == 2) {
        rl_m0_sparse8(&m->last);
    } else if (m->rest == 1) {
        rl_m0_sparse4(&m->last);
    }
}

/* Requantises the span to y, which is 4-byte aligned. */
static RL_HOT void finish(kernel *m, uint32_t add, int8_t *y)
{
    m->finish.add = add;
    m->finish.y = y;
    if (m->flags & RL_M0_CORNER) {
        rl_m0_finish_corner(&m->finish);
    } else {
        rl_m0_finish_plain(&m->finish);
    }
}

static RL_HOT int8_t *put_same(int8_t *to, int8_t x, uint32_t n)
{
    while (n--) {
        *to++ = x;
    }
    return to;
}

static RL_HOT int8_t *put_bytes(int8_t *to, const int8_t *x, uint32_t n)
{
    for (; n >= 4; n -= 4) {
        int8_t a = x[0], b = x[1], c = x[2], d = x[3];

        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        to += 4;
        x += 4;
    }
    while (n--) {
        *to++ = *x++;
    }
    return to;
}

/* Channels of a pixel that are computed, among those that are constant. */
static RL_HOT void scatter(const kernel *m, int8_t *y)
{
    const rl_call *call = m->call;
    uint32_t channels = call->out->c;
    const int8_t *constant = call->shift + 12u * (uint32_t)call->op->p[2];
    const uint16_t *place =
        (const uint16_t *)(const void *)(constant + align4(channels));
    const int8_t *from = m->row, *end = from + m->live;

    put_bytes(y, constant, channels);
    while (from != end) {
        y[*place++] = *from++;
    }
}

/* The span's channels of a pixel to y, all channels to y[out.c]. */
static RL_HOT void finish_pixel(kernel *m, uint32_t add, int8_t *y)
{
    uint32_t channels = m->call->out->c;

    if (m->live == channels && (channels & 3u) == 0) {
        finish(m, add, y);
        return;
    }
    finish(m, add, m->row);
    if (m->flags & RL_M0_SCATTER) {
        scatter(m, y);
    } else {
        put_bytes(y, m->row, channels);
    }
}

/* ----------------------------------------------------------------- windows */

/* One filter row of the window: columns from x on, of which those outside
 * [0, in.w) are padding. */
static RL_HOT int8_t *gather_row(const rl_call *call, int8_t *to,
                                 const int8_t *row, int32_t x)
{
    const rl_op *op = call->op;
    uint32_t c = call->in0->c;
    int8_t zero = (int8_t)call->in0->zero_point;
    int32_t width = call->in0->w;
    uint32_t left = op->kw;

    if (x >= 0 && x + (int32_t)left <= width) {
        return put_bytes(to, row + (uint32_t)x * c, left * c);
    }
    for (; left; left--, x++) {
        if (x < 0 || x >= width) {
            to = put_same(to, zero, c);
        } else {
            to = put_bytes(to, row + (uint32_t)x * c, c);
        }
    }
    return to;
}

static RL_HOT void gather(const kernel *m, int32_t y, int32_t x)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    uint32_t stride = (uint32_t)call->in0->w * call->in0->c;
    int8_t *to = m->bytes;
    uint32_t rows;

    for (rows = op->kh; rows; rows--, y++) {
        if (y < 0 || y >= (int32_t)call->in0->h) {
            to = put_same(to, (int8_t)call->in0->zero_point,
                          (uint32_t)op->kw * call->in0->c);
        } else {
            to = gather_row(call, to, call->a + (uint32_t)y * stride, x);
        }
    }
    put_same(to, 0, 2u * m->pairs - m->k);
    rl_m0_pairs(m->bytes, m->pair, m->pairs, m->offset);
}

/* A window inside the input whose pixels are whole words: no copy. */
static RL_HOT void pair_words(const kernel *m, int32_t y, int32_t x)
{
    const rl_call *call = m->call;
    uint32_t depth = call->in0->c;
    uint32_t stride = (uint32_t)call->in0->w * depth;
    uint32_t n = (uint32_t)call->op->kw * depth / 2u;
    const int8_t *row = call->a + (uint32_t)y * stride + (uint32_t)x * depth;
    rl_m0_pair *to = m->pair;
    uint32_t rows;

    for (rows = call->op->kh; rows; rows--, row += stride, to += n) {
        rl_m0_pairs(row, to, n, m->offset);
    }
}

/* A window inside the input: no copy either. */
static RL_HOT void pair_bytes(const kernel *m, int32_t y, int32_t x)
{
    const rl_call *call = m->call;
    uint32_t depth = call->in0->c;
    rl_m0_patch patch;

    patch.stride = (uint32_t)call->in0->w * depth;
    patch.x = call->a + (uint32_t)y * patch.stride + (uint32_t)x * depth;
    patch.to = m->pair;
    patch.rows = call->op->kh;
    patch.bytes = (uint32_t)call->op->kw * depth;
    patch.offset = m->offset;
    rl_m0_pairs_of(&patch);
}

static RL_HOT void pair_window(const kernel *m, int32_t y, int32_t x)
{
    const rl_tensor *in = m->call->in0;
    const rl_op *op = m->call->op;

    if (y < 0 || x < 0 || y + op->kh > (int32_t)in->h
        || x + op->kw > (int32_t)in->w) {
        gather(m, y, x);
    } else if ((in->c & 3u) == 0) {
        pair_words(m, y, x);
    } else {
        pair_bytes(m, y, x);
    }
}

/* x[k], as it lies. */
static RL_HOT void pair_up(const kernel *m, const int8_t *x)
{
    if (m->k & 3u) {
        put_same(put_bytes(m->bytes, x, m->k), 0, 2u * m->pairs - m->k);
        x = m->bytes;
    }
    rl_m0_pairs(x, m->pair, m->pairs, m->offset);
}

/* ------------------------------------------------------------- single taps */

static RL_HOT const rl_m0_mark *list_one(const kernel *m, const int8_t *x,
                                         uint32_t words, uint8_t *at)
{
    rl_m0_source source;

    source.x = x;
    source.words = words;
    source.row = m->width;
    source.marks = (rl_m0_mark *)(void *)at;
    source.to = (rl_m0_entry *)(void *)(source.marks + words + 1u);
    source.scratch = m->call->scratch;
    rl_m0_list(&source);
    return source.marks;
}

/* Windows of one tap: their script is about one list. */
static RL_HOT void set_single(kernel *m)
{
    m->window.n = 1;
    m->window.first = 0;
    m->window.base = 0;
    m->lines[0].marks = rl_m0_refer(m->call->scratch, m->lists);
    m->lines[0].base = 0;
    m->window.last = m->k / 4u * (uint32_t)sizeof(rl_m0_mark);
}

/* Sums for inputs x[k]; returns what finish adds. */
static RL_HOT uint32_t sum_inputs(const kernel *m, const int8_t *x)
{
    if (m->flags & RL_M0_SPARSE) {
        uint32_t total;

        list_one(m, x, m->k / 4u, m->lists);
        total = rl_m0_script(&m->window);
        if (total != RL_M0_NONE) {
            run_sparse(m);
            return 0u - m->offset * total;
        }
    }
    pair_up(m, x);
    rl_m0_dense(&m->dense);
    return 0;
}

/* Outputs [channel, channel + n) of an input row x[k]. */
static RL_HOT void dense_row(kernel *m, const int8_t *x, uint32_t channel,
                             uint32_t n, int8_t *y)
{
    uint32_t first = quotient(channel, m->width) * m->width;

    set_span(m, first / 4u, (channel + n + 3u) / 4u - first / 4u);
    finish(m, sum_inputs(m, x), m->row);
    put_bytes(y, m->row + (channel - first), n);
}

RL_HOT void rl_m0_dense_tile(const rl_call *call)
{
    uint32_t channels = call->out->c;
    uint32_t row = quotient(call->first, channels);
    uint32_t channel = call->first - row * channels;
    int8_t *y = call->y + call->first;
    uint32_t left = call->count;
    kernel m;

    prepare(&m, call);
    set_single(&m);
    while (left) {
        uint32_t n = channels - channel;

        if (n > left) {
            n = left;
        }
        dense_row(&m, call->a + row * m.k, channel, n, y);
        y += n;
        row++;
        left -= n;
        channel = 0;
    }
}

/* n pixels of a row, their inputs from x on. */
static RL_HOT void point_row(kernel *m, const int8_t *x, uint32_t n,
                             int8_t *to)
{
    uint32_t step = (uint32_t)m->call->op->sw * m->call->in0->c;
    uint32_t channels = m->call->out->c;

    for (; n; n--, x += step, to += channels) {
        finish_pixel(m, sum_inputs(m, x), to);
    }
}

static RL_HOT void conv_points(kernel *m)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    uint32_t width = call->out->w, depth = call->in0->c;
    uint32_t row = quotient(call->first, width);
    uint32_t column = call->first - row * width;
    int8_t *to = call->y + call->first * call->out->c;
    uint32_t left = call->count;

    set_single(m);
    while (left) {
        const int8_t *x = call->a + row * op->sh * call->in0->w * depth
            + column * op->sw * depth;
        uint32_t n = left < width - column ? left : width - column;
        uint32_t first;

        for (first = 0; next_span(m, first); first += m->span) {
            point_row(m, x, n, to + 4u * first);
        }
        to += n * call->out->c;
        left -= n;
        column = 0;
        row++;
    }
}

/* ------------------------------------------------------------ windows again */

/* Lists of the rows that the windows of the tile's current row touch, for
 * columns [low, high) of the input. */
typedef struct {
    uint32_t low, high;
    uint32_t bytes; /* of a slot */
    int32_t  built; /* rows below are built, or above all need */
    uint32_t slot;  /* of row `built`; rows follow one another, mod kh */
} ring;

static RL_HOT void build_to(const kernel *m, ring *r, int32_t end)
{
    const rl_tensor *in = m->call->in0;

    for (; r->built < end; r->built++) {
        const int8_t *x = m->call->a
            + ((uint32_t)r->built * in->w + r->low) * in->c;

        list_one(m, x, (r->high - r->low) * in->c / 4u,
                 m->lists + r->slot * r->bytes);
        if (++r->slot == m->call->op->kh) {
            r->slot = 0;
        }
    }
}

/* Builds the lists of the windows whose first row is y, and their lines. */
static RL_HOT void set_lines(kernel *m, ring *r, int32_t y)
{
    const rl_op *op = m->call->op;
    int32_t height = m->call->in0->h;
    int32_t end = y + op->kh;
    uint32_t base = 0, line = (uint32_t)op->kw * m->call->in0->c * m->width;
    uint32_t slot;

    for (; y < 0; y++) {
        base += line;
    }
    if (r->built < y) {
        r->built = y;
    }
    build_to(m, r, end > height ? height : end);
    slot = r->slot + op->kh * 2u - (uint32_t)(r->built - y);
    for (m->window.n = 0; y < r->built; y++, slot++, base += line) {
        while (slot >= op->kh) {
            slot -= op->kh;
        }
        m->lines[m->window.n].marks =
            rl_m0_refer(m->call->scratch, m->lists + slot * r->bytes);
        m->lines[m->window.n++].base = base;
    }
}

/* The part of the lines in the window whose first column is x. */
static RL_HOT void set_columns(kernel *m, const ring *r, int32_t x)
{
    uint32_t mark = m->call->in0->c / 4u * (uint32_t)sizeof(rl_m0_mark);
    int32_t from = x < (int32_t)r->low ? (int32_t)r->low : x;
    int32_t to = x + m->call->op->kw;

    if (to > (int32_t)r->high) {
        to = (int32_t)r->high;
    }
    m->window.first = ((uint32_t)from - r->low) * mark;
    m->window.last = ((uint32_t)to - r->low) * mark;
    m->window.base = (r->low - (uint32_t)x) * m->call->in0->c * m->width;
}

/* The pixel whose window begins at row y, column x. */
static RL_HOT void pixel(kernel *m, const ring *r, int32_t y, int32_t x,
                         int8_t *to)
{
    if (m->flags & RL_M0_SPARSE) {
        uint32_t total;

        set_columns(m, r, x);
        total = rl_m0_script(&m->window);
        if (total != RL_M0_NONE) {
            run_sparse(m);
            finish_pixel(m, 0u - m->offset * total, to);
            return;
        }
    }
    pair_window(m, y, x);
    rl_m0_dense(&m->dense);
    finish_pixel(m, 0, to);
}

/* Columns of the input that outputs [first, last] of a row touch. */
static RL_HOT void begin_ring(const kernel *m, ring *r, uint32_t first,
                              uint32_t last)
{
    const rl_op *op = m->call->op;
    const rl_tensor *in = m->call->in0;
    int32_t low = (int32_t)(first * op->sw) - op->pad_left;
    int32_t high = (int32_t)(last * op->sw) - op->pad_left + op->kw;

    r->low = low < 0 ? 0u : (uint32_t)low;
    r->high = high > in->w ? in->w : (uint32_t)high;
    r->bytes = list_bytes((uint32_t)in->w * in->c);
    r->built = 0;
    r->slot = 0;
}

/* Pixels [column, column + n) of the row whose windows begin at row y. */
static RL_HOT void window_row(kernel *m, const ring *r, int32_t y,
                              uint32_t column, uint32_t n, int8_t *to)
{
    const rl_op *op = m->call->op;
    int32_t x = (int32_t)(column * op->sw) - op->pad_left;
    uint32_t channels = m->call->out->c;

    for (; n; n--, x += op->sw, to += channels) {
        pixel(m, r, y, x, to);
    }
}

static RL_HOT void conv_windows(kernel *m)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    uint32_t width = call->out->w;
    uint32_t row = quotient(call->first, width);
    uint32_t column = call->first - row * width;
    int8_t *to = call->y + call->first * call->out->c;
    uint32_t left = call->count;
    int whole = column + left > width;
    ring r;

    begin_ring(m, &r, whole ? 0 : column,
               whole ? width - 1u : column + left - 1u);
    while (left) {
        int32_t y = (int32_t)(row * op->sh) - op->pad_top;
        uint32_t n = left < width - column ? left : width - column;
        uint32_t first;

        if (m->flags & RL_M0_SPARSE) {
            set_lines(m, &r, y);
        }
        for (first = 0; next_span(m, first); first += m->span) {
            window_row(m, &r, y, column, n, to + 4u * first);
        }
        to += n * call->out->c;
        left -= n;
        column = 0;
        row++;
    }
}

RL_HOT void rl_m0_conv_tile(const rl_call *call)
{
    kernel m;

    prepare(&m, call);
    set_spans(&m);
    if (taps_of(call->op) == 1) {
        conv_points(&m);
    } else {
        conv_windows(&m);
    }
}
