"""ADD for Cortex-M0+: one linear form of both bytes (SPEC 2.7.4), tried for all 65536 pairs.

TFLite scales both inputs, adds them and scales the sum, each time rounding. The output is
clamp((by_a * a + by_b * b + start) >> shift) for all pairs of bytes, or the op stays portable.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from relume.blob.layouts.packed import Packed
from relume.blob.layouts.requant import Int64Array
from relume.model.graph import Kind, Op, Tensor

KERNEL = 1
SHIFTS = range(23, 15, -1)
NUDGES = 4  # how far from the real factors others are tried


@dataclass(frozen=True)
class Linear:
    """Factors of the inputs and what the sum starts from, in units of 2^-shift of the output."""

    by_a: int
    by_b: int
    start: int
    shift: int


def lay_out(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Packed | None:
    """The op's constants for the fast kernel, or None where no linear form is exact."""
    if op.kind is not Kind.ADD or len(sources) != 2:
        return None
    if any(source.shape != out.shape for source in sources):
        return None
    found = fit(op, outputs(op, sources, out))
    if found is None:
        return None
    p = (found.by_a, found.by_b, found.start, found.shift)
    return Packed(KERNEL, b"", b"", b"", b"", p, 0, "linear in both bytes")


def outputs(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Int64Array:
    """Reference outputs [256][256] for bytes -128 to 127 of either input."""
    left, *scales = op.p
    byte = np.arange(-128, 128, dtype=np.int64)
    a, b = (
        _scaled((byte - source.zero_point) << left, scales[2 * i], scales[2 * i + 1])
        for i, source in enumerate(sources)
    )
    first, second = op.signs
    total = _scaled(first * a[:, None] + second * b[None, :], scales[4], scales[5])
    total += out.zero_point
    clipped: Int64Array = np.clip(total, op.act_min, op.act_max)
    return clipped


def fit(op: Op, wanted: Int64Array) -> Linear | None:
    """The finest form that is exact for every pair, near the real factors; None if none is."""
    left, m0, e0, m1, e1, m2, e2 = op.p[:7]
    span = range(-NUDGES, NUDGES + 1)
    nudges = sorted(itertools.product(span, span), key=lambda d: (abs(d[0]) + abs(d[1]), d))
    for shift in SHIFTS:
        unit = m2 * 2.0 ** (e2 - 31 + left + shift)
        real = (m0 * 2.0 ** (e0 - 31) * unit, m1 * 2.0 ** (e1 - 31) * unit)
        near_a, near_b = (sign * round(x) for sign, x in zip(op.signs, real, strict=True))
        if 128 * (abs(near_a) + abs(near_b)) >= 1 << 31:
            continue
        for da, db in nudges:
            start = _start(op, wanted, near_a + da, near_b + db, shift)
            if start is not None:
                return Linear(near_a + da, near_b + db, start, shift)
    return None


def _start(op: Op, wanted: Int64Array, by_a: int, by_b: int, shift: int) -> int | None:
    """A start with which no pair is wrong and no sum leaves int32."""
    byte = np.arange(-128, 128, dtype=np.int64)
    sums = byte[:, None] * by_a + byte[None, :] * by_b
    above, below = wanted > op.act_min, wanted < op.act_max
    least, most = -(1 << 31) - int(sums.min()), (1 << 31) - int(sums.max())
    low = max(least, int(np.max((wanted << shift) - sums, where=above, initial=least)))
    high = min(most, int(np.min(((wanted + 1) << shift) - sums, where=below, initial=most)))
    if low >= high:
        return None
    return (low + high) // 2


def _scaled(x: Int64Array, multiplier: int, shift: int) -> Int64Array:
    """MultiplyByQuantizedMultiplier."""
    x = ((x << max(0, shift)) * multiplier + (1 << 30)) >> 31
    if shift < 0:
        x = (x - (x < 0) + (1 << (-shift - 1))) >> -shift
    return x
