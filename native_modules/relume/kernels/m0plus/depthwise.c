/* relume: DEPTHWISE_CONV_2D 3 x 3 on Cortex-M0+, two outputs a multiplication.
 *
 * A tile is cut into parts of two halves: upper and lower rows or, of a single
 * row, left and right columns (of an odd number the middle is computed twice).
 * Four channels at a time, the inputs of both halves are woven into planes of
 * words with a lane for each, and each channel runs over its plane on its own.
 *
 * Bounds. With u = x + 128 and a channel's weights w, a sum of w * u lies
 * between -negative * top and positive * top: the sums of weights below and
 * above 0 times the largest u of the plane. All u ored are at least top, and
 * where that is too coarse the plane is looked through. Starting at negative *
 * top, a lane stays within 0 and (negative + positive) * top, so none disturbs
 * the other while that is at most 65535: narrow. The same for a filter whose
 * last or first row has lanes of its own: split; where every row has: rows.
 * Else the sum of words modulo 2^32 and the exact sum of lane 1 (below 2^19)
 * give both: wide. */
#include "depthwise.h"

#define TABLE 5u        /* words of a channel's requantisation */
#define TABLE_CORNER 7u
#define LANES 0x00010001u

/* Constants of a channel but its requantisation. */
typedef struct {
    int8_t   w[9];
    int8_t   idle;          /* output where all u are 0 */
    uint8_t  narrow, split; /* largest top for which they are proven */
    uint16_t negative, positive;
    uint16_t apart; /* negative of the row that split sets apart, FLIP */
    uint8_t  rows;  /* as narrow */
    uint8_t  reserved;
} filter;
_Static_assert(sizeof(filter) == 20, "SPEC 2.7.3");

#define FLIP 0x8000u /* it is the first row, not the last */

/* A rectangle of pixels. */
typedef struct {
    uint32_t row, rows, column, columns;
} block;

/* Inputs under the first word of a plane. */
typedef struct {
    int32_t y, x;
} place;

/* Halves lie below or beside each other, so their inputs begin and end at no
 * more than four rows and two columns, or the other way round. */
#define MOST_PATCHES 15u

/* Pixels of a plane whose lanes are all inside the input or all padding. */
typedef struct {
    rl_m0_dw_source source; /* of the next four channels */
    uint32_t        a, b;   /* bytes to the four after them; 0 for padding */
} patch;

typedef struct {
    const rl_call  *call;
    rl_m0_dw_job    job;           /* what the channels have in common ... */
    rl_m0_dw_finish finish;        /* ... and those of one */
    int32_t         w[12];         /* of one, starts of split or rows */
    uint32_t       *plane;         /* [rows_in][columns_in][4] */
    uint32_t       *sums;          /* [columns][rows][2] */
    uint32_t        rows, columns; /* of outputs of a half */
    uint32_t        rows_in, columns_in;
    place           half[2];
    int8_t         *y;             /* first output of half 0, channel 0 */
    uint32_t        y_lane;        /* bytes from half 0 to half 1 */
    int8_t          zero[4];       /* padding */
    uint32_t        zero_u;
    uint32_t        patches;
    patch           patch[MOST_PATCHES];
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

/* Where a half's inputs are. */
static RL_HOT const int8_t *find(const part *p, const block *at, place half)
{
    const rl_tensor *in = p->call->in0;

    return p->call->a
        + (((uint32_t)half.y + at->row) * in->w + (uint32_t)half.x
           + at->column) * in->c;
}

static RL_HOT void put_patch(part *p, const block *at, int a, int b)
{
    const rl_tensor *in = p->call->in0;
    uint32_t skip = (in->w - at->columns) * in->c;
    patch *to = &p->patch[p->patches++];
    rl_m0_dw_source *source = &to->source;

    source->to = p->plane + 4u * (at->row * p->columns_in + at->column);
    source->columns = at->columns;
    source->rows = at->rows;
    source->a = a ? find(p, at, p->half[0]) : p->zero;
    source->b = b ? find(p, at, p->half[1]) : p->zero;
    source->a_step = a ? in->c : 0;
    source->b_step = b ? in->c : 0;
    source->a_skip = a ? skip : 0;
    source->b_skip = b ? skip : 0;
    source->to_skip = (p->columns_in - at->columns) * RL_M0_DW_PIXEL;
    to->a = a ? 4u : 0;
    to->b = b ? 4u : 0;
}

/* Columns of at that are inside (a, b) or padding, all rows. */
static RL_HOT void put_columns(part *p, block *at, int a, int b)
{
    int32_t height = p->call->in0->h;

    for (at->row = 0; at->row < p->rows_in; at->row += at->rows) {
        uint32_t left = p->rows_in - at->row;
        stretch up =
            stretch_at(p->half[0].y + (int32_t)at->row, height, left);
        stretch down = stretch_at(p->half[1].y + (int32_t)at->row, height,
                                  up.length);

        at->rows = down.length;
        put_patch(p, at, a && up.inside, b && down.inside);
    }
}

static RL_HOT void put_patches(part *p)
{
    int32_t width = p->call->in0->w;
    block at;

    p->patches = 0;
    for (at.column = 0; at.column < p->columns_in;
         at.column += at.columns) {
        uint32_t left = p->columns_in - at.column;
        stretch a = stretch_at(p->half[0].x + (int32_t)at.column, width,
                               left);
        stretch b = stretch_at(p->half[1].x + (int32_t)at.column, width,
                               a.length);

        at.columns = b.length;
        if (a.inside || b.inside) {
            put_columns(p, &at, a.inside, b.inside);
        } else {
            at.row = 0;
            at.rows = p->rows_in;
            put_patch(p, &at, 0, 0);
        }
    }
}

/* The next four channels; returns a byte each: their u, ored. */
static RL_HOT uint32_t weave(part *p)
{
    uint32_t seen = 0;
    patch *at = p->patch;
    uint32_t left;

    for (left = p->patches; left; left--, at++) {
        rl_m0_dw_source *source = &at->source;

        if (at->a | at->b) {
            seen |= rl_m0_dw_weave(source);
            source->a += at->a;
            source->b += at->b;
        } else {
            rl_m0_dw_pad(source->to, p->zero_u * LANES, source->columns,
                         source->rows, source->to_skip);
            seen |= p->zero_u * 0x01010101u;
        }
    }
    return seen;
}

/* -------------------------------------------------------------- channels */

/* Sums to outputs by TFLite's own arithmetic. */
static RL_HOT void finish_exact(const part *p, const rl_m0_dw_finish *f,
                                int wide)
{
    const rl_call *call = p->call;
    const uint32_t *s = f->s;
    uint32_t column, done;
    rl_m0_finish exact;

    exact.exact = (const uint32_t *)(const void *)call->shift;
    exact.zero_point = call->out->zero_point;
    exact.low = call->op->act_min;
    exact.high = call->op->act_max;
    for (column = 0; column < f->columns; column++) {
        int8_t *y = (int8_t *)f->y + column * call->out->c;

        for (done = 0; done != f->s_height; done += f->s_row) {
            const uint32_t *pair = s + done / 4u;
            uint32_t a = wide ? pair[0] : pair[0] & 0xFFFFu;
            uint32_t b = wide ? pair[1] : pair[0] >> 16;

            y[0] = rl_m0_exact(&exact, a - f->origin, f->a);
            y[f->y_lane] = rl_m0_exact(&exact, b - f->origin, f->a);
            y += (int32_t)f->y_row;
        }
        s += (int32_t)(f->s_height + f->s_skip) / 4;
    }
}

static RL_HOT void finish_narrow(const rl_m0_dw_finish *f, int free)
{
    if (f->b == 0) {
        if (free) {
            rl_m0_dw_lean_narrow(f);
        } else {
            rl_m0_dw_short_narrow(f);
        }
    } else if (free) {
        rl_m0_dw_free_narrow(f);
    } else {
        rl_m0_dw_finish_narrow(f);
    }
}

static RL_HOT void finish_wide(const rl_m0_dw_finish *f, int free)
{
    if (f->b == 0) {
        if (free) {
            rl_m0_dw_lean_wide(f);
        } else {
            rl_m0_dw_short_wide(f);
        }
    } else if (free) {
        rl_m0_dw_free_wide(f);
    } else {
        rl_m0_dw_finish_wide(f);
    }
}

/* Sums that began at `start` and went up to `most` to outputs. */
static RL_HOT void finish(part *p, uint32_t channel, uint32_t start,
                          uint32_t most, int wide)
{
    const rl_call *call = p->call;
    rl_m0_dw_finish *f = &p->finish;
    int corner = call->op->p[3] != 0;
    const uint32_t *table = (const uint32_t *)call->mult
        + (corner ? TABLE_CORNER : TABLE) * channel;
    int32_t top;

    f->a = table[0];
    f->b = table[1];
    f->c = table[2];
    f->limit = table[3];
    f->origin = table[4] + start;
    top = (int32_t)(most - f->origin);
    if (f->limit == 0) {
        finish_exact(p, f, wide);
    } else if (corner) {
        f->corner = table[5];
        f->delta = table[6] - table[2];
        if (wide) {
            rl_m0_dw_corner_wide(f);
        } else {
            rl_m0_dw_corner_narrow(f);
        }
    } else if (wide) {
        finish_wide(f, top < (int32_t)f->limit);
    } else {
        finish_narrow(f, top < (int32_t)f->limit);
    }
}

static RL_HOT void run_narrow(part *p, uint32_t channel, uint32_t top,
                              const filter *k)
{
    rl_m0_dw_job *job = &p->job;
    rl_m0_dw_finish *f = &p->finish;
    uint32_t start = k->negative * top;

    job->start = start * LANES;
    if (p->call->op->sh == 1) {
        rl_m0_dw_narrow1(job);
    } else {
        rl_m0_dw_narrow2(job);
    }
    f->s = job->x + job->x_row / 2u;
    f->s_row = job->y_row;
    f->s_height = p->rows * job->y_row;
    f->s_skip = RL_M0_DW_PIXEL - f->s_height;
    finish(p, channel, start, start + k->positive * top, 0);
}

static RL_HOT void set_wide(part *p)
{
    p->finish.s = p->sums;
    p->finish.s_row = 8;
    p->finish.s_height = p->rows * 8u;
    p->finish.s_skip = 0;
}

/* The plane upside down, from its last row up. */
static RL_HOT void flip(part *p)
{
    rl_m0_dw_job *job = &p->job;
    rl_m0_dw_finish *f = &p->finish;

    job->x += (p->rows_in - 1u) * (p->columns_in * 4u);
    job->x_row = 0u - job->x_row;
    f->y += (p->rows - 1u) * f->y_row;
    f->y_row = 0u - f->y_row;
    f->y_skip = p->call->out->c - p->rows * f->y_row;
}

/* As it was, but for x and y, which are set for each channel. */
static RL_HOT void unflip(part *p)
{
    rl_m0_dw_finish *f = &p->finish;

    p->job.x_row = 0u - p->job.x_row;
    f->y_row = 0u - f->y_row;
    f->y_skip = p->call->out->c - p->rows * f->y_row;
}

/* The filter's last row apart, or its first: then everything is upside
 * down. */
static RL_HOT void run_split(part *p, uint32_t channel, uint32_t top,
                             const filter *k)
{
    uint32_t apart = (k->apart & ~FLIP) * top;
    uint32_t start = k->negative * top;
    uint32_t i;

    p->w[9] = (int32_t)((start - apart) * LANES);
    p->w[10] = (int32_t)(apart * LANES);
    set_wide(p);
    if (k->apart & FLIP) {
        for (i = 0; i < 3; i++) {
            int32_t w = p->w[i];

            p->w[i] = p->w[6 + i];
            p->w[6 + i] = w;
        }
        flip(p);
    }
    rl_m0_dw_split1(&p->job);
    finish(p, channel, start, start + k->positive * top, 1);
    if (k->apart & FLIP) {
        unflip(p);
    }
}

/* Each row of the filter with a start of its own behind it. */
static RL_HOT void run_rows(part *p, uint32_t channel, uint32_t top,
                            const filter *k)
{
    const int8_t *w = k->w;
    int32_t *to = p->w;
    uint32_t start = k->negative * top;
    uint32_t r, i;

    for (r = 0; r < 3; r++) {
        uint32_t negative = 0;

        for (i = 0; i < 3; i++) {
            int32_t value = *w++;

            *to++ = value;
            if (value < 0) {
                negative -= (uint32_t)value;
            }
        }
        *to++ = (int32_t)(negative * top * LANES);
    }
    set_wide(p);
    rl_m0_dw_rows(&p->job);
    finish(p, channel, start, start + k->positive * top, 1);
}

static RL_HOT void run_wide(part *p, uint32_t channel, uint32_t top,
                            const filter *k)
{
    set_wide(p);
    rl_m0_dw_wide(&p->job);
    finish(p, channel, 0, k->positive * top, 1);
}

/* *top may be `most`: it is not much above, and no u of the plane is. */
static RL_HOT int at_most(const part *p, uint32_t *top, uint32_t most)
{
    if (*top > most) {
        /* All u ored have the highest bit of the largest. */
        if (*top > 2u * most + 1u
            || (rl_m0_dw_above(p->job.x, p->rows_in * p->columns_in,
                               (0x7FFFu - most) * LANES) & 0x80008000u)) {
            return 0;
        }
        *top = most;
    }
    return 1;
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

/* The shortest way that is proven; a row alone has no rolling sums. */
static RL_HOT void run_proven(part *p, uint32_t channel, uint32_t top,
                              const filter *k)
{
    uint32_t stride = p->call->op->sh;

    if ((p->rows > 1 || stride == 2) && at_most(p, &top, k->narrow)) {
        run_narrow(p, channel, top, k);
    } else if (p->rows > 1 && stride == 1 && at_most(p, &top, k->split)) {
        run_split(p, channel, top, k);
    } else if (at_most(p, &top, k->rows)) {
        run_rows(p, channel, top, k);
    } else {
        run_wide(p, channel, top, k);
    }
}

/* One channel of a plane whose inputs are at most top. */
static RL_HOT void run_channel(part *p, uint32_t channel, uint32_t top)
{
    const filter *k =
        (const filter *)(const void *)p->call->w + channel;
    int32_t *w = p->w;

    if (top * (k->negative + k->positive) == 0) {
        put_same(p, channel, k->idle);
        return;
    }
    w[0] = k->w[0];
    w[1] = k->w[1];
    w[2] = k->w[2];
    w[3] = k->w[3];
    w[4] = k->w[4];
    w[5] = k->w[5];
    w[6] = k->w[6];
    w[7] = k->w[7];
    w[8] = k->w[8];
    p->job.x = p->plane + (channel & 3u);
    p->finish.y = (uint8_t *)p->y + channel;
    run_proven(p, channel, top, k);
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

/* Below 2^31: sides are at most 4096. */
uint32_t rl_m0_depthwise_scratch(const rl_op *op)
{
    extent e = largest(op);

    return e.rows_in * e.columns_in * RL_M0_DW_PIXEL
        + e.rows * e.columns * 8u;
}

static RL_HOT void set_common(part *p)
{
    const rl_call *call = p->call;
    uint32_t c = call->out->c;

    p->job.w = p->w;
    p->job.x_row = p->columns_in * RL_M0_DW_PIXEL;
    p->job.rows = p->rows;
    p->job.columns = p->columns;
    p->job.sums = p->sums;
    p->job.x_column = call->op->sw * RL_M0_DW_PIXEL;
    p->job.y_row = call->op->sh * p->job.x_row;
    p->finish.y_lane = p->y_lane;
    p->finish.y_row = call->out->w * c;
    p->finish.columns = p->columns;
    p->finish.y_skip = c - p->rows * p->finish.y_row;
    p->finish.high = (uint32_t)call->op->act_max & 0xFFu;
}

/* A rectangle of outputs, at most two halves of the largest size. */
static RL_HOT void run_part(part *p, const block *at)
{
    const rl_call *call = p->call;
    const rl_op *op = call->op;
    uint32_t down = at->rows > 1 ? at->rows >> 1 : 0;
    uint32_t right = at->rows > 1 ? 0 : at->columns >> 1;
    uint32_t c = call->out->c;
    uint32_t channel, i;

    p->rows = at->rows - down;
    p->columns = at->columns - right;
    p->rows_in = (p->rows - 1u) * op->sh + 3u;
    p->columns_in = (p->columns - 1u) * op->sw + 3u;
    p->half[0].y = (int32_t)(at->row * op->sh) - op->pad_top;
    p->half[0].x = (int32_t)(at->column * op->sw) - op->pad_left;
    p->half[1].y = p->half[0].y + (int32_t)(down * op->sh);
    p->half[1].x = p->half[0].x + (int32_t)(right * op->sw);
    p->y = call->y + (at->row * call->out->w + at->column) * c;
    p->y_lane = (down * call->out->w + right) * c;
    set_common(p);
    put_patches(p);
    for (channel = 0; channel < c; channel += 4) {
        uint32_t seen = weave(p);

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
    uint32_t word = ((uint32_t)call->op->act_min & 0xFFu) * 0x01010101u;
    uint32_t words = call->count * call->out->c / 4u;
    uint32_t *to =
        (uint32_t *)(void *)(call->y + call->first * call->out->c);

    for (; words & 3u; words--) {
        *to++ = word;
    }
    if (words) {
        rl_m0_dw_fill(to, word, words / 4u);
    }
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
