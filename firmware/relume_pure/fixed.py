"""Fixed point, bit for bit as TFLite's reference kernels and kernels/requant.h do it."""


def wrap(x):
    """x as a 32-bit number."""
    return (x + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def mulh(a, b):
    """a * b / 2^31, rounded: gemmlowp's SaturatingRoundingDoublingHighMul."""
    return a * b + 0x40000000 >> 31


def shift(x, e):
    """x / 2^e, halves away from zero (RoundingDivideByPOT), e >= 1."""
    x = (x - 1 if x < 0 else x) >> e - 1
    return (x >> 1) + (x & 1)


def scale(acc, multiplier, exponent):
    """acc * multiplier * 2^(exponent - 31) (MultiplyByQuantizedMultiplier)."""
    if exponent > 0:
        acc = wrap(acc << exponent)
    acc = mulh(acc, multiplier)
    return shift(acc, -exponent) if exponent < 0 else acc


def clamp(x, low, high):
    """x in [low, high] as an unsigned byte."""
    return (low if x < low else high if x > high else x) & 255


# ---- exp and 1 / x of SOFTMAX: gemmlowp's, constant by constant ----

_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_negative(a):
    """exp(a) in Q0.31 for a <= 0 in Q5.26."""
    if a == 0:
        return 0x7FFFFFFF
    part = (a & 0xFFFFFF) - 0x1000000
    whole = part - a
    x = (part << 5) + (1 << 28)
    x2 = mulh(x, x)
    x4 = mulh(x2, x2)
    tail = mulh(shift(x4, 2) + mulh(x2, x), 715827883) + x2
    y = 1895147668 + mulh(1895147668, x + shift(tail, 1))
    for i in range(7):
        if whole >> 24 + i & 1:
            y = mulh(y, _FACTORS[i])
    return y


def _raise(x, e):
    limit = (1 << 31 - e) - 1
    if x > limit:
        return 0x7FFFFFFF
    return -0x80000000 if x < -limit else x << e


def reciprocal(a):
    """1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31."""
    half = a + 0x80000000 >> 1
    x = 1515870810 + mulh(half, -1010580540)
    for _ in range(3):
        x += _raise(mulh(x, (1 << 29) - mulh(half, x)), 2)
    return _raise(x, 1)
