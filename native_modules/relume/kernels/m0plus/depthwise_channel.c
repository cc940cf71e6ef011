/* relume: one channel of a depthwise convolution on Cortex-M0+.
 *
 * Bounds. With u = x + 128 and a channel's weights w, a sum of w * u lies
 * between -negative * top and positive * top: the sums of weights below and
 * above 0 times the largest u of the plane. All u ored are at least top, and
 * where that is too coarse the plane is looked through. Starting at negative *
 * top, a lane stays within 0 and (negative + positive) * top, so none disturbs
 * the other while that is at most 65535: narrow. The same for a filter whose
 * last or first row has lanes of its own: split. Else, and for any other
 * filter, the taps are cut into groups that keep the bound. */
#include "depthwise_part.h"

#define TABLE 5u        /* words of a channel's requantisation */
#define TABLE_CORNER 7u
#define LANE_MAX 65535u

/* Constants of a channel but its requantisation, 3 x 3. */
typedef struct {
    int8_t   w[9];
    int8_t   idle;          /* output where all u are 0 */
    uint8_t  narrow, split; /* largest top for which they are proven */
    uint16_t negative, positive;
    uint16_t apart; /* negative of the row that split sets apart, FLIP */
    uint8_t  reserved[2];
} filter;
_Static_assert(sizeof(filter) == 20, "SPEC 2.7.3");

#define FLIP 0x8000u /* it is the first row, not the last */

/* ------------------------------------------------------------------ finish */

/* Sums to outputs by TFLite's own arithmetic. */
RL_APART RL_HOT RL_SMALL void finish_exact(const rl_m0_dw_part *p, int wide)
{
    const rl_call *call = p->call;
    const rl_m0_dw_finish_job *f = &p->finish;
    uint32_t origin = f->table[4] + f->start;
    const uint32_t *s = f->s;
    uint8_t *y = f->y;
    uint32_t column, done;
    rl_m0_finish exact;

    exact.exact = (const uint32_t *)(const void *)call->shift;
    exact.zero_point = call->out->zero_point;
    exact.low = (uint32_t)call->op->act_min;
    exact.high = call->op->act_max;
    for (column = 0; column < f->columns; column++) {
        uint8_t *to = y + column * call->out->c;

        for (done = 0; done != f->s_height; done += f->s_row) {
            const uint32_t *pair = s + done / 4u;
            uint32_t a = wide ? pair[0] : pair[0] & 0xFFFFu;
            uint32_t b = wide ? pair[1] : pair[0] >> 16;

            to[0] = (uint8_t)rl_m0_exact(&exact, a - origin, f->table[0]);
            to[f->y_lane] =
                (uint8_t)rl_m0_exact(&exact, b - origin, f->table[0]);
            to += (int32_t)f->y_row;
        }
        s += (int32_t)(f->s_height + f->s_skip) / 4;
    }
}

/* Sums that began at `start` and went up to `most` more to outputs. wide: 0 or
 * RL_M0_DW_WIDE. */
static RL_HOT void finish(rl_m0_dw_part *p, uint32_t start, uint32_t most,
                          uint32_t wide)
{
    const uint32_t *table = p->finish.table;
    uint32_t kind = RL_M0_DW_CORNER;

    p->finish.start = start;
    if (table[3] == 0) {
        finish_exact(p, wide != 0);
        return;
    }
    if (((uint32_t)p->call->op->p[3] & RL_M0_CORNER) == 0) {
        int32_t top = (int32_t)(most - table[4]);

        kind = top < (int32_t)table[3] ? RL_M0_DW_FREE : 0;
        if (table[1] == 0) {
            kind += RL_M0_DW_SHORT;
        }
    }
    rl_m0_dw_finish(&p->finish, kind + wide);
}

static RL_HOT void set_wide(rl_m0_dw_part *p)
{
    p->finish.s = p->sums;
    p->finish.s_row = 8;
    p->finish.s_height = p->rows * 8u;
    p->finish.s_skip = 0;
}

/* ------------------------------------------------------------------- 3 x 3 */

static RL_HOT void run_narrow(rl_m0_dw_part *p, uint32_t top,
                              const filter *k)
{
    rl_m0_dw_job *job = &p->job;
    rl_m0_dw_finish_job *f = &p->finish;
    uint32_t start = k->negative * top;

    job->start = start * RL_M0_DW_LANES;
    if (p->call->op->sh == 1) {
        rl_m0_dw_narrow1(job);
    } else {
        rl_m0_dw_narrow2(job);
    }
    f->s = job->x + job->x_row / 2u;
    f->s_row = job->y_row;
    f->s_height = p->rows * job->y_row;
    f->s_skip = RL_M0_DW_PIXEL - f->s_height;
    finish(p, start, k->positive * top, 0);
}

/* Plane and outputs upside down, and back; x and y of the plane are set for
 * each channel. */
static RL_HOT RL_SMALL void turn(rl_m0_dw_part *p)
{
    rl_m0_dw_finish_job *f = &p->finish;

    p->job.x_row = 0u - p->job.x_row;
    f->y_row = 0u - f->y_row;
    f->y_skip = p->call->out->c - p->rows * f->y_row;
}

/* The filter's last row apart, or its first: then everything is upside
 * down. */
RL_APART RL_HOT RL_SMALL void run_split(rl_m0_dw_part *p, uint32_t top,
                             const filter *k)
{
    uint32_t apart = (k->apart & ~FLIP) * top;
    uint32_t start = k->negative * top;
    uint32_t i;

    p->w[9] = (start - apart) * RL_M0_DW_LANES;
    p->w[10] = apart * RL_M0_DW_LANES;
    set_wide(p);
    if (k->apart & FLIP) {
        for (i = 0; i < 3; i++) {
            uint32_t w = p->w[i];

            p->w[i] = p->w[6 + i];
            p->w[6 + i] = w;
        }
        p->job.x += (p->rows_in - 1u) * (p->columns_in * 4u);
        p->finish.y += (p->rows - 1u) * p->finish.y_row;
        turn(p);
    }
    rl_m0_dw_split1(&p->job);
    finish(p, start, k->positive * top, RL_M0_DW_WIDE);
    if (k->apart & FLIP) {
        turn(p);
    }
}

/* No u of the plane is above `most`, while all of them ored are `top`, less
 * than twice the largest. Looking costs too much where it is likely to
 * fail. */
RL_APART RL_HOT RL_SMALL int is_below(const rl_m0_dw_part *p, uint32_t top,
                             uint32_t most)
{
    return 4u * top <= 7u * most
        && (rl_m0_dw_above(p->job.x, p->rows_in * p->columns_in,
                           (0x7FFFu - most) * RL_M0_DW_LANES)
            & 0x80008000u) == 0;
}

static RL_HOT void put_weights(rl_m0_dw_part *p, const int8_t *w)
{
    uint32_t *to = p->w;

    p->job.w = to;
    to[0] = (uint32_t)w[0];
    to[1] = (uint32_t)w[1];
    to[2] = (uint32_t)w[2];
    to[3] = (uint32_t)w[3];
    to[4] = (uint32_t)w[4];
    to[5] = (uint32_t)w[5];
    to[6] = (uint32_t)w[6];
    to[7] = (uint32_t)w[7];
    to[8] = (uint32_t)w[8];
}

/* Returns 0 where neither way is proven. Sums roll over two rows or more. */
static RL_HOT int run_3x3(rl_m0_dw_part *p, uint32_t top, const filter *k)
{
    uint32_t stride = p->call->op->sh;

    if (p->rows == 1 && stride == 1) {
        return 0;
    }
    put_weights(p, k->w);
    if (top <= k->narrow) {
        run_narrow(p, top, k);
    } else if (is_below(p, top, k->narrow)) {
        run_narrow(p, k->narrow, k);
    } else if (stride == 2) {
        return 0;
    } else if (top <= k->split) {
        run_split(p, top, k);
    } else if (is_below(p, top, k->split)) {
        run_split(p, k->split, k);
    } else {
        return 0;
    }
    return 1;
}

/* -------------------------------------------------------------------- taps */

/* The table of taps as it grows, and its last group. */
typedef struct {
    uint32_t *to, *head;        /* head: of the group */
    uint32_t  top;
    uint32_t  n, below, total;  /* of the group: sum of w < 0, of all, as |w| */
    uint32_t  negative, positive; /* of the groups before it */
} taps;

static RL_HOT RL_SMALL void close_group(taps *t)
{
    t->head[0] = t->below * t->top * RL_M0_DW_LANES;
    t->head[1] = RL_M0_DW_SKIP(t->n);
    t->negative += t->below;
    t->positive += t->total - t->below;
}

/* Two weights of -128 and inputs of 255 fit a lane: a group has two taps or
 * more, unless it is the last. */
static RL_HOT RL_SMALL void put_tap(taps *t, int32_t w, uint32_t place)
{
    uint32_t size = (uint32_t)(w < 0 ? -w : w);

    if (t->n == RL_M0_DW_GROUP || (t->total + size) * t->top > LANE_MAX) {
        close_group(t);
        t->head = t->to;
        t->to += 2;
        t->n = t->below = t->total = 0;
    }
    *t->to++ = (uint32_t)w;
    *t->to++ = place;
    t->n++;
    t->total += size;
    if (w < 0) {
        t->below += size;
    }
}

/* Weights of 0 are left out. Begins with a full group that does not count. */
static RL_HOT RL_SMALL taps put_taps(rl_m0_dw_part *p, const int8_t *w, uint32_t top)
{
    const rl_op *op = p->call->op;
    uint32_t step = op->dil_w * RL_M0_DW_PIXEL;
    uint32_t row = op->dil_h * p->columns_in * RL_M0_DW_PIXEL;
    uint32_t place = 0, rows, columns;
    taps t = { p->table, p->w, top, RL_M0_DW_GROUP, 0, 0, 0, 0 };

    for (rows = op->kh; rows; rows--, place += row) {
        uint32_t at = place;

        for (columns = op->kw; columns; columns--, at += step) {
            if (*w) {
                put_tap(&t, *w, at);
            }
            w++;
        }
    }
    close_group(&t);
    return t;
}

/* Returns 0 if all weights are 0. */
RL_APART RL_HOT RL_SMALL int run_taps(rl_m0_dw_part *p, uint32_t top, const int8_t *w)
{
    taps t = put_taps(p, w, top);

    if (t.to == p->table) {
        return 0;
    }
    p->job.w = p->table;
    p->job.end = t.to;
    rl_m0_dw_taps(&p->job);
    set_wide(p);
    finish(p, t.negative * top, t.positive * top, RL_M0_DW_WIDE);
    return 1;
}

/* ----------------------------------------------------------------- channel */

/* All outputs of a channel are the same. */
RL_APART RL_HOT RL_SMALL void put_same(const rl_m0_dw_part *p, int8_t value)
{
    const rl_call *call = p->call;
    uint32_t c = call->out->c;
    uint8_t *row = p->finish.y;
    uint32_t rows, columns;

    if (value == call->op->act_min) {
        return; /* there already */
    }
    for (rows = p->rows; rows; rows--, row += p->finish.y_row) {
        uint8_t *y = row;

        for (columns = p->columns; columns; columns--, y += c) {
            y[0] = (uint8_t)value;
            y[p->finish.y_lane] = (uint8_t)value;
        }
    }
}

RL_HOT void rl_m0_dw_channel(rl_m0_dw_part *p, uint32_t channel,
                             uint32_t top)
{
    const rl_call *call = p->call;
    const rl_op *op = call->op;
    uint32_t corner = (uint32_t)op->p[3] & RL_M0_CORNER;
    const int8_t *w = call->w;
    int8_t idle;

    p->finish.table = (const uint32_t *)call->mult
        + (corner ? TABLE_CORNER : TABLE) * channel;
    p->finish.y = (uint8_t *)p->y + channel;
    p->job.x = p->plane + (channel & 3u);
    if (p->is_3x3) {
        const filter *k = (const filter *)(const void *)w + channel;

        w = k->w;
        idle = k->idle;
        if (top && k->negative + k->positive && run_3x3(p, top, k)) {
            return;
        }
    } else {
        w += channel * ((uint32_t)op->kh * op->kw + 1u);
        idle = *w++;
    }
    if (!(top && run_taps(p, top, w))) {
        put_same(p, idle);
    }
}
