/* relume: FULLY_CONNECTED, Cortex-M4. The input row is widened once a tile;
 * eight channels share a pass over it. A tile that begins or ends within a
 * block computes the whole block into scratch and keeps its own bytes.
 *
 * Scratch: 8 bytes of output, k bytes of input if they are not whole words,
 * the widened row. */
#include "m4.h"

typedef struct {
    const rl_call *call;
    uint32_t       k, words; /* terms; rounded up, in words of four */
    int8_t        *bytes;
    uint32_t      *wide;
} dense;

static RL_HOT void widen(const dense *at, const int8_t *x)
{
    uint32_t i;

    if ((at->k & 3u) == 0) {
        rl_m4_widen_one(at->wide, x, at->words);
        return;
    }
    for (i = 0; i < at->k; i++) {
        at->bytes[i] = x[i];
    }
    for (; i < 4u * at->words; i++) {
        at->bytes[i] = 0;
    }
    rl_m4_widen_one(at->wide, at->bytes, at->words);
}

static RL_HOT void blocks_of(const dense *at, uint32_t block, uint32_t n,
                             uint8_t *y)
{
    const rl_call *call = at->call;
    rl_m4_row row;

    row.x = at->wide;
    row.w = (const uint32_t *)(const void *)call->w + block * 8u * at->words;
    row.table = (const uint32_t *)(const void *)call->bias
                + block * 2u * RL_M4_TABLE;
    row.y = y;
    row.steps = 2u * at->words;
    row.blocks = n;
    row.tail = (uint32_t)call->op->p[0];
    rl_m4_rows(&row);
}

/* Outputs [channel, channel + n) of a block's eight. */
static RL_HOT void part_of(const dense *at, uint32_t channel, uint32_t n,
                           int8_t *y)
{
    const int8_t *from = (const int8_t *)at->call->scratch + (channel & 7u);

    blocks_of(at, channel >> 3, 1, (uint8_t *)at->call->scratch);
    while (n--) {
        *y++ = *from++;
    }
}

/* Outputs [channel, channel + n) of one row. y: aligned words or not. */
static RL_HOT void row_of(const dense *at, uint32_t channel, uint32_t n,
                          int8_t *y)
{
    while (n) {
        uint32_t some = 8u - (channel & 7u);

        if (some == 8u && n >= 8u) {
            some = n & ~7u;
            blocks_of(at, channel >> 3, some >> 3, (uint8_t *)y);
        } else {
            some = some < n ? some : n;
            part_of(at, channel, some, y);
        }
        channel += some;
        y += some;
        n -= some;
    }
}

RL_HOT void rl_m4_dense_tile(const rl_call *call)
{
    uint32_t channels = call->out->c;
    uint32_t rows = (uint32_t)call->out->h * call->out->w;
    uint32_t row, channel, left;
    const int8_t *x;
    int8_t *y = call->y + call->first;
    dense at;

    at.call = call;
    at.k = call->in0->size / rows;
    at.words = (at.k + 3u) >> 2;
    at.bytes = (int8_t *)call->scratch + 8;
    at.wide = (uint32_t *)(void *)call->scratch + 2 + at.words;
    row = call->first / channels;
    channel = call->first - row * channels;
    x = call->a + row * at.k;
    for (left = call->count; left; channel = 0, x += at.k) {
        uint32_t n = channels - channel;

        n = n < left ? n : left;
        widen(&at, x);
        row_of(&at, channel, n, y);
        y += n;
        left -= n;
    }
}
