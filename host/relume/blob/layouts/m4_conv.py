"""CONV_2D and FULLY_CONNECTED for Cortex-M4: byte pairs (SPEC 2.7.2).

Four output channels make a block: words of the pairs (0, 1) and (2, 3). A halfword is
256 w1 + w0, a word holds the terms that SXTB16 puts into one word of the widened input: 0 and 2,
then 1 and 3 of each four.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.blob.layouts.m4_requant import (
    FULL,
    SHORT,
    Channels,
    Constants,
    Int64Array,
    fit,
    fold,
    is_constant,
    reach,
)
from relume.blob.layouts.packed import Packed
from relume.model.graph import Int8Array, Op, Tensor

KERNEL = 1
GROUP_BYTES = 4096  # scratch for widened pairs of pixels, if one pair is not larger
GROUP_MAX = 16
_ORDER = (0, 2, 1, 3)
_S1_LIMIT = 1 << 23


class Unfit(Exception):
    """Why the byte-pair kernel cannot be used for an op."""


def conv(op: Op, source: Tensor, out: Tensor) -> Packed:
    """CONV_2D. Raises Unfit with the reason."""
    if out.shape[2] % 4:
        raise Unfit(f"{out.shape[2]} output channels, not a multiple of 4")
    assert op.weights is not None
    columns = _columns(op, source.shape[2])
    weights = op.weights.transpose(0, 2, 1, 3) if columns else _rows(op.weights)
    data, table, tail = blocks(replace(op, weights=weights), source, out, 4)
    group, scratch = _scratch(op, source.shape[2], out, columns)
    note = f"byte pairs, {'short' if tail == SHORT else 'full'} requantisation"
    return Packed(KERNEL, data, table, b"", b"", (tail, group, int(columns)), scratch, note)


def _rows(weights: Int8Array) -> Int8Array:
    """[n][kh][kw][c] -> [n][kh][kw * c rounded up to 4], zeros behind each row."""
    n, kh, kw, depth = weights.shape
    return np.pad(weights.reshape(n, kh, kw * depth), ((0, 0), (0, 0), (0, -kw * depth % 4)))


def _columns(op: Op, depth: int) -> bool:
    """Windows of a row share their columns."""
    window = op.window
    dense_window = window.sw == window.dil_h == window.dil_w == 1
    return dense_window and window.kw > 1 and depth % 4 == 0


def _scratch(op: Op, depth: int, out: Tensor, columns: bool) -> tuple[int, int]:
    """Pairs of pixels widened at a time, and the scratch bytes that they need."""
    window = op.window
    terms = window.kh * (-(-window.kw * depth // 4) * 4)
    if columns:
        column = 4 * window.kh * depth
        fixed = depth + window.kw * column
        pair, most = 2 * column, -(-out.shape[1] // 2)
    else:
        fixed, pair, most = 2 * terms, 4 * terms, -(-out.shape[0] * out.shape[1] // 2)
    group = max(1, min((GROUP_BYTES - fixed) // pair, GROUP_MAX, most))
    return group, fixed + group * pair


def dense(op: Op, source: Tensor, out: Tensor) -> Packed:
    """FULLY_CONNECTED. Raises Unfit with the reason."""
    assert op.weights is not None
    terms = -(-op.weights[0].size // 4) * 4
    weights, table, tail = blocks(op, source, out, 8)
    why = f"byte pairs, {'short' if tail == SHORT else 'full'} requantisation"
    return Packed(KERNEL, weights, table, b"", b"", (tail,), 8 + 3 * terms, why)


def blocks(op: Op, source: Tensor, out: Tensor, channels: int) -> tuple[bytes, bytes, int]:
    """Weights, tables and tail of an op in blocks of `channels` (4 or 8) output channels."""
    assert op.weights is not None
    weights = op.weights.reshape(len(op.weights), -1).astype(np.int64)
    bias = fold(weights, op.bias, source.zero_point)
    lanes = channels_of(op, out, weights, bias)
    for n in range(len(weights)):
        if is_constant(lanes, n):
            weights[n], bias[n] = 0, 0
    odd = np.arange(len(bias)) % 2 == 1
    low, high = reach(weights, bias)
    if bool((odd & ((low < -_S1_LIMIT) | (high >= _S1_LIMIT))).any()):
        raise Unfit("a sum of an odd channel may need more than 24 bits")
    tail, constants = _tail(lanes)
    words = _words(_padded(weights, channels), channels)
    return words, _tables(_padded(bias[:, None], channels)[:, 0], constants), tail


def channels_of(op: Op, out: Tensor, weights: Int64Array, bias: Int64Array) -> Channels:
    """Multipliers, exponents, clamp and reachable sums of an op with raw inputs."""
    assert op.multipliers is not None and op.shifts is not None
    low, high = reach(weights, bias)
    return Channels(
        op.multipliers.astype(np.int64), op.shifts.astype(np.int64), low, high,
        out.zero_point, op.act_min, op.act_max,
    )  # fmt: skip


def _tail(channels: Channels) -> tuple[int, list[Constants]]:
    """The cheapest tail that is exact for every channel, with its constants."""
    for tail in (SHORT, FULL):
        found = [fit(channels, n, tail, 8 * (n % 2)) for n in range(len(channels.shift))]
        whole = [constants for constants in found if constants is not None]
        if len(whole) == len(found):
            return tail, whole
    raise Unfit("no requantisation constants pass the proof")


def _padded(array: Int64Array, step: int) -> Int64Array:
    rows = -len(array) % step
    return np.pad(array, ((0, rows), (0, 0)))


def _words(weights: Int64Array, step: int) -> bytes:
    """[n][k] -> [n / step][k / 2][step / 2] words of two halfwords."""
    n, k = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -k % 4)))
    halves = 256 * padded[1::2] + padded[0::2]  # [n / 2][k]
    if bool((halves < -(1 << 15)).any()):
        raise Unfit("weight -128 beside a negative one")
    ordered = halves.reshape(n // 2, -1, 4)[:, :, _ORDER].reshape(n // 2, -1, 2)
    grouped = ordered.reshape(n // step, step // 2, -1, 2).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grouped).astype("<i2").tobytes()


def _tables(bias: Int64Array, constants: list[Constants]) -> bytes:
    """16 words a block of four channels: starts of both pairs, then {m, c, j} of each channel."""
    spare = [Constants(0, 0, 0)] * (len(bias) - len(constants))
    rows: list[int] = []
    every = constants + spare
    for n in range(0, len(bias), 4):
        for pair in (n, n + 2):
            rows += [int(bias[pair] + 256 * bias[pair + 1]), int(bias[pair])]
        for one in every[n : n + 4]:
            rows += [one.m, one.c, one.j]
    return np.array([row & 0xFFFFFFFF for row in rows], dtype="<u4").tobytes()
