/* relume: SOFTMAX over the last axis, int8 to int8 with output scale 1/256
 * and zero point -128, portable. The exponential and the reciprocal are
 * gemmlowp's fixed-point ones, constant by constant: Qm.n below is a signed
 * 32-bit number with m integer and n fractional bits. */
#include "../kernels.h"
#include "../requant.h"

static RL_HOT int32_t mul(int32_t a, int32_t b)
{
    return rl_requant_mulh(a, b);
}

/* x * 2^e, saturating. */
static RL_HOT int32_t raise(int32_t x, uint32_t e)
{
    int32_t limit = (int32_t)((1u << (31u - e)) - 1u);

    if (x > limit) {
        return INT32_MAX;
    }
    if (x < -limit) {
        return INT32_MIN;
    }
    return (int32_t)((uint32_t)x << e);
}

/* exp(a) for a in [-1/4, 0), Q0.31: Taylor series around -1/8. */
static RL_HOT int32_t exp_quarter(int32_t a)
{
    const int32_t exp_eighth = 1895147668; /* exp(-1/8) */
    const int32_t third = 715827883;       /* 1/3 */
    int32_t x = a + (1 << 28);
    int32_t x2 = mul(x, x);
    int32_t x3 = mul(x2, x);
    int32_t x4 = mul(x2, x2);
    int32_t tail = mul(rl_requant_shift(x4, 2) + x3, third) + x2;

    return exp_eighth + mul(exp_eighth, x + rl_requant_shift(tail, 1));
}

/* exp(a) in Q0.31 for a <= 0 in Q5.26: what is left over a quarter by the
 * series, then a factor for each power of two in the quarters. */
static RL_HOT int32_t exp_negative(int32_t a)
{
    /* exp(-2^i), i = -2 .. 4 */
    static const int32_t factor[7] = {
        1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242
    };
    const int32_t quarter = 1 << 24;
    int32_t part = (int32_t)((uint32_t)a & ((1u << 24) - 1u)) - quarter;
    uint32_t whole = (uint32_t)part - (uint32_t)a;
    int32_t y;
    int i;

    if (a == 0) {
        return INT32_MAX;
    }
    y = exp_quarter((int32_t)((uint32_t)part << 5));
    for (i = 0; i < 7; i++) {
        if (whole & (1u << (24 + i))) {
            y = mul(y, factor[i]);
        }
    }
    return y;
}

/* 1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31: three Newton steps from
 * 48/17 - 32/17 d, in Q2.29. */
static RL_HOT int32_t reciprocal(int32_t a)
{
    int32_t half = (int32_t)(((uint32_t)a + 0x80000000u) >> 1);
    int32_t x = 1515870810 + mul(half, -1010580540);
    int i;

    for (i = 0; i < 3; i++) {
        x += raise(mul(x, (1 << 29) - mul(half, x)), 2);
    }
    return raise(x, 1);
}

static RL_HOT int32_t exp_of(const rl_op *op, int32_t diff)
{
    uint32_t scaled = (uint32_t)diff << ((uint32_t)op->p[1] & 31u);

    return exp_negative(mul((int32_t)scaled, op->p[0]));
}

static RL_HOT int32_t max_of(const int8_t *x, uint32_t n)
{
    int32_t max = -128;

    while (n--) {
        if (*x > max) {
            max = *x;
        }
        x++;
    }
    return max;
}

/* One row: the sum of exponentials is Q12.19, at least 1 because of the
 * largest element, and below 2^12 since n < 4096 (both proven). */
static RL_HOT void row_of(const rl_op *op, const int8_t *x, int8_t *y,
                          uint32_t n)
{
    int32_t max = max_of(x, n);
    int32_t least = op->p[2];
    uint32_t sum = 0;
    uint32_t lead = 0;
    uint32_t i;
    int32_t scale;

    for (i = 0; i < n; i++) {
        if (x[i] - max >= least) {
            sum += (uint32_t)rl_requant_shift(exp_of(op, x[i] - max), 12);
        }
    }
    while (!((sum << lead) & 0x80000000u)) {
        lead++;
    }
    scale = reciprocal((int32_t)((sum << lead) - 0x80000000u));
    for (i = 0; i < n; i++) {
        int32_t value = -128;

        if (x[i] - max >= least) {
            int32_t share = mul(scale, exp_of(op, x[i] - max));

            value += rl_requant_shift(share, 12u - lead + 23u);
        }
        y[i] = rl_requant_clamp(value, -128, 127);
    }
}

RL_HOT void rl_softmax_tile(const rl_call *call)
{
    uint32_t n = call->out->c;
    const int8_t *x = call->a + call->first * n;
    int8_t *y = call->y + call->first * n;
    uint32_t left;

    for (left = call->count; left; left--) {
        row_of(call->op, x, y, n);
        x += n;
        y += n;
    }
}
