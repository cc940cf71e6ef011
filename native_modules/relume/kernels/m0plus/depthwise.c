/* relume: DEPTHWISE_CONV_2D 3 x 3 on Cortex-M0+, two outputs a multiplication.
 *
 * A tile is cut into parts of two halves: upper and lower rows or, of a single
 * row, left and right columns (of an odd number the middle is computed twice).
 * Four channels at a time, the inputs of both halves are woven into planes of
 * words with a lane for each, and each channel runs over its plane on its own.
 *
 * Bounds. With u = x + 128 and a channel's weights w, a sum of w * u lies
 * between -negative * top and (total - negative) * top; total is the sum of
 * |w|, negative that of the weights below 0, top the largest u of the plane or
 * more (all u ored). Starting at negative * top, a lane stays within 0 and
 * total * top, so none disturbs the other while total * top <= 65535: narrow.
 * The same for a filter whose last or first row has lanes of its own: split.
 * Else the sum of words modulo 2^32 and the exact sum of lane 1 (below 2^19)
 * give both: wide. */
#include "depthwise.h"

#define TABLE 5u        /* words of a channel's requantisation */
#define TABLE_CORNER 7u
#define LANES 0x00010001u

/* Constants of a channel but its requantisation. */
typedef struct {
    int8_t   w[9];
    int8_t   idle;            /* output where all u are 0 */
    uint16_t negative, total;
    uint16_t reserved;
} filter;
_Static_assert(sizeof(filter) == 16, "SPEC 2.7.3");

/* Half of a part: outputs, and the input under the plane's first word. */
typedef struct {
    int32_t y, x;
} place;

typedef struct {
    const rl_call *call;
    uint32_t      *plane;          /* [rows_in][columns_in][4] */
    uint32_t      *sums;           /* [rows][columns][2] */
    uint32_t       rows, columns;  /* of outputs of a half */
    uint32_t       rows_in, columns_in;
    place          half[2];        /* the input under the first word */
    int8_t        *y;              /* first output of half 0, channel 0 */
    uint32_t       y_lane;         /* bytes from half 0 to half 1 */
    int8_t         zero[4];        /* padding */
    uint32_t       zero_u;
} part;

/* --------------------------------------------------------------- weaving */

/* Positions from `at` on that are all inside [0, size) or all outside. */
typedef struct {
    uint32_t length;
    int      inside;
} stretch;

static RL_HOT stretch stretch_at(int32_t at, int32_t size, uint32_t most)
{
    stretch s = { most, 0 };

    if (at < 0) {
        s.length = (uint32_t)-at;
    } else if (at < size) {
        s.length = (uint32_t)(size - at);
        s.inside = 1;
    }
    if (s.length > most) {
        s.length = most;
    }
    return s;
}

typedef struct {
    uint32_t row, rows, column, columns;
} block;

static RL_HOT void pad(const part *p, const block *at)
{
    uint32_t word = p->zero_u * LANES;
    uint32_t *to = p->plane + 4u * (at->row * p->columns_in + at->column);
    uint32_t row, left;

    for (row = at->rows; row; row--) {
        for (left = at->columns; left; left--) {
            to[0] = word;
            to[1] = word;
            to[2] = word;
            to[3] = word;
            to += 4;
        }
        to += 4u * (p->columns_in - at->columns);
    }
}

/* Where a half's inputs are. */
static RL_HOT const int8_t *find(const part *p, const block *at, place half,
                                 uint32_t channel)
{
    const rl_tensor *in = p->call->in0;

    return p->call->a + channel
        + (((uint32_t)half.y + at->row) * in->w + (uint32_t)half.x
           + at->column) * in->c;
}

static RL_HOT uint32_t weave_block(const part *p, const block *at,
                                   uint32_t channel, int a, int b)
{
    const rl_tensor *in = p->call->in0;
    uint32_t skip = (in->w - at->columns) * in->c;
    rl_m0_dw_source source;

    source.to = p->plane + 4u * (at->row * p->columns_in + at->column);
    source.columns = at->columns;
    source.rows = at->rows;
    source.a = a ? find(p, at, p->half[0], channel) : p->zero;
    source.b = b ? find(p, at, p->half[1], channel) : p->zero;
    source.a_step = a ? in->c : 0;
    source.b_step = b ? in->c : 0;
    source.a_skip = a ? skip : 0;
    source.b_skip = b ? skip : 0;
    source.to_skip = (p->columns_in - at->columns) * RL_M0_DW_PIXEL;
    return rl_m0_dw_weave(&source);
}

/* Columns of at that are inside (a, b) or outside, all rows. */
static RL_HOT uint32_t weave_columns(const part *p, block *at,
                                     uint32_t channel, int a, int b)
{
    int32_t height = p->call->in0->h;
    uint32_t seen = 0;
    uint32_t left;

    for (at->row = 0; at->row < p->rows_in; at->row += at->rows) {
        stretch up, down;

        left = p->rows_in - at->row;
        up = stretch_at(p->half[0].y + (int32_t)at->row, height, left);
        down = stretch_at(p->half[1].y + (int32_t)at->row, height,
                          up.length);
        at->rows = down.length;
        seen |= weave_block(p, at, channel, a && up.inside,
                            b && down.inside);
    }
    return seen;
}

/* Four channels; returns a byte each: their u, ored. */
static RL_HOT uint32_t weave(const part *p, uint32_t channel)
{
    int32_t width = p->call->in0->w;
    uint32_t seen = 0;
    block at;

    for (at.column = 0; at.column < p->columns_in;
         at.column += at.columns) {
        uint32_t left = p->columns_in - at.column;
        stretch a = stretch_at(p->half[0].x + (int32_t)at.column, width,
                               left);
        stretch b = stretch_at(p->half[1].x + (int32_t)at.column, width,
                               a.length);

        at.columns = b.length;
        if (a.inside || b.inside) {
            seen |= weave_columns(p, &at, channel, a.inside, b.inside);
        } else {
            at.row = 0;
            at.rows = p->rows_in;
            pad(p, &at);
            seen |= p->zero_u * 0x01010101u;
        }
    }
    return seen;
}

/* -------------------------------------------------------------- channels */

/* What a channel's sums are turned into outputs with. */
static RL_HOT void set_finish(const part *p, rl_m0_dw_finish *f,
                              uint32_t channel, const uint32_t *table)
{
    const rl_call *call = p->call;
    uint32_t c = call->out->c;

    f->y = (uint8_t *)p->y + channel;
    f->y_lane = p->y_lane;
    f->y_column = c;
    f->y_skip = (call->out->w - p->columns) * c;
    f->rows = p->rows;
    f->a = table[0];
    f->b = table[1];
    f->c = table[2];
    f->limit = table[3];
    f->origin = table[4];
    f->corner = ~0u;
    f->delta = 0;
    if ((uint32_t)call->op->p[3] & RL_M0_CORNER) {
        f->corner = table[5];
        f->delta = table[6] - table[2];
    }
    f->high = (uint32_t)call->op->act_max & 0xFFu;
}

/* Sums to outputs by TFLite's own arithmetic. `step` words are a pair. */
static RL_HOT void finish_exact(const part *p, const rl_m0_dw_finish *f,
                                uint32_t step)
{
    const rl_call *call = p->call;
    const uint32_t *s = f->s;
    uint32_t row, column;
    rl_m0_finish exact;

    exact.exact = (const uint32_t *)(const void *)call->shift;
    exact.zero_point = call->out->zero_point;
    exact.low = call->op->act_min;
    exact.high = call->op->act_max;
    for (row = 0; row < f->rows; row++) {
        int8_t *y = (int8_t *)f->y + row * call->out->w * call->out->c;

        for (column = 0; column < p->columns; column++) {
            uint32_t a = step == 2 ? s[0] : s[0] & 0xFFFFu;
            uint32_t b = step == 2 ? s[1] : s[0] >> 16;

            y[0] = rl_m0_exact(&exact, a - f->origin, f->a);
            y[f->y_lane] = rl_m0_exact(&exact, b - f->origin, f->a);
            y += f->y_column;
            s += step;
        }
        s += f->s_skip / 4u;
    }
}

static RL_HOT void finish_narrow(const part *p, const rl_m0_dw_job *job,
                                 rl_m0_dw_finish *f)
{
    uint32_t stride = p->call->op->sh;

    f->s = job->x + 2u * (job->x_row / 4u);
    f->s_width = p->columns * RL_M0_DW_PIXEL;
    f->s_skip = stride * job->x_row - f->s_width;
    if (f->limit) {
        rl_m0_dw_finish_narrow(f);
    } else {
        finish_exact(p, f, 4);
    }
}

static RL_HOT void finish_wide(const part *p, rl_m0_dw_finish *f)
{
    f->s = p->sums;
    f->s_width = p->columns * 8u;
    f->s_skip = 0;
    if (f->limit) {
        rl_m0_dw_finish_wide(f);
    } else {
        finish_exact(p, f, 2);
    }
}

/* All outputs of a channel are the same. */
static RL_HOT void put_same(const part *p, uint32_t channel, int8_t value)
{
    const rl_call *call = p->call;
    uint32_t c = call->out->c;
    uint32_t row, left;

    if (value == call->op->act_min) {
        return; /* there already */
    }
    for (row = 0; row < p->rows; row++) {
        int8_t *y = p->y + row * call->out->w * c + channel;

        for (left = p->columns; left; left--) {
            y[0] = value;
            y[p->y_lane] = value;
            y += c;
        }
    }
}

/* One channel of a plane whose inputs are at most top. */
static RL_HOT void run_channel(const part *p, uint32_t channel, uint32_t top)
{
    const rl_call *call = p->call;
    const filter *k = (const filter *)(const void *)call->w + channel;
    uint32_t words = (uint32_t)call->op->p[3] & RL_M0_CORNER ? TABLE_CORNER
                                                           : TABLE;
    uint32_t stride = call->op->sh;
    uint32_t start = k->negative * top;
    int32_t w[9];
    rl_m0_dw_finish f;
    rl_m0_dw_job job;
    uint32_t i;

    if (top * k->total == 0) {
        put_same(p, channel, k->idle);
        return;
    }
    for (i = 0; i < 9; i++) {
        w[i] = k->w[i];
    }
    job.x = p->plane + (channel & 3u);
    job.w = w;
    job.x_row = p->columns_in * RL_M0_DW_PIXEL;
    job.rows = p->rows;
    job.columns = p->columns;
    job.start = start * LANES;
    set_finish(p, &f, channel,
               (const uint32_t *)call->mult + words * channel);
    if (top * k->total <= 0xFFFFu) {
        if (stride == 1) {
            rl_m0_dw_narrow1(&job);
        } else {
            rl_m0_dw_narrow2(&job);
        }
        f.origin += start;
        finish_narrow(p, &job, &f);
        return;
    }
    job.sums = p->sums;
    job.x_column = stride * RL_M0_DW_PIXEL;
    job.y_row = stride * job.x_row;
    rl_m0_dw_wide(&job);
    finish_wide(p, &f);
}

/* ----------------------------------------------------------------- parts */

/* Sizes of a half, at most: pairs of outputs and their plane. */
typedef struct {
    uint32_t rows, columns, rows_in, columns_in;
} extent;

static RL_HOT extent largest(const rl_op *op)
{
    extent e;

    e.rows = (uint32_t)op->p[0];
    e.columns = (uint32_t)op->p[1];
    e.rows_in = (e.rows - 1u) * op->sh + 3u;
    e.columns_in = (e.columns - 1u) * op->sh + 3u;
    return e;
}

uint64_t rl_m0_depthwise_scratch(const rl_op *op)
{
    extent e = largest(op);

    return (uint64_t)e.rows_in * e.columns_in * RL_M0_DW_PIXEL
        + (uint64_t)e.rows * e.columns * 8u;
}

/* A rectangle of outputs, at most two halves of the largest size. */
static RL_HOT void run_part(part *p, const block *at)
{
    const rl_call *call = p->call;
    const rl_op *op = call->op;
    uint32_t down = at->rows > 1 ? at->rows >> 1 : 0;
    uint32_t right = at->rows > 1 ? 0 : at->columns >> 1;
    uint32_t channel, i;

    p->rows = at->rows - down;
    p->columns = at->columns - right;
    p->rows_in = (p->rows - 1u) * op->sh + 3u;
    p->columns_in = (p->columns - 1u) * op->sw + 3u;
    p->half[0].y = (int32_t)(at->row * op->sh) - op->pad_top;
    p->half[0].x = (int32_t)(at->column * op->sw) - op->pad_left;
    p->half[1].y = p->half[0].y + (int32_t)(down * op->sh);
    p->half[1].x = p->half[0].x + (int32_t)(right * op->sw);
    p->y = call->y + (at->row * call->out->w + at->column) * call->out->c;
    p->y_lane = (down * call->out->w + right) * call->out->c;
    for (channel = 0; channel < call->out->c; channel += 4) {
        uint32_t seen = weave(p, channel);

        for (i = 0; i < 4; i++, seen >>= 8) {
            run_channel(p, channel + i, seen & 0xFFu);
        }
    }
}

/* A rectangle of any size. */
static RL_HOT void run_area(part *p, const block *area)
{
    const extent most = largest(p->call->op);
    uint32_t rows = 2u * most.rows;
    uint32_t columns = area->rows > 1 ? most.columns : 2u * most.columns;
    block at;

    for (at.row = area->row; at.row < area->row + area->rows;
         at.row += at.rows) {
        at.rows = area->row + area->rows - at.row;
        at.rows = at.rows < rows ? at.rows : rows;
        for (at.column = area->column;
             at.column < area->column + area->columns;
             at.column += at.columns) {
            at.columns = area->column + area->columns - at.column;
            at.columns = at.columns < columns ? at.columns : columns;
            run_part(p, &at);
        }
    }
}

/* Outputs below the staircase are act_min and never written again. */
static RL_HOT void clear(const rl_call *call)
{
    uint32_t low = (uint32_t)call->op->act_min & 0xFFu;

    rl_m0_dw_fill((uint32_t *)(void *)(call->y + call->first * call->out->c),
                  low * 0x01010101u, call->count * call->out->c / 4u);
}

/* A tile is the end of a row, whole rows, and the start of a row. */
RL_HOT void rl_m0_depthwise_tile(const rl_call *call)
{
    uint32_t width = call->out->w;
    uint32_t left = call->count;
    uint32_t i;
    block area;
    part p;

    p.call = call;
    p.plane = (uint32_t *)(void *)call->scratch;
    {
        extent e = largest(call->op);

        p.sums = p.plane + 4u * e.rows_in * e.columns_in;
    }
    p.zero_u = (uint32_t)(call->in0->zero_point + 128);
    for (i = 0; i < 4; i++) {
        p.zero[i] = (int8_t)call->in0->zero_point;
    }
    clear(call);
    area.row = call->first / width;
    area.column = call->first - area.row * width;
    while (left) {
        area.rows = 1;
        area.columns = width - area.column;
        if (area.column == 0 && left >= width) {
            area.rows = left / width;
        } else if (area.columns > left) {
            area.columns = left;
        }
        run_area(&p, &area);
        left -= area.rows * area.columns;
        area.row += area.rows;
        area.column = 0;
    }
}
