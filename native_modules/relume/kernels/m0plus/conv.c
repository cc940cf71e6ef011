/* relume: CONV_2D on Cortex-M0+, and what FULLY_CONNECTED shares with it.
 *
 * Inputs of a window are listed (sparse: zero is -128 and zeros are left out)
 * or spread to words (dense); the sums of all channels are made from them,
 * taken apart and requantised. A layer whose weights are more than the flash
 * cache, or the buffer for their parts, holds is computed some blocks of
 * channels at a time, so that their weights are fetched once a tile; a wide
 * row some columns at a time, which keeps the lists short. SPEC 2.7.1 has the
 * layout, docs/KERNELS.md the arithmetic. */
#include "conv.h"

#define CACHED 14336u /* bytes of weights that stay in the flash cache */

RL_WARM uint32_t rl_m0_quotient(uint32_t n, uint32_t by)
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

/* ----------------------------------------------------------------- scratch */

static uint32_t taps_of(const rl_op *op)
{
    return op->kind == RL_FULLY_CONNECTED ? 1u : (uint32_t)op->kh * op->kw;
}

static uint32_t depth_of(const rl_op *op, const rl_tensor *in,
                         const rl_tensor *out)
{
    if (op->kind == RL_FULLY_CONNECTED) {
        return rl_m0_quotient(in->size, (uint32_t)out->h * out->w);
    }
    return in->c;
}

/* Columns of the lists at most: those of the windows of p[0] outputs. */
static uint32_t columns_of(const rl_op *op, const rl_tensor *in)
{
    uint32_t columns;

    if (taps_of(op) == 1) {
        return 1;
    }
    columns = ((uint32_t)op->p[0] - 1u) * op->sw + op->kw;
    return columns > in->w ? in->w : columns;
}

static uint32_t rows_of(const rl_op *op)
{
    return op->kind == RL_FULLY_CONNECTED ? 1u : op->kh;
}

static uint32_t blocks_of(const rl_op *op)
{
    return ((uint32_t)op->p[1] + RL_M0_WIDTH - 1u) / RL_M0_WIDTH;
}

uint32_t rl_m0_scratch(const rl_op *op, const rl_tensor *in,
                       const rl_tensor *out)
{
    uint32_t depth = depth_of(op, in, out);
    uint32_t size = blocks_of(op)
        * (RL_M0_WIDTH + 2u * (uint32_t)sizeof(rl_m0_sums));
    uint32_t columns = columns_of(op, in);

    if (((uint32_t)op->p[3] & RL_M0_SPARSE) == 0) {
        return size + 8u * ((taps_of(op) * depth + 1u) / 2u);
    }
    return size + (uint32_t)sizeof(rl_m0_run) * (rows_of(op) + 1u)
        + rows_of(op) * ((columns + 1u) * (uint32_t)sizeof(rl_m0_mark)
                         + columns * depth * (uint32_t)sizeof(rl_m0_entry));
}

/* ------------------------------------------------------------------- set-up */

RL_HOT void rl_m0_prepare(rl_m0_kernel *m, const rl_call *call)
{
    const rl_op *op = call->op;
    uint8_t *at = (uint8_t *)call->scratch;
    uint32_t low = (uint32_t)op->act_min & 0xFFu;

    m->call = call;
    m->k = taps_of(op) * depth_of(op, call->in0, call->out);
    m->pairs = (m->k + 1u) / 2u;
    m->live = (uint32_t)op->p[1];
    m->quads = (m->live + 3u) / 4u;
    m->flags = (uint32_t)op->p[3];
    m->narrow = (uint32_t)op->p[4];
    m->offset = (uint32_t)op->p[5];
    m->direct = m->live == call->out->c && (m->live & 3u) == 0
        && op->kind != RL_FULLY_CONNECTED;
    m->job.sums = (rl_m0_sums *)(void *)at;
    m->job.scratch = call->scratch;
    m->job.step = 2u * m->pairs * RL_M0_WIDTH;
    m->job.pairs = m->pairs;
    at += blocks_of(op) * 2u * sizeof(rl_m0_sums);
    m->row = (int8_t *)at;
    at += blocks_of(op) * RL_M0_WIDTH;
    m->words = (uint32_t *)(void *)at;
    m->job.inputs = at;
    m->patch.to = m->words;
    m->patch.rows = op->kh;
    m->patch.bytes = (uint32_t)op->kw * call->in0->c;
    m->patch.stride = (uint32_t)call->in0->w * call->in0->c;
    m->bottom = (int32_t)call->in0->h - op->kh;
    m->right = (int32_t)call->in0->w - op->kw;
    if ((m->flags & RL_M0_SPARSE) == 0) {
        m->words[2u * m->pairs - 1u] = 0; /* k may be odd */
    }
    m->runs = (rl_m0_run *)(void *)at;
    m->marks = (rl_m0_mark *)(void *)(m->runs + rows_of(op) + 1u);
    m->entries = (rl_m0_entry *)(void *)
        (m->marks + rows_of(op) * (columns_of(op, call->in0) + 1u));
    m->finish.sums = m->job.sums;
    m->finish.low = low | low << 8 | low << 16 | low << 24;
    m->finish.high = op->act_max;
    m->finish.exact = (const uint32_t *)(const void *)call->shift;
    m->finish.zero_point = call->out->zero_point;
}

RL_HOT void rl_m0_set_span(rl_m0_kernel *m, uint32_t first, uint32_t n)
{
    const rl_call *call = m->call;
    uint32_t words = m->flags & RL_M0_CORNER ? 24u : 16u;

    m->job.w = (const uint8_t *)call->w + first / 2u * m->job.step;
    m->job.start = (const rl_m0_sums *)(const void *)call->bias + first;
    m->job.blocks = (n + 1u) / 2u;
    m->finish.table = (const uint32_t *)call->mult + words * first;
    m->finish.quads = n;
}

/* ----------------------------------------------------------------- CONV_2D */

/* Quads at a time: all, or blocks whose weights the flash cache, or the
 * buffer in SRAM, holds. Channels that are stored one by one are not taken
 * apart. */
static RL_HOT uint32_t span_of(const rl_m0_kernel *m)
{
    const rl_call *call = m->call;
    uint32_t bytes = m->job.step, quads = 2, most = CACHED;

    if (RL_IN_PARTS(call)) {
        most = RL_GRAIN * call->op->chunk;
    } else if (!m->direct || call->resident
               || m->quads * 4u * m->k <= CACHED) {
        return m->quads;
    }
    while (bytes + m->job.step <= most) {
        bytes += m->job.step;
        quads += 2u;
    }
    return quads;
}

/* The span's weights come to the buffer. */
static RL_HOT void fetch_span(rl_m0_kernel *m)
{
    const rl_call *call = m->call;

    call->fetch->begin(call->chunk, m->job.w, m->job.blocks * m->job.step);
    call->fetch->end();
    m->job.w = call->chunk;
}

/* Pixels of a tile: from `first` in row `top` to before `last` in row
 * `bottom`. */
typedef struct {
    uint32_t top, bottom, first, last;
} area;

/* n pixels whose windows begin at row y, the first one's at column x. */
static RL_HOT void window_row(rl_m0_kernel *m, const rl_m0_ring *r,
                              int32_t y, int32_t x, uint32_t n, int8_t *to)
{
    const rl_call *call = m->call;

    for (; n; n--, x += call->op->sw, to += call->out->c) {
        uint32_t total;

        if (m->flags & RL_M0_SPARSE) {
            total = rl_m0_ring_runs(m, r, x);
            rl_m0_sum_runs(m, total);
        } else {
            total = rl_m0_gather(m, y, x);
            rl_m0_dense(&m->job);
        }
        rl_m0_finish_pixel(m, total, to);
    }
}

/* n pixels of row y from column x on. */
static RL_HOT void conv_row(rl_m0_kernel *m, rl_m0_ring *r, uint32_t y,
                            uint32_t x, uint32_t n)
{
    const rl_call *call = m->call;
    const rl_op *op = call->op;
    const rl_tensor *in = call->in0;
    int32_t row = (int32_t)(y * op->sh) - op->pad_top;
    int8_t *to = m->y + (y * call->out->w + x) * call->out->c;

    if ((m->flags & RL_M0_SPARSE) && taps_of(op) == 1) {
        rl_m0_point_row(m, call->a
                        + (y * op->sh * in->w + x * op->sw) * in->c, n, to);
        return;
    }
    if (m->flags & RL_M0_SPARSE) {
        rl_m0_ring_rows(m, r, row);
    }
    window_row(m, r, row, (int32_t)(x * op->sw) - op->pad_left, n, to);
}

/* Columns [low, high) of the tile's rows. */
static RL_HOT void conv_band(rl_m0_kernel *m, const area *tile,
                             uint32_t low, uint32_t high)
{
    uint32_t row;
    rl_m0_ring r;

    rl_m0_ring_begin(m, &r, low, high - 1u);
    for (row = tile->top; row <= tile->bottom; row++) {
        uint32_t from = low, to = high;

        if (row == tile->top && from < tile->first) {
            from = tile->first;
        }
        if (row == tile->bottom && to > tile->last) {
            to = tile->last;
        }
        if (from < to) {
            conv_row(m, &r, row, from, to - from);
        }
    }
}

/* Columns that a tile of one row does not have are not listed. */
static RL_HOT void conv_span(rl_m0_kernel *m, const area *tile)
{
    int one = tile->top == tile->bottom;
    uint32_t low = one ? tile->first : 0u;
    uint32_t end = one ? tile->last : m->call->out->w;
    uint32_t band = (uint32_t)m->call->op->p[0];

    for (; low < end; low += band) {
        conv_band(m, tile, low, end - low < band ? end : low + band);
    }
}

RL_HOT void rl_m0_conv_tile(const rl_call *call)
{
    uint32_t width = call->out->w, last = call->first + call->count - 1u;
    uint32_t first, span;
    rl_m0_kernel m;
    area tile;

    tile.top = rl_m0_quotient(call->first, width);
    tile.first = call->first - tile.top * width;
    tile.bottom = rl_m0_quotient(last, width);
    tile.last = last - tile.bottom * width + 1u;
    rl_m0_prepare(&m, call);
    span = span_of(&m);
    for (first = 0; first < m.quads; first += span) {
        rl_m0_set_span(&m, first,
                       m.quads - first < span ? m.quads - first : span);
        if (RL_IN_PARTS(call)) {
            fetch_span(&m);
        }
        m.y = call->y + 4u * first;
        conv_span(&m, &tile);
    }
}
