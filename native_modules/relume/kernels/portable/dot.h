/* relume: dot products of gathered words with int8 weights. |x| <= 255 and
 * |w| <= 128: a product cannot overflow, the sums wrap. */
#ifndef RELUME_DOT_H
#define RELUME_DOT_H

#include <stdint.h>

#include "../requant.h"

typedef struct {
    uint32_t s0, s1;
} rl_dot_pair;

/* sum of x[i] * w[i], i < n */
RL_INLINE uint32_t rl_dot_one(const int32_t *x, const int8_t *w, uint32_t n)
{
    const int8_t *end = w + n;
    uint32_t sum = 0;

    while (w != end) {
        sum += (uint32_t)(*x++ * *w++);
    }
    return sum;
}

/* Rows w[0, n) and w[n, 2n). */
RL_INLINE rl_dot_pair rl_dot_two(const int32_t *x, const int8_t *w,
                                 uint32_t n)
{
    const int8_t *v = w + n;
    const int8_t *end4 = w + (n & ~3u);
    const int8_t *end = v;
    rl_dot_pair sum = { 0, 0 };

    for (; w != end4; w += 4, v += 4, x += 4) {
        sum.s0 += (uint32_t)(x[0] * w[0]);
        sum.s1 += (uint32_t)(x[0] * v[0]);
        sum.s0 += (uint32_t)(x[1] * w[1]);
        sum.s1 += (uint32_t)(x[1] * v[1]);
        sum.s0 += (uint32_t)(x[2] * w[2]);
        sum.s1 += (uint32_t)(x[2] * v[2]);
        sum.s0 += (uint32_t)(x[3] * w[3]);
        sum.s1 += (uint32_t)(x[3] * v[3]);
    }
    while (w != end) {
        sum.s0 += (uint32_t)(*x * *w++);
        sum.s1 += (uint32_t)(*x++ * *v++);
    }
    return sum;
}

#endif
