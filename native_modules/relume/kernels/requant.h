/* relume: fixed point, bit for bit as TFLite's reference kernels do it.
 *
 * The 32 x 32 -> 64 bit product is put together from 16-bit halves: a core
 * without a long multiply (Cortex-M0+) then needs no library call, and every
 * core runs the same, tested code. >> of a negative number is arithmetic on
 * all compilers that we support. */
#ifndef RELUME_REQUANT_H
#define RELUME_REQUANT_H

#include <stdint.h>

#if defined(__GNUC__)
#define RL_INLINE static inline __attribute__((always_inline))
#define RL_APART static __attribute__((noinline)) /* registers of its own */
#else
#define RL_INLINE static inline
#define RL_APART static
#endif

/* floor((a * b + 2^30) / 2^31), which is gemmlowp's
 * SaturatingRoundingDoublingHighMul except for a = b = -2^31 (not reached:
 * one factor is a multiplier >= 0, or both are polynomial terms below 1).
 *
 * a = ah 2^16 + al, b = bh 2^16 + bl, al and bl unsigned. With
 *   t = (al bl >> 16) + al bh     |t| < 2^31: al bh + 65535 <= 65535 * 2^15
 *   u = (t mod 2^16) + ah bl      |u| < 2^31 likewise
 * a b = 2^32 (ah bh + (t >> 16)) + 2^16 u + (al bl mod 2^16). The rounding
 * bit 2^30 lies above the last term, which cannot carry into it. */
RL_INLINE int32_t rl_requant_mulh(int32_t a, int32_t b)
{
    uint32_t al = (uint32_t)a & 0xFFFFu;
    uint32_t bl = (uint32_t)b & 0xFFFFu;
    int32_t ah = a >> 16;
    int32_t bh = b >> 16;
    int32_t t = (int32_t)((al * bl) >> 16) + (int32_t)al * bh;
    int32_t u = (int32_t)((uint32_t)t & 0xFFFFu) + ah * (int32_t)bl;
    uint32_t high = (uint32_t)(ah * bh) + (uint32_t)(t >> 16);

    return (int32_t)(2u * high + (uint32_t)(((u >> 14) + 1) >> 1));
}

/* x / 2^e, e from 1 to 31, halves away from zero (RoundingDivideByPOT). With
 * y = x - (x < 0): floor((y + 2^(e-1)) / 2^e), without the overflowing sum.
 * x = -2^31 is not reached. */
RL_INLINE int32_t rl_requant_shift(int32_t x, uint32_t e)
{
    int32_t y = (int32_t)((uint32_t)x + (uint32_t)(x >> 31)) >> (e - 1u);

    return (y >> 1) + (y & 1);
}

/* acc * multiplier * 2^(shift - 31) (MultiplyByQuantizedMultiplier). */
RL_INLINE int32_t rl_requant_scale(int32_t acc, int32_t multiplier, int shift)
{
    if (shift > 0) {
        acc = (int32_t)((uint32_t)acc << ((uint32_t)shift & 31u));
    }
    acc = rl_requant_mulh(acc, multiplier);
    if (shift < 0) {
        acc = rl_requant_shift(acc, (uint32_t)-shift);
    }
    return acc;
}

RL_INLINE int8_t rl_requant_clamp(int32_t x, int32_t low, int32_t high)
{
    if (x < low) {
        x = low;
    }
    if (x > high) {
        x = high;
    }
    return (int8_t)x;
}

/* Sum that wraps as the reference kernels' does in practice. */
RL_INLINE int32_t rl_requant_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

#endif
