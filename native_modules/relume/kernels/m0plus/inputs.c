/* relume: the inputs of windows as the Cortex-M0+ sums want them.
 *
 * Sparse: each row of the input is turned once into a list of (u, offset of
 * weights), without zeros. Offsets grow along the whole row, so the part of
 * a window that lies in one row is one run of the list, neighbouring windows
 * share its entries, and one base a run finds the weights.
 * Dense: the window's bytes as words. */
#include "conv.h"

/* -------------------------------------------------------------------- lists */

void rl_m0_ring_begin(const rl_m0_kernel *m, rl_m0_ring *r, uint32_t first,
                      uint32_t last)
{
    const rl_op *op = m->call->op;
    const rl_tensor *in = m->call->in0;
    int32_t low = (int32_t)(first * op->sw) - op->pad_left;
    int32_t high = (int32_t)(last * op->sw) - op->pad_left + op->kw;

    r->low = low < 0 ? 0u : (uint32_t)low;
    r->high = high > in->w ? in->w : (uint32_t)high;
    r->marks = r->high - r->low + 1u;
    r->entries = (r->high - r->low) * in->c;
    r->built = 0;
    r->slot = 0;
}

static RL_HOT void build(const rl_m0_kernel *m, const rl_m0_ring *r)
{
    const rl_tensor *in = m->call->in0;
    rl_m0_source source;

    source.x = m->call->a + ((uint32_t)r->built * in->w + r->low) * in->c;
    source.marks = m->marks + r->slot * r->marks;
    source.to = m->entries + r->slot * r->entries;
    source.bytes = r->entries;
    source.depth = in->c;
    source.scratch = m->call->scratch;
    rl_m0_list(&source);
}

RL_HOT void rl_m0_ring_rows(const rl_m0_kernel *m, rl_m0_ring *r, int32_t y)
{
    const rl_op *op = m->call->op;
    int32_t end = y + op->kh;

    r->base = 0;
    for (; y < 0; y++) {
        r->base += (uint32_t)op->kw * m->call->in0->c * RL_M0_WIDTH;
    }
    if (end > m->call->in0->h) {
        end = m->call->in0->h;
    }
    if (r->built < y) {
        r->built = y;
    }
    for (; r->built < end; r->built++) {
        build(m, r);
        if (++r->slot == op->kh) {
            r->slot = 0;
        }
    }
    r->begin = r->slot + op->kh - (uint32_t)(r->built - y);
    if (r->begin >= op->kh) {
        r->begin -= op->kh;
    }
    r->end = m->runs + (r->built - y);
    r->end->n = RL_M0_END;
}

RL_HOT uint32_t rl_m0_ring_runs(const rl_m0_kernel *m, const rl_m0_ring *r,
                                int32_t x)
{
    uint32_t depth = m->call->in0->c * RL_M0_WIDTH;
    uint32_t across = m->call->op->kw * depth;
    uint32_t from = x < (int32_t)r->low ? 0u : (uint32_t)x - r->low;
    uint32_t to = (uint32_t)x + m->call->op->kw - r->low;
    uint32_t base = r->base + (r->low - (uint32_t)x) * depth;
    uint32_t left = m->call->op->kh - r->begin; /* slots to the last */
    uint32_t step = r->marks, sum = 0;
    const rl_m0_mark *first = m->marks + r->begin * step;
    rl_m0_run *run = m->runs, *end = r->end;

    if (to >= step) {
        to = step - 1u;
    }
    first += from;
    to -= from;
    while (run != end) {
        const rl_m0_mark *last = first + to;
        rl_m0_ref at = first->at;

        sum += last->sum - first->sum;
        run->at = at;
        run->n = (last->at - at) / (uint32_t)sizeof(rl_m0_entry);
        run->base = base;
        run++;
        base += across;
        first += step;
        if (--left == 0) {
            first = m->marks + from;
        }
    }
    return sum;
}

/* -------------------------------------------------------------------- words */

static RL_HOT uint32_t *put_same(uint32_t *to, uint32_t x, uint32_t n)
{
    while (n--) {
        *to++ = x;
    }
    return to;
}

/* One row of a window that is not all inside; adds to the sum. */
static RL_HOT uint32_t *gather_row(const rl_call *call, uint32_t *to,
                                   const int8_t *row, int32_t x,
                                   uint32_t *sum)
{
    uint32_t c = call->in0->c;
    uint32_t zero = (uint32_t)call->in0->zero_point;
    int32_t end = x + call->op->kw;
    int32_t low = x < 0 ? 0 : x;
    int32_t high = end > call->in0->w ? call->in0->w : end;
    uint32_t before = (uint32_t)(low - x) * c;
    uint32_t behind = (uint32_t)(end - high) * c;
    rl_m0_patch patch;

    to = put_same(to, zero, before);
    patch.to = to;
    patch.x = row + (uint32_t)low * c;
    patch.rows = 1;
    patch.bytes = (uint32_t)(high - low) * c;
    patch.stride = patch.bytes;
    *sum += rl_m0_spread(&patch) + (before + behind) * zero;
    return put_same(to + patch.bytes, zero, behind);
}

/* A window that sticks out of the input. */
RL_APART RL_HOT uint32_t gather_edge(const rl_m0_kernel *m, int32_t y,
                                   int32_t x)
{
    const rl_call *call = m->call;
    uint32_t stride = (uint32_t)call->in0->w * call->in0->c;
    uint32_t zero = (uint32_t)call->in0->zero_point;
    uint32_t across = (uint32_t)call->op->kw * call->in0->c;
    uint32_t sum = 0, rows;
    uint32_t *to = m->words;

    for (rows = call->op->kh; rows; rows--, y++) {
        if (y < 0 || y >= (int32_t)call->in0->h) {
            to = put_same(to, zero, across);
            sum += across * zero;
        } else {
            to = gather_row(call, to, call->a + (uint32_t)y * stride, x,
                            &sum);
        }
    }
    return sum;
}

RL_HOT uint32_t rl_m0_gather(rl_m0_kernel *m, int32_t y, int32_t x)
{
    if (y < 0 || x < 0 || y > m->bottom || x > m->right) {
        return gather_edge(m, y, x);
    }
    m->patch.x = m->call->a + (uint32_t)y * m->patch.stride
        + (uint32_t)x * m->call->in0->c;
    return rl_m0_spread(&m->patch);
}
