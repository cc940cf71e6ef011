/* relume: one window of a CONV_2D as bytes, padding included, Cortex-M4. */
#include "conv.h"

/* Taps of one row: outside on the left, inside, outside on the right. */
typedef struct {
    uint32_t left, inner, right;
} taps;

typedef uint32_t word __attribute__((may_alias, aligned(1)));

RL_FAST RL_HOT int8_t *rl_m4_put(int8_t *to, const int8_t *from, uint32_t n)
{
    for (; n >= 4; n -= 4, to += 4, from += 4) {
        *(word *)(void *)to = *(const word *)(const void *)from;
    }
    while (n--) {
        *to++ = *from++;
    }
    return to;
}

RL_FAST RL_HOT int8_t *rl_m4_put_fill(int8_t *to, uint32_t fill, uint32_t n)
{
    for (; n >= 4; n -= 4, to += 4) {
        *(word *)(void *)to = fill;
    }
    while (n--) {
        *to++ = (int8_t)fill;
    }
    return to;
}

/* One row of a dilated window: kw taps from column x on. */
static RL_HOT int8_t *put_dilated(const rl_m4_walk *at, int8_t *to,
                                  const int8_t *row, int32_t x)
{
    const rl_op *op = at->call->op;
    uint32_t c = at->call->in0->c;
    uint32_t n;

    for (n = op->kw; n; n--, x += op->dil_w) {
        if (x < 0 || x >= at->call->in0->w) {
            to = rl_m4_put_fill(to, at->fill, c);
        } else {
            to = rl_m4_put(to, row + (uint32_t)x * c, c);
        }
    }
    return to;
}

/* Bytes of the taps of a row from column x on, not dilated. */
static RL_HOT taps clip(const rl_m4_walk *at, int32_t x)
{
    uint32_t c = at->call->in0->c;
    int32_t n = at->call->op->kw;
    int32_t end = at->call->in0->w - x;
    int32_t left = x < 0 ? (x > -n ? -x : n) : 0;
    taps t;

    end = end < n ? (end > left ? end : left) : n;
    t.left = (uint32_t)left * c;
    t.inner = (uint32_t)(end - left) * c;
    t.right = (uint32_t)n * c - t.left - t.inner;
    return t;
}

/* Rows of one word: bytes outside the input are masked in. The word may end
 * up to 3 bytes behind the row. */
static RL_FAST RL_HOT void gather_words(const rl_m4_walk *at,
                                        const rl_m4_corner *p, word *to)
{
    const rl_op *op = at->call->op;
    taps t = clip(at, p->x);
    uint32_t shift = 8u * t.left;
    uint32_t inside = (0xFFFFFFFFu >> (32u - 8u * t.inner)) << shift;
    uint32_t outside = at->fill & ~inside;
    const int8_t *row = at->call->a
        + (uint32_t)(p->x < 0 ? 0 : p->x) * at->call->in0->c;
    int32_t y = p->y;
    uint32_t n;

    for (n = op->kh; n; n--, y++) {
        uint32_t x = at->fill;

        if (y >= 0 && y < at->call->in0->h) {
            x = *(const word *)(const void *)(row + (uint32_t)y * at->x_row);
            x = (x << shift & inside) | outside;
        }
        *to++ = x;
    }
}

/* The window's bytes, rows rounded up to whole words. */
RL_HOT void rl_m4_gather(const rl_m4_walk *at, const rl_m4_corner *p,
                         int8_t *to)
{
    const rl_op *op = at->call->op;
    uint32_t first = (uint32_t)(p->x < 0 ? 0 : p->x) * at->call->in0->c;
    taps t;
    int32_t y = p->y;
    uint32_t n;

    if (at->run == 4 && at->compact) {
        gather_words(at, p, (word *)(void *)to);
        return;
    }
    t = clip(at, p->x);
    for (n = op->kh; n; n--, y += op->dil_h) {
        const int8_t *row = at->call->a;
        int8_t *end = to + at->run;

        if (y >= 0 && y < at->call->in0->h) {
            row += (uint32_t)y * at->x_row;
        }
        if (y < 0 || y >= at->call->in0->h) {
            to = rl_m4_put_fill(to, at->fill, op->kw * at->call->in0->c);
        } else if (op->dil_w != 1) {
            to = put_dilated(at, to, row, p->x);
        } else {
            if (t.left) {
                to = rl_m4_put_fill(to, at->fill, t.left);
            }
            to = rl_m4_put(to, row + first, t.inner);
            if (t.right) {
                to = rl_m4_put_fill(to, at->fill, t.right);
            }
        }
        while (to != end) {
            *to++ = 0;
        }
    }
}
