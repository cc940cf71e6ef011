/* relume: ADD, Cortex-M4. Each input byte is looked up in a table of its
 * share of the output in units of 2^-20, zero points and rounding included;
 * the packer has tried all 65536 pairs. */
#include "m4.h"

static RL_HOT uint8_t sum_of(int8_t a, int8_t b, const int32_t *t)
{
    uint32_t sum = (uint32_t)t[(uint8_t)a] + (uint32_t)t[256 + (uint8_t)b];
    int32_t x = (int32_t)sum >> 20;

    return (uint8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

#if !RL_M4_ASM

void rl_m4_add_words(uint8_t *y, const int8_t *a, const int8_t *b,
                     const int32_t *t, uint32_t n)
{
    for (n *= 4; n; n--) {
        *y++ = sum_of(*a++, *b++, t);
    }
}

#endif

RL_HOT void rl_m4_add_tile(const rl_call *call)
{
    const int32_t *t = (const int32_t *)(const void *)call->w;
    const int8_t *a = call->a + call->first;
    const int8_t *b = call->b + call->first;
    uint8_t *y = (uint8_t *)call->y + call->first;
    uint32_t words = call->count >> 2;
    uint32_t i;

    if (words) {
        rl_m4_add_words(y, a, b, t, words);
    }
    for (i = 4u * words; i < call->count; i++) {
        y[i] = sum_of(a[i], b[i], t);
    }
}
