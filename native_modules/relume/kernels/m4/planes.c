/* relume: portable twin of planes_m4.S. */
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

/* One filter column; row 1 of stride 1 reads the words one row further. */
static uint32_t column_of(uint32_t sum, uint32_t a, uint32_t b, uint32_t p,
                          uint32_t q, int row)
{
    if (row == 0) {
        return sum + (uint32_t)(low_half(a) * low_half(p))
            + (uint32_t)(high_half(a) * high_half(p))
            + (uint32_t)(low_half(b) * high_half(q));
    }
    return sum + (uint32_t)(high_half(a) * low_half(p))
        + (uint32_t)(low_half(b) * low_half(q))
        + (uint32_t)(high_half(b) * high_half(q));
}

static uint8_t clamp_byte(int32_t x)
{
    return (uint8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

static uint8_t finish_short(uint32_t sum, const uint32_t *table)
{
    uint32_t by = table[9] & 0xFFu;
    uint32_t high = by < 32u ? sum << by : 0;
    int64_t product = (int64_t)(int32_t)high * (int32_t)table[7];
    uint32_t z = (uint32_t)((uint64_t)product >> 32) + table[8];

    return clamp_byte(high_half(z));
}

static uint8_t finish_full(uint32_t sum, const uint32_t *table)
{
    uint32_t by = table[9] & 0xFFu;
    uint64_t product = (uint64_t)((int64_t)(int32_t)(sum << 1)
                                  * (int32_t)table[7]);
    int32_t x = (int32_t)(uint32_t)((product + (1ull << 31)) >> 32);

    x = (int32_t)((uint32_t)x + (uint32_t)(x >> 31) + table[8]);
    return clamp_byte(x >> (by < 32u ? by : 31u));
}

typedef uint8_t (*finisher)(uint32_t sum, const uint32_t *table);

static uint8_t output(const rl_m4_plane *plane, const uint32_t *x, int row,
                      finisher finish)
{
    const uint32_t *table = plane->table;
    const uint32_t *next = x + plane->x_row / 4u;
    uint32_t sum = table[6];
    uint32_t i;

    for (i = 0; i < 3; i++) {
        sum = column_of(sum, x[4 * i], next[4 * i], table[i], table[3 + i],
                        row);
    }
    return finish(sum, table);
}

static void stride_one(const rl_m4_plane *plane, finisher finish)
{
    const uint32_t *band = plane->x;
    uint8_t *y = plane->y;
    uint32_t bands, i;

    for (bands = plane->bands; bands; bands--) {
        for (i = 0; i < plane->columns; i++) {
            uint8_t *at = y + i * plane->y_column;

            at[plane->y_row] = output(plane, band + 4 * i, 1, finish);
            at[0] = output(plane, band + 4 * i, 0, finish);
        }
        band += plane->x_row / 4u;
        y += 2 * plane->y_row;
    }
}

static void stride_two(const rl_m4_plane *plane, finisher finish)
{
    const uint32_t *band = plane->x;
    uint8_t *y = plane->y;
    uint32_t bands, i;

    for (bands = plane->bands; bands; bands--) {
        for (i = 0; i < plane->columns; i++) {
            y[i * plane->y_column] = output(plane, band + 8 * i, 0,
                                             finish);
        }
        band += plane->x_row / 4u;
        y += plane->y_row;
    }
}

void rl_m4_plane_one(const rl_m4_plane *plane)
{
    stride_one(plane, finish_short);
}

void rl_m4_plane_one_full(const rl_m4_plane *plane)
{
    stride_one(plane, finish_full);
}

void rl_m4_plane_two(const rl_m4_plane *plane)
{
    stride_two(plane, finish_short);
}

void rl_m4_plane_two_full(const rl_m4_plane *plane)
{
    stride_two(plane, finish_full);
}

void rl_m4_weave(uint32_t *to, const int8_t *a, const int8_t *b, uint32_t n,
                 uint32_t a_step, uint32_t b_step)
{
    uint32_t i;

    for (; n; n--, a += a_step, b += b_step) {
        for (i = 0; i < 4; i++) {
            *to++ = ((uint32_t)a[i] & 0xFFFFu) | (uint32_t)b[i] << 16;
        }
    }
}

#endif
