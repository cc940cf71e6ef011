/* relume: planes of a depthwise convolution: portable twins of
 * depthwise_planes.S, and what has none. */
#include "depthwise.h"

/* Channel i of the four; returns its u, ored. */
static RL_HOT uint32_t weave_one(const rl_m0_dw_source *source, uint32_t i)
{
    uint32_t *to = source->to + i;
    uint32_t a = i, b = i; /* bytes from the source's first */
    uint32_t seen = 0;
    uint32_t row, column;

    for (row = source->rows; row; row--) {
        for (column = source->columns; column; column--) {
            uint32_t u = (uint8_t)source->a[a] ^ 0x80u;
            uint32_t v = (uint8_t)source->b[b] ^ 0x80u;

            *to = u | v << 16;
            to += 4;
            seen |= u | v;
            a += source->a_step;
            b += source->b_step;
        }
        to += source->to_skip / 4u;
        a += source->a_skip;
        b += source->b_skip;
    }
    return seen;
}

RL_HOT RL_SMALL uint32_t rl_m0_dw_weave_bytes(const rl_m0_dw_source *source,
                                     uint32_t n)
{
    uint32_t seen = 0;
    uint32_t i;

    for (i = 0; i < n; i++) {
        seen |= weave_one(source, i) << (8u * i);
    }
    return seen;
}

#if !RL_M0_ASM

uint32_t rl_m0_dw_weave(const rl_m0_dw_source *source)
{
    return rl_m0_dw_weave_bytes(source, 4);
}

uint32_t rl_m0_dw_above(const uint32_t *x, uint32_t n, uint32_t word)
{
    uint32_t seen = 0;

    for (; n; n--, x += 4) {
        seen |= *x + word;
    }
    return seen;
}

void rl_m0_dw_pad(uint32_t *to, uint32_t word, uint32_t columns,
                  uint32_t rows, uint32_t skip)
{
    uint32_t row, n;

    for (row = 0; row < rows; row++, to += skip / 4u) {
        for (n = 4u * columns; n; n--) {
            *to++ = word;
        }
    }
}

#endif
