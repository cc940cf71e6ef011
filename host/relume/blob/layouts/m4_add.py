"""ADD for Cortex-M4: a table per input (SPEC 2.7.2), tried for all 65536 pairs of bytes.

Each entry is the input's share of the output in units of 2^-20; the zero points, the rounding and
half of TFLite's double rounding are in the first table.
"""

from __future__ import annotations

import numpy as np

from relume.blob.layouts.m4_conv import KERNEL, Unfit
from relume.blob.layouts.packed import Packed
from relume.blob.layouts.requant import Int64Array
from relume.model.graph import Op, Tensor

FRACTION = 20
_ROUNDS = 8
_LIMIT = 1 << 31


def add(op: Op, first: Tensor, second: Tensor, out: Tensor) -> Packed:
    """ADD of two tensors of one shape. Raises Unfit with the reason."""
    left, *rest = op.p
    values = np.arange(256, dtype=np.int64).astype(np.int8).astype(np.int64)
    a = op.signs[0] * _scaled((values - first.zero_point) << left, rest[0], rest[1])
    b = op.signs[1] * _scaled((values - second.zero_point) << left, rest[2], rest[3])
    exact = _scaled(a[:, None] + b[None, :], rest[4], rest[5]) + out.zero_point
    wanted = np.clip(exact, op.act_min, op.act_max)
    slope = rest[4] * 2.0 ** (rest[5] - 31 + FRACTION)
    half = 0.5 + (2.0 ** (rest[5] - 1) if rest[5] < 0 else 0.0)
    start = np.floor(a * slope + (out.zero_point + half) * (1 << FRACTION)).astype(np.int64)
    tables = _tuned(start, np.floor(b * slope).astype(np.int64), wanted)
    if tables is None:
        raise Unfit("no tables give all 65536 sums")
    data = np.concatenate(tables).astype("<i4").tobytes()
    return Packed(KERNEL, data, b"", b"", b"", (), 0, "tables")


def _scaled(x: Int64Array, multiplier: int, shift: int) -> Int64Array:
    """MultiplyByQuantizedMultiplier."""
    x = ((x << max(0, shift)) * multiplier + (1 << 30)) >> 31
    if shift < 0:
        x = (x + (x >> 63) + (1 << (-shift - 1))) >> -shift
    return x


def _tuned(
    a: Int64Array, b: Int64Array, wanted: Int64Array
) -> tuple[Int64Array, Int64Array] | None:
    """Tables near a and b that give every sum; entries are moved into what the sums allow."""
    for _ in range(_ROUNDS):
        if int(np.abs(a).max()) + int(np.abs(b).max()) >= _LIMIT:
            return None
        if bool((np.clip((a[:, None] + b) >> FRACTION, -128, 127) == wanted).all()):
            return a, b
        a = _inside(a, b[None, :], wanted)
        b = _inside(b, a[None, :], wanted.T)
    return None


def _inside(entry: Int64Array, other: Int64Array, wanted: Int64Array) -> Int64Array:
    """Each entry moved by the least that puts all its sums between the steps, if one does."""
    floor, ceiling = wanted << FRACTION, (wanted + 1) << FRACTION
    least = np.where(wanted > -128, floor - other, -_LIMIT).max(axis=1)
    most = np.where(wanted < 127, ceiling - other - 1, _LIMIT).min(axis=1)
    moved: Int64Array = np.where(least > most, entry, np.clip(entry, least, most))
    return moved
