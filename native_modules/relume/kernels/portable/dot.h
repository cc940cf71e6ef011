/* relume: dot products of 32-bit words with int8 weights, two rows of
 * weights at a time. |x| <= 255 and |w| <= 128: a product cannot overflow,
 * the sums wrap. */
#ifndef RELUME_DOT_H
#define RELUME_DOT_H

#include <stdint.h>

#include "../requant.h"

/* Four bytes at a multiple of 4. */
RL_INLINE uint32_t rl_dot_word(const int8_t *bytes)
{
    uint32_t word;

    __builtin_memcpy(&word, __builtin_assume_aligned(bytes, 4), 4);
    return word;
}

/* Fixes the order of additions. Left alone, gcc forms sums of products
 * first and runs out of a Cortex-M0+'s registers. */
#if defined(__GNUC__)
#define RL_DOT_PIN(value) __asm__("" : "+r"(value))
#else
#define RL_DOT_PIN(value) ((void)(value))
#endif

/* *sum += x * w */
RL_INLINE void rl_dot_add(uint32_t *sum, int32_t x, int8_t w)
{
    *sum += (uint32_t)(x * w);
    RL_DOT_PIN(*sum);
}

/* sum[r] = sum of x[i] * w[r * n + i], i < n, r < 2. n is a multiple of 4 and
 * w a multiple of 4. */
RL_INLINE void rl_dot_words(const int32_t *x, const int8_t *w, uint32_t n,
                            uint32_t *sum)
{
    const int8_t *end = w + n;
    uint32_t s0 = 0, s1 = 0;

    for (; w != end; w += 4, x += 4) {
        uint32_t u = rl_dot_word(w), v = rl_dot_word(w + n);

        rl_dot_add(&s0, x[0], (int8_t)u);
        rl_dot_add(&s1, x[0], (int8_t)v);
        u >>= 8;
        v >>= 8;
        rl_dot_add(&s0, x[1], (int8_t)u);
        rl_dot_add(&s1, x[1], (int8_t)v);
        u >>= 8;
        v >>= 8;
        rl_dot_add(&s0, x[2], (int8_t)u);
        rl_dot_add(&s1, x[2], (int8_t)v);
        u >>= 8;
        v >>= 8;
        rl_dot_add(&s0, x[3], (int8_t)u);
        rl_dot_add(&s1, x[3], (int8_t)v);
    }
    sum[0] = s0;
    sum[1] = s1;
}

/* The same for any n and w. */
RL_INLINE void rl_dot_bytes(const int32_t *x, const int8_t *w, uint32_t n,
                            uint32_t *sum)
{
    const int8_t *end = w + n;
    uint32_t s0 = 0, s1 = 0;

    for (; w != end; w++, x++) {
        rl_dot_add(&s0, *x, *w);
        rl_dot_add(&s1, *x, w[n]);
    }
    sum[0] = s0;
    sum[1] = s1;
}

/* One row. */
RL_INLINE uint32_t rl_dot_row(const int32_t *x, const int8_t *w, uint32_t n)
{
    const int8_t *end = w + n;
    uint32_t sum = 0;

    while (w != end) {
        sum += (uint32_t)(*x++ * *w++);
    }
    return sum;
}

#endif
