/* relume: which inputs and which padding make a plane (see depthwise_part.h). */
#include "depthwise_part.h"

/* Positions from `at` on that are all inside [0, size) or all outside. */
typedef struct {
    uint32_t length;
    int      inside;
} stretch;

RL_APART RL_HOT RL_SMALL stretch stretch_at(int32_t at, int32_t size, uint32_t most)
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

/* Where the inputs of half 0 or 1 are, and the bytes to the next four
 * channels. */
RL_APART RL_HOT RL_SMALL uint32_t put_source(const rl_m0_dw_part *p,
                                  const rl_m0_dw_block *at, int half,
                                  int inside, rl_m0_dw_source *source)
{
    const rl_tensor *in = p->call->in0;
    const int8_t *from = p->zero;
    uint32_t step = 0, skip = 0;

    if (inside) {
        uint32_t row = (uint32_t)p->half[half].y + at->row;

        from = p->call->a
            + (row * in->w + (uint32_t)p->half[half].x + at->column) * in->c;
        step = in->c;
        skip = (in->w - at->columns) * in->c;
    }
    if (half) {
        source->b = from;
        source->b_step = step;
        source->b_skip = skip;
    } else {
        source->a = from;
        source->a_step = step;
        source->a_skip = skip;
    }
    return inside ? 4u : 0;
}

/* Sums take the place of inputs in columns [0, columns) from row 2 on. */
static RL_HOT RL_SMALL void put_patch(rl_m0_dw_part *p, const rl_m0_dw_block *at,
                             int a, int b)
{
    rl_m0_dw_patch *to = &p->patch[p->patches++];
    rl_m0_dw_source *source = &to->source;

    source->to = p->plane + 4u * (at->row * p->columns_in + at->column);
    source->columns = at->columns;
    source->rows = at->rows;
    source->to_skip = (p->columns_in - at->columns) * RL_M0_DW_PIXEL;
    to->a = put_source(p, at, 0, a, source);
    to->b = put_source(p, at, 1, b, source);
    to->lasts = at->column >= p->columns || at->row + at->rows <= 2;
}

/* Columns of at that are inside (a, b) or padding, all rows. */
static RL_HOT RL_SMALL void put_columns(rl_m0_dw_part *p, rl_m0_dw_block *at, int a,
                               int b)
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

RL_HOT RL_SMALL void rl_m0_dw_put_patches(rl_m0_dw_part *p)
{
    int32_t width = p->call->in0->w;
    rl_m0_dw_block at;

    p->patches = 0;
    for (at.column = 0; at.column < p->columns_in; at.column += at.columns) {
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

RL_HOT uint32_t rl_m0_dw_weave_part(rl_m0_dw_part *p, uint32_t channel,
                                    uint32_t n)
{
    int by_words = p->call->in0->c % 4 == 0;
    uint32_t seen = 0;
    rl_m0_dw_patch *at = p->patch;
    uint32_t left;

    for (left = p->patches; left; left--, at++) {
        rl_m0_dw_source *source = &at->source;

        if (at->a | at->b) {
            seen |= by_words ? rl_m0_dw_weave(source)
                             : rl_m0_dw_weave_bytes(source, n);
            source->a += at->a;
            source->b += at->b;
            continue;
        }
        seen |= p->zero_u * 0x01010101u;
        if (channel == 0 || !at->lasts) {
            rl_m0_dw_pad(source->to, p->zero_u * RL_M0_DW_LANES,
                         source->columns, source->rows, source->to_skip);
        }
    }
    return seen;
}
