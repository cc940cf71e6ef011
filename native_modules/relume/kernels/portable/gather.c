/* relume: GATHER and CONCATENATION, portable: runs of bytes change place.
 *
 * A GATHER's output is seen as [n0][n1][n2][run]; run (i, j, k) comes from
 * base + at0(i) + at1(j) + at2(k) of the input, where at(x) is x * step or
 * entry x of a map (SPEC 2.4). */
#include "copy.h"

typedef struct {
    const uint32_t *map; /* [n], or NULL */
    uint32_t        step;
} axis;

static inline uint32_t at(const axis *a, uint32_t x)
{
    return a->map ? a->map[x] : x * a->step;
}

/* The axes of a call; maps follow each other, that of axis 2 first. */
static void find_axes(const rl_call *call, axis *axes)
{
    const rl_op *op = call->op;
    const uint32_t *map = (const uint32_t *)(const void *)call->w;
    uint32_t i;

    for (i = 3; i--;) {
        axes[i].step = (uint32_t)op->p[RL_GATHER_STEP + i];
        axes[i].map = NULL;
        if (op->p[RL_GATHER_MAPS] >> i & 1) {
            axes[i].map = map;
            map += i ? op->p[i] : 0; /* n1 and n2 are p1 and p2 */
        }
    }
}

/* y[x] = from[at(k + x)], n >= 1 */
static RL_HOT void take(int8_t *y, const int8_t *from, const axis *a,
                        uint32_t k, uint32_t n)
{
    int8_t *end = y + n;

    if (a->map) {
        const uint32_t *map = a->map + k;

        while (y != end) {
            *y++ = from[*map++];
        }
    } else {
        uint32_t step = a->step;

        from += k * step;
        for (; (uint32_t)(end - y) >= 4; y += 4) {
            y[0] = *from;
            from += step;
            y[1] = *from;
            from += step;
            y[2] = *from;
            from += step;
            y[3] = *from;
            from += step;
        }
        for (; y != end; from += step) {
            *y++ = *from;
        }
    }
}

/* Runs k to n2 - 1 of a line until y is full; the first without its first
 * `skip` bytes. Returns what comes behind them. */
static RL_HOT int8_t *take_runs(int8_t *y, const int8_t *end,
                                const int8_t *from, const axis *a, uint32_t k,
                                uint32_t n2, uint32_t run, uint32_t skip)
{
    uint32_t place = k * a->step;

    do {
        uint32_t n = run - skip;

        if (n > (uint32_t)(end - y)) {
            n = (uint32_t)(end - y);
        }
        if (a->map) {
            place = a->map[k];
        }
        rl_copy_bytes(y, from + place + skip, n);
        place += a->step;
        skip = 0;
        y += n;
    } while (++k != n2 && y != end);
    return y;
}

RL_HOT void rl_gather_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t n1 = (uint32_t)op->p[1], n2 = (uint32_t)op->p[2];
    uint32_t run = (uint32_t)op->p[3];
    uint32_t place = call->first / run;
    uint32_t skip = call->first - place * run;
    uint32_t line = place / n2;
    uint32_t k = place - line * n2;
    uint32_t i = line / n1;
    uint32_t j = line - i * n1;
    int8_t *y = call->y + call->first;
    int8_t *end = y + call->count;
    axis axes[3];

    find_axes(call, axes);
    while (y != end) {
        const int8_t *from = call->a + op->p[0] + at(&axes[0], i)
                             + at(&axes[1], j);

        if (run == 1) {
            uint32_t n = (uint32_t)(end - y);

            n = n < n2 - k ? n : n2 - k;
            take(y, from, &axes[2], k, n);
            y += n;
        } else {
            y = take_runs(y, end, from, &axes[2], k, n2, run, skip);
            skip = 0;
        }
        k = 0;
        if (++j == n1) {
            j = 0;
            i++;
        }
    }
}

RL_HOT void rl_concatenation_tile(const rl_call *call)
{
    uint32_t run = (uint32_t)call->op->p[0];
    uint32_t next = (uint32_t)call->op->p[1];
    uint32_t round = call->first / (run + next);
    uint32_t skip = call->first - round * (run + next);
    const int8_t *from = call->a + round * run;
    const int8_t *other = call->b + round * next;
    int8_t *y = call->y + call->first, *end = y + call->count;

    /* The inputs take turns; a tile may begin in the middle of a run. */
    do {
        const int8_t *turn;
        uint32_t length = run;

        if (skip < run) {
            uint32_t n = run - skip;

            if (n > (uint32_t)(end - y)) {
                n = (uint32_t)(end - y);
            }
            rl_copy_bytes(y, from + skip, n);
            y += n;
            skip = run;
        }
        skip -= run;
        turn = from + run;
        from = other;
        other = turn;
        run = next;
        next = length;
    } while (y != end);
}
