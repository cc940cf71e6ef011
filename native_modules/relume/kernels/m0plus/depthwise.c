/* relume: DEPTHWISE_CONV_2D on Cortex-M0+, two outputs a multiplication.
 *
 * A tile is cut into parts of two halves, which lie below or beside one
 * another (of an odd number of rows or columns the middle is computed twice).
 * Four channels at a time, the inputs of both halves are woven into planes of
 * words with a lane for each, and each channel runs over its plane on its
 * own (depthwise_channel.c). */
#include "depthwise_part.h"

int rl_m0_dw_is_3x3(const rl_op *op)
{
    return op->kh == 3 && op->kw == 3 && op->dil_h == 1 && op->dil_w == 1
        && op->sh == op->sw && op->sh <= 2;
}

static RL_HOT RL_SMALL uint32_t rows_under(const rl_op *op, uint32_t rows)
{
    return rl_m0_dw_reach(rows, op->kh, op->sh, op->dil_h);
}

static RL_HOT RL_SMALL uint32_t columns_under(const rl_op *op, uint32_t columns)
{
    return rl_m0_dw_reach(columns, op->kw, op->sw, op->dil_w);
}

/* Plane, sums, and but for 3 x 3 alone a table of taps: two words each, and
 * two for a group, which are half as many. */
static RL_WARM RL_SMALL uint32_t plane_words(const rl_op *op)
{
    return 4u * rows_under(op, (uint32_t)op->p[0])
        * columns_under(op, (uint32_t)op->p[1]);
}

static RL_WARM RL_SMALL uint32_t sums_words(const rl_op *op)
{
    return 2u * (uint32_t)op->p[0] * (uint32_t)op->p[1];
}

uint32_t rl_m0_depthwise_scratch(const rl_op *op)
{
    uint32_t taps = (uint32_t)op->kh * op->kw;

    return 4u * (plane_words(op) + sums_words(op)
                 + 2u * taps + 2u * ((taps + 1u) / 2u));
}

/* What the channels of a part have in common. */
static RL_HOT RL_SMALL void set_common(rl_m0_dw_part *p)
{
    const rl_call *call = p->call;
    uint32_t c = call->out->c;

    p->job.x_row = p->columns_in * RL_M0_DW_PIXEL;
    p->job.rows = p->rows;
    p->job.columns = p->columns;
    p->job.sums = p->sums;
    p->job.x_column = call->op->sw * RL_M0_DW_PIXEL;
    p->job.y_row = call->op->sh * p->job.x_row;
    p->finish.y_row = call->out->w * c;
    p->finish.columns = p->columns;
    p->finish.y_skip = c - p->rows * p->finish.y_row;
    p->finish.high = (uint32_t)call->op->act_max & 0xFFu;
}

/* A rectangle of outputs; the second half begins `down` and `right` of the
 * first. */
static RL_HOT RL_SMALL void run_part(rl_m0_dw_part *p, const rl_m0_dw_block *at,
                            uint32_t down, uint32_t right)
{
    const rl_call *call = p->call;
    const rl_op *op = call->op;
    uint32_t c = call->out->c;
    uint32_t channel, i;

    p->rows = at->rows - down;
    p->columns = at->columns - right;
    p->rows_in = rows_under(op, p->rows);
    p->columns_in = columns_under(op, p->columns);
    p->half[0].y = (int32_t)(at->row * op->sh) - op->pad_top;
    p->half[0].x = (int32_t)(at->column * op->sw) - op->pad_left;
    p->half[1].y = p->half[0].y + (int32_t)(down * op->sh);
    p->half[1].x = p->half[0].x + (int32_t)(right * op->sw);
    p->y = call->y + (at->row * call->out->w + at->column) * c;
    p->finish.y_lane = (down * call->out->w + right) * c;
    set_common(p);
    rl_m0_dw_put_patches(p);
    for (channel = 0; channel < c; channel += 4) {
        uint32_t n = c - channel < 4u ? c - channel : 4u;
        uint32_t seen = rl_m0_dw_weave_part(p, channel, n);

        for (i = 0; i < n; i++, seen >>= 8) {
            rl_m0_dw_channel(p, channel + i, seen & 0xFFu);
        }
    }
}

static RL_HOT RL_SMALL uint32_t at_most(uint32_t n, uint32_t most)
{
    return n < most ? n : most;
}

/* A rectangle of any size. Few rows have their halves beside one another: one
 * row has no two, and sums roll over more. */
static RL_HOT RL_SMALL void run_area(rl_m0_dw_part *p, const rl_m0_dw_block *area)
{
    const rl_op *op = p->call->op;
    uint32_t rows = (uint32_t)op->p[0], columns = (uint32_t)op->p[1];
    int beside = ((uint32_t)op->p[3] & RL_M0_DW_BESIDE) != 0
        || area->rows == 1 || (area->rows <= 3 && area->rows <= rows);
    uint32_t row_end = area->row + area->rows;
    uint32_t column_end = area->column + area->columns;
    rl_m0_dw_block at;

    for (at.row = area->row; at.row < row_end; at.row += at.rows) {
        at.rows = at_most(row_end - at.row, beside ? rows : 2u * rows);
        for (at.column = area->column; at.column < column_end;
             at.column += at.columns) {
            at.columns = at_most(column_end - at.column,
                                 beside ? 2u * columns : columns);
            run_part(p, &at, beside ? 0 : at.rows / 2u,
                     beside ? at.columns / 2u : 0);
        }
    }
}

/* Outputs below the staircase are act_min and never written again. */
static RL_HOT RL_SMALL void clear(const rl_call *call)
{
    uint32_t c = call->out->c;
    uint32_t n = call->count * c;
    int8_t *to = call->y + call->first * c;
    int8_t low = (int8_t)call->op->act_min;

    for (; ((uintptr_t)to & 3u) && n; n--) {
        *to++ = low;
    }
    if (n >= RL_M0_DW_PIXEL) {
        rl_m0_dw_pad((uint32_t *)(void *)to, (uint8_t)low * 0x01010101u,
                     n / RL_M0_DW_PIXEL, 1, 0);
    }
    to += n & ~(RL_M0_DW_PIXEL - 1u);
    for (n &= RL_M0_DW_PIXEL - 1u; n; n--) {
        *to++ = low;
    }
}

/* A tile is the end of a row, whole rows, and the start of a row. */
RL_HOT RL_SMALL void rl_m0_depthwise_tile(const rl_call *call)
{
    uint32_t width = call->out->w;
    uint32_t left = call->count;
    uint32_t i;
    rl_m0_dw_block area;
    rl_m0_dw_part p;

    p.call = call;
    p.plane = (uint32_t *)(void *)call->scratch;
    p.sums = p.plane + plane_words(call->op);
    p.table = p.sums + sums_words(call->op);
    p.is_3x3 = rl_m0_dw_is_3x3(call->op);
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
