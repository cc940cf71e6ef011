/* relume: CONV_2D, Cortex-M4: windows are gathered for pairs of pixels and
 * widened once; rl_m4_blocks does the rest. Padding is the input's zero
 * point, which the packer has folded into the bias.
 *
 * Scratch: one window of bytes for either pixel, then `group` pairs of
 * columns. */
#include "m4.h"

typedef struct {
    const rl_call *call;
    uint32_t       row, column; /* of the next pixel */
    uint32_t       x_row;       /* bytes of an input row */
    uint32_t       run;         /* bytes of one row of the window */
    uint32_t       k;           /* bytes of a window, rounded up to 4 */
    uint32_t       fill;        /* four zero points */
    int            whole;       /* window rows are whole, aligned words */
    uint32_t       offset;      /* of the next pixel in the output */
} walk;

typedef struct {
    int32_t  y, x;   /* first tap */
    uint32_t offset; /* in the output */
} pixel;

typedef uint32_t word __attribute__((may_alias, aligned(1)));

static RL_HOT pixel next(walk *at)
{
    const rl_op *op = at->call->op;
    pixel p;

    p.y = (int32_t)(at->row * op->sh) - op->pad_top;
    p.x = (int32_t)(at->column * op->sw) - op->pad_left;
    p.offset = at->offset;
    at->offset += at->call->out->c;
    if (++at->column == at->call->out->w) {
        at->column = 0;
        at->row++;
    }
    return p;
}

static RL_HOT int inside(const walk *at, const pixel *p)
{
    const rl_op *op = at->call->op;

    return at->whole && p->y >= 0 && p->x >= 0
        && p->y + op->kh <= at->call->in0->h
        && p->x + op->kw <= at->call->in0->w;
}

static RL_HOT const int8_t *first_tap(const walk *at, const pixel *p)
{
    return at->call->a + (uint32_t)p->y * at->x_row
        + (uint32_t)p->x * at->call->in0->c;
}

static RL_HOT int8_t *put(int8_t *to, const int8_t *from, uint32_t n)
{
    for (; n >= 4; n -= 4, to += 4, from += 4) {
        *(word *)(void *)to = *(const word *)(const void *)from;
    }
    while (n--) {
        *to++ = *from++;
    }
    return to;
}

static RL_HOT int8_t *put_fill(int8_t *to, uint32_t fill, uint32_t n)
{
    for (; n >= 4; n -= 4, to += 4) {
        *(word *)(void *)to = fill;
    }
    while (n--) {
        *to++ = (int8_t)fill;
    }
    return to;
}

/* One row of the window: kw taps from column x on of the input row `row`. */
static RL_HOT int8_t *put_row(const walk *at, int8_t *to, const int8_t *row,
                              int32_t x)
{
    const rl_op *op = at->call->op;
    uint32_t c = at->call->in0->c;
    int32_t width = at->call->in0->w;
    uint32_t taps = op->kw;

    if (op->dil_w == 1 && x >= 0 && x + (int32_t)taps <= width) {
        return put(to, row + (uint32_t)x * c, at->run);
    }
    for (; taps; taps--, x += op->dil_w) {
        if (x < 0 || x >= width) {
            to = put_fill(to, at->fill, c);
        } else {
            to = put(to, row + (uint32_t)x * c, c);
        }
    }
    return to;
}

/* The window's bytes, rounded up to whole words: their weights are 0. */
static RL_HOT void gather(const walk *at, const pixel *p, int8_t *to)
{
    const rl_op *op = at->call->op;
    const int8_t *end = to + at->k;
    int32_t height = at->call->in0->h;
    int32_t y = p->y;
    uint32_t rows;

    for (rows = op->kh; rows; rows--, y += op->dil_h) {
        if (y < 0 || y >= height) {
            to = put_fill(to, at->fill, at->run);
        } else {
            to = put_row(at, to, at->call->a + (uint32_t)y * at->x_row,
                         p->x);
        }
    }
    while (to != end) {
        *to++ = 0;
    }
}

static RL_HOT uint32_t *fill_pair(const walk *at, const pixel *p,
                                  const pixel *q, uint32_t *to)
{
    int8_t *bytes = (int8_t *)(void *)at->call->scratch;
    uint32_t rows;

    if (inside(at, p) && inside(at, q)) {
        const int8_t *a = first_tap(at, p);
        const int8_t *b = first_tap(at, q);

        for (rows = at->call->op->kh; rows; rows--) {
            rl_m4_widen_two(to, a, b, at->run >> 2);
            to += at->run;
            a += at->x_row;
            b += at->x_row;
        }
    } else {
        gather(at, p, bytes);
        gather(at, q, bytes + at->k);
        rl_m4_widen_two(to, bytes, bytes + at->k, at->k >> 2);
        to += at->k;
    }
    to[0] = p->offset;
    to[1] = q->offset;
    return to + 2;
}

static RL_HOT void begin(walk *at, const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t c = call->in0->c;

    at->call = call;
    at->row = call->first / call->out->w;
    at->column = call->first - at->row * call->out->w;
    at->x_row = (uint32_t)call->in0->w * c;
    at->run = (uint32_t)op->kw * c;
    at->k = ((uint32_t)op->kh * at->run + 3u) & ~3u;
    at->fill = (uint8_t)call->in0->zero_point * 0x01010101u;
    at->whole = (c & 3u) == 0 && op->dil_h == 1 && op->dil_w == 1;
    at->offset = call->first * call->out->c;
}

RL_HOT void rl_m4_conv_tile(const rl_call *call)
{
    uint32_t *pairs;
    uint32_t left = call->count;
    rl_m4_job job;
    walk at;

    begin(&at, call);
    pairs = (uint32_t *)(void *)call->scratch + at.k / 2u;
    job.x = pairs;
    job.w = (const uint32_t *)(const void *)call->w;
    job.table = (const uint32_t *)(const void *)call->bias;
    job.y = (uint8_t *)call->y;
    job.steps = at.k / 2u;
    job.blocks = call->out->c / 4u;
    job.tail = (uint32_t)call->op->p[0];
    while (left) {
        uint32_t *to = pairs;
        uint32_t n;

        for (n = (uint32_t)call->op->p[1]; n && left; n--) {
            pixel p = next(&at);
            pixel q = p; /* an odd last pixel is computed twice */

            left--;
            if (left) {
                q = next(&at);
                left--;
            }
            to = fill_pair(&at, &p, &q, to);
        }
        job.x_end = to;
        rl_m4_blocks(&job);
    }
}
