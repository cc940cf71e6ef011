/* relume: FULLY_CONNECTED on Cortex-M0+: inputs, sums and tables are those of
 * a CONV_2D of one tap.
 *
 * Weights in parts come into one half of a buffer while those in the other
 * half are used. Meanwhile nothing may read flash: neither the blob's fields
 * nor code that is not RL_HOT. */
#include "conv.h"

/* The inputs x[k] as the sums want them; returns their sum. */
RL_INLINE uint32_t inputs_of(rl_m0_kernel *m, const int8_t *x)
{
    rl_m0_source source;

    if ((m->flags & RL_M0_SPARSE) == 0) {
        m->patch.x = x;
        return rl_m0_spread(&m->patch);
    }
    rl_m0_run_begin(m, &source);
    return rl_m0_run_of(m, &source, x);
}

/* The span's outputs but the first `skip`, n of them, to y: as they are made,
 * where they are whole words. */
RL_INLINE void put_span(rl_m0_kernel *m, uint32_t total, uint32_t skip,
                        uint32_t n, int8_t *y)
{
    int whole;

    if (m->flags & RL_M0_SPARSE) {
        rl_m0_sum_runs(m, total);
    } else {
        rl_m0_dense(&m->job);
    }
    whole = skip == 0 && ((n | (uint32_t)(uintptr_t)y) & 3u) == 0;
    rl_m0_finish_span(m, total, whole ? y : m->row);
    if (!whole) {
        rl_m0_put_bytes(y, m->row + skip, n);
    }
}

/* Outputs [channel, end) of an input row x[k]. */
static RL_HOT void row(rl_m0_kernel *m, const int8_t *x, uint32_t channel,
                       uint32_t end, int8_t *y)
{
    uint32_t first = channel / RL_M0_WIDTH * RL_M0_WIDTH;

    rl_m0_set_span(m, first / 4u, (end + 3u) / 4u - first / 4u);
    put_span(m, inputs_of(m, x), channel - first, end - channel, y);
}

/* A part of the layer in SRAM: weights, then starts, then tables of as many
 * channels as fit, whole blocks; and where the next one comes to: the other
 * half of the buffer, or the same place if but one block fits. */
typedef struct {
    uint32_t width; /* channels */
    uint8_t *held, *other;
} parts;

static RL_HOT void halve(const rl_m0_kernel *m, parts *p)
{
    uint32_t block = m->job.step + rl_m0_tables(m->flags & RL_M0_CORNER);
    uint32_t half = rl_m0_quotient(RL_GRAIN / 2u * m->call->op->chunk, block);

    p->width = (half ? half : 1u) * RL_M0_WIDTH;
    p->held = m->call->chunk;
    p->other = p->held + half * block;
}

static RL_HOT void copy(const rl_fetch *fetch, void *to, const void *from,
                        uint32_t bytes)
{
    fetch->begin(to, from, bytes);
    fetch->end();
}

/* Channels from `first`, which begins a block, to before `end`, as many as
 * `to` holds: starts and tables come, weights begin to come. */
static RL_HOT void bring(rl_m0_kernel *m, const parts *p, uint32_t first,
                         uint32_t end, uint8_t *to)
{
    const rl_fetch *fetch = m->call->fetch;
    uint32_t blocks = p->width / RL_M0_WIDTH;
    uint8_t *start = to + blocks * m->job.step;
    uint8_t *table = start + blocks * 2u * sizeof(rl_m0_sums);

    end = end - first < p->width ? end : first + p->width;
    rl_m0_set_span(m, first / 4u, (end + 3u) / 4u - first / 4u);
    blocks = m->job.blocks;
    copy(fetch, start, m->job.start, blocks * 2u * sizeof(rl_m0_sums));
    copy(fetch, table, m->finish.table,
         (m->flags & RL_M0_CORNER ? 96u : 64u) * m->finish.quads);
    fetch->begin(to, m->job.w, blocks * m->job.step);
}

/* The channels from `first` to before `end` are in p->held. */
static RL_HOT void use(rl_m0_kernel *m, const parts *p, uint32_t first,
                       uint32_t end)
{
    uint32_t blocks = p->width / RL_M0_WIDTH;

    rl_m0_set_span(m, first / 4u, (end + 3u) / 4u - first / 4u);
    m->job.w = p->held;
    m->job.start = (const rl_m0_sums *)(const void *)
        (p->held + blocks * m->job.step);
    m->finish.table = (const uint32_t *)(const void *)
        (m->job.start + 2u * blocks);
}

/* row() with weights and tables in parts. */
RL_APART RL_HOT void row_in_parts(rl_m0_kernel *m, const int8_t *x,
                                  uint32_t channel, uint32_t end, int8_t *y)
{
    uint32_t first = channel / RL_M0_WIDTH * RL_M0_WIDTH, total;
    parts p;

    halve(m, &p);
    bring(m, &p, first, end, p.held);
    total = inputs_of(m, x);
    while (channel < end) {
        uint32_t stop = end - first > p.width ? first + p.width : end;
        uint8_t *next = p.other;

        m->call->fetch->end();
        if (stop < end && next != p.held) {
            bring(m, &p, stop, end, next);
        }
        use(m, &p, first, stop);
        put_span(m, total, channel - first, stop - channel, y);
        if (stop < end && next == p.held) {
            bring(m, &p, stop, end, next);
        }
        y += stop - channel;
        channel = first = stop;
        p.other = p.held;
        p.held = next;
    }
}

RL_HOT void rl_m0_dense_tile(const rl_call *call)
{
    uint32_t channels = call->out->c;
    uint32_t line = rl_m0_quotient(call->first, channels);
    uint32_t channel = call->first - line * channels;
    int8_t *y = call->y + call->first;
    uint32_t left = call->count;
    rl_m0_kernel m;

    rl_m0_prepare(&m, call);
    m.patch.rows = 1;
    m.patch.bytes = m.k;
    while (left) {
        uint32_t n = channels - channel;
        const int8_t *x = call->a + line * m.k;

        if (n > left) {
            n = left;
        }
        if (RL_IN_PARTS(call)) {
            row_in_parts(&m, x, channel, channel + n, y);
        } else {
            row(&m, x, channel, channel + n, y);
        }
        y += n;
        line++;
        left -= n;
        channel = 0;
    }
}
