/* relume: portable twin of blocks_m4.S: the same sums in the same order of
 * the same words, and the same requantisation, in plain C. */
#include "m4.h"

#if !RL_M4_ASM

static int32_t low_half(uint32_t word)
{
    return (int16_t)(word & 0xFFFFu);
}

static int32_t high_half(uint32_t word)
{
    return (int16_t)(word >> 16);
}

/* SMLAD */
static uint32_t mac_two(uint32_t sum, uint32_t x, uint32_t w)
{
    return sum + (uint32_t)(low_half(x) * low_half(w))
        + (uint32_t)(high_half(x) * high_half(w));
}

/* SXTB16 */
static uint32_t bytes_of(uint32_t word)
{
    uint32_t low = (uint32_t)(int32_t)(int8_t)(word & 0xFFu);
    uint32_t high = (uint32_t)(int32_t)(int8_t)(word >> 16 & 0xFFu);

    return (low & 0xFFFFu) | high << 16;
}

static uint32_t word_of(const int8_t *bytes)
{
    return (uint32_t)(uint8_t)bytes[0] | (uint32_t)(uint8_t)bytes[1] << 8
        | (uint32_t)(uint8_t)bytes[2] << 16
        | (uint32_t)(uint8_t)bytes[3] << 24;
}

static uint8_t clamp_byte(int32_t x)
{
    return (uint8_t)((x < 0 ? 0 : x > 255 ? 255 : x) ^ 0x80);
}

/* LSL by a register: its lowest byte counts, 32 and more give 0. */
static uint32_t shift_left(uint32_t x, uint32_t by)
{
    by &= 0xFFu;
    return by < 32u ? x << by : 0;
}

/* ASR by a register likewise. */
static int32_t shift_right(int32_t x, uint32_t by)
{
    by &= 0xFFu;
    return x >> (by < 32u ? by : 31u);
}

static uint8_t finish_short(uint32_t sum, const uint32_t *channel)
{
    int64_t product = (int64_t)(int32_t)shift_left(sum, channel[2])
                      * (int32_t)channel[0];
    uint32_t z = (uint32_t)((uint64_t)product >> 32) + channel[1];

    return clamp_byte(high_half(z));
}

/* twice: 2 S. */
static uint8_t finish_full(uint32_t twice, const uint32_t *channel)
{
    uint64_t product = (uint64_t)((int64_t)(int32_t)twice
                                  * (int32_t)channel[0]);
    int32_t x = (int32_t)(uint32_t)((product + (1ull << 31)) >> 32);

    x = (int32_t)((uint32_t)x + (uint32_t)(x >> 31) + channel[1]);
    return clamp_byte(low_half((uint32_t)shift_right(x, channel[2])));
}

/* Sums {all0, low0, all1, low1} of four channels -> y[4]. */
static void finish(const uint32_t *sum, const uint32_t *table, uint32_t tail,
                   uint8_t *y)
{
    uint32_t i;

    table += 4;
    for (i = 0; i < 4; i += 2, sum += 2, table += 6) {
        uint32_t high = sum[0] - sum[1];

        if (tail == RL_M4_TAIL_SHORT) {
            y[i] = finish_short(sum[1], table);
            y[i + 1] = finish_short(high, table + 3);
        } else {
            y[i] = finish_full(sum[1] << 1, table);
            y[i + 1] = finish_full((uint32_t)((int32_t)high >> 7),
                                   table + 3);
        }
    }
}

static void start(uint32_t *sum, const uint32_t *table)
{
    uint32_t i;

    for (i = 0; i < 4; i++) {
        sum[i] = table[i];
    }
}

static void pair_step(uint32_t *sum, uint32_t x, uint32_t w)
{
    sum[0] = mac_two(sum[0], x, w);
    sum[1] = mac_two(sum[1], x, bytes_of(w));
}

/* One pair of pixels; returns the end of its words. */
static const uint32_t *pair_of(const rl_m4_job *job, const uint32_t *table,
                               const uint32_t *w, const uint32_t *x,
                               uint8_t *y)
{
    uint32_t a[4], b[4];
    uint32_t i;

    start(a, table);
    start(b, table);
    for (i = 0; i < job->steps; i++, x += 2, w += 2) {
        pair_step(a, x[0], w[0]);
        pair_step(a + 2, x[0], w[1]);
        pair_step(b, x[1], w[0]);
        pair_step(b + 2, x[1], w[1]);
    }
    finish(b, table, job->tail, y + job->pixel);
    finish(a, table, job->tail, y);
    return x;
}

void rl_m4_blocks(const rl_m4_job *job)
{
    const uint32_t *table = job->table;
    const uint32_t *w = job->w;
    uint32_t block, n;

    for (block = 0; block < job->blocks; block++) {
        const uint32_t *x = job->x;
        uint8_t *y = job->y + 4 * block;

        for (n = job->pairs; n; n--) {
            x = pair_of(job, table, w, x, y) + job->x_step / 4;
            y += 2 * job->pixel;
        }
        w += 2 * job->steps;
        table += RL_M4_TABLE;
    }
}

void rl_m4_rows(const rl_m4_row *row)
{
    const uint32_t *table = row->table;
    const uint32_t *w = row->w;
    uint8_t *y = row->y;
    uint32_t block, i, j;

    for (block = row->blocks; block; block--, y += 8) {
        uint32_t sum[8];

        start(sum, table);
        start(sum + 4, table + RL_M4_TABLE);
        for (i = 0; i < row->steps; i++) {
            for (j = 0; j < 4; j++) {
                pair_step(sum + 2 * j, row->x[i], *w++);
            }
        }
        finish(sum, table, row->tail, y);
        finish(sum + 4, table + RL_M4_TABLE, row->tail, y + 4);
        table += 2 * RL_M4_TABLE;
    }
}

void rl_m4_widen_two(uint32_t *to, const int8_t *a, const int8_t *b,
                     uint32_t n, uint32_t step, uint32_t rows)
{
    uint32_t i;

    for (; rows; rows--, a += step, b += step) {
        for (i = 0; i < 4 * n; i += 4) {
            uint32_t u = word_of(a + i);
            uint32_t v = word_of(b + i);

            *to++ = bytes_of(u);
            *to++ = bytes_of(v);
            *to++ = bytes_of(u >> 8);
            *to++ = bytes_of(v >> 8);
        }
    }
}

void rl_m4_widen_columns(uint32_t *to, uint32_t *too, const int8_t *a,
                         uint32_t n, uint32_t step, uint32_t rows,
                         uint32_t columns)
{
    uint32_t row, i;

    for (; columns; columns--, a += 4 * n) {
        for (row = 0; row < rows; row++) {
            for (i = 0; i < 4 * n; i += 4, to += 4, too += 4) {
                uint32_t u = word_of(a + row * step + i);

                to[0] = too[0] = bytes_of(u);
                to[2] = too[2] = bytes_of(u >> 8);
            }
        }
    }
}

void rl_m4_widen_one(uint32_t *to, const int8_t *a, uint32_t n)
{
    for (; n; n--, a += 4) {
        uint32_t u = word_of(a);

        *to++ = bytes_of(u);
        *to++ = bytes_of(u >> 8);
    }
}

#endif
