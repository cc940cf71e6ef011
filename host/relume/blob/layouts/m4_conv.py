"""CONV_2D and FULLY_CONNECTED for Cortex-M4: byte pairs (SPEC 2.7.2).

Four output channels make a block: words of the pairs (0, 1) and (2, 3). A halfword is
256 w1 + w0, a word holds the terms that SXTB16 puts into one word of the widened input: 0 and 2,
then 1 and 3 of each four.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from relume.blob.layouts.m4_requant import (
    FULL,
    SHORT,
    Constants,
    are_constant,
    constants_of,
    fit,
    fold,
    reach,
)
from relume.blob.layouts.packed import Packed
from relume.blob.layouts.requant import Channels, Int64Array
from relume.model.graph import Int8Array, Op, Tensor

KERNEL = 1
GROUP_BYTES = 4096  # scratch for widened pairs of pixels, if one pair is not larger
GROUP_MAX = 16
WORTHWHILE = 0.8  # share of the channels below which constant ones are left out
_ORDER = (0, 2, 1, 3)
_S1_LIMIT = 1 << 23


class Unfit(Exception):
    """Why the byte-pair kernel cannot be used for an op."""


def conv(op: Op, source: Tensor, out: Tensor) -> Packed:
    """CONV_2D. Raises Unfit with the reason."""
    assert op.weights is not None
    columns = _columns(op, source.shape[2])
    weights = op.weights.transpose(0, 2, 1, 3) if columns else _rows(op.weights)
    lanes = lanes_of(replace(op, weights=weights), source, out)
    live, template = _live(lanes, out.shape[2])
    template_bytes, places, left_out = b"", b"", 0
    if live is not None:
        template_bytes, places = template.tobytes(), live.astype("<u2").tobytes()
        left_out, lanes = out.shape[2] - len(live), lanes.only(live)
    data, table, tail = blocks(lanes, 4)
    group, scratch = _scratch(op, source.shape[2], out, columns, live)
    note = f"byte pairs, {'short' if tail == SHORT else 'full'} requantisation"
    note += f", {left_out} constant channels left out" if left_out else ""
    p = (tail, group, int(columns), 0 if live is None else len(live))
    return Packed(KERNEL, data, table, template_bytes, places, p, scratch, note)


def _live(lanes: Lanes, channels: int) -> tuple[Int64Array | None, Int8Array]:
    """Channels to compute (None: all, in place), and a pixel with the bytes of the others."""
    template = constants_of(lanes.channels)
    live = np.flatnonzero(~lanes.constant)
    if len(live) == 0:
        live = np.array([0])
    if channels % 4 == 0 and -(-len(live) // 4) * 4 > channels * WORTHWHILE:
        return None, template
    return live.astype(np.int64), template


def _rows(weights: Int8Array) -> Int8Array:
    """[n][kh][kw][c] -> [n][kh][kw * c rounded up to 4], zeros behind each row."""
    n, kh, kw, depth = weights.shape
    return np.pad(weights.reshape(n, kh, kw * depth), ((0, 0), (0, 0), (0, -kw * depth % 4)))


def _columns(op: Op, depth: int) -> bool:
    """Windows of a row share their columns."""
    window = op.window
    dense_window = window.sw == window.dil_h == window.dil_w == 1
    return dense_window and window.kw > 1 and depth % 4 == 0


def _scratch(
    op: Op, depth: int, out: Tensor, columns: bool, live: Int64Array | None
) -> tuple[int, int]:
    """Pairs of pixels widened at a time, and the scratch bytes that they need."""
    window = op.window
    terms = window.kh * (-(-window.kw * depth // 4) * 4)
    if columns:
        column = 4 * window.kh * depth
        fixed = depth + window.kw * column
        pair, most = 2 * column, -(-out.shape[1] // 2)
    else:
        fixed, pair, most = 2 * terms, 4 * terms, -(-out.shape[0] * out.shape[1] // 2)
    if live is not None:
        pair += 2 * (-(-len(live) // 4) * 4)
    group = max(1, min((GROUP_BYTES - fixed) // pair, GROUP_MAX, most))
    return group, fixed + group * pair


def dense(op: Op, source: Tensor, out: Tensor) -> Packed:
    """FULLY_CONNECTED. Raises Unfit with the reason."""
    assert op.weights is not None
    terms = -(-op.weights[0].size // 4) * 4
    data, table, tail = blocks(lanes_of(op, source, out), 8)
    note = f"byte pairs, {'short' if tail == SHORT else 'full'} requantisation"
    return Packed(KERNEL, data, table, b"", b"", (tail,), 8 + 3 * terms, note)


@dataclass(frozen=True)
class Lanes:
    """Output channels as the kernel sees them: weights [n][k] and bias [n] for raw inputs.

    Channels that always give the same byte have neither weights nor bias any more.
    """

    weights: Int64Array
    bias: Int64Array
    channels: Channels
    constant: npt.NDArray[np.bool_]

    def only(self, live: Int64Array) -> Lanes:
        """The channels in `live`."""
        return Lanes(
            self.weights[live], self.bias[live], self.channels.only(live), self.constant[live]
        )


def lanes_of(op: Op, source: Tensor, out: Tensor) -> Lanes:
    """An op's channels, its input's zero point folded into the bias."""
    assert op.weights is not None
    weights = op.weights.reshape(len(op.weights), -1).astype(np.int64)
    bias = fold(weights, op.bias, source.zero_point)
    channels = channels_of(op, out, weights, bias)
    constant = are_constant(channels)
    return Lanes(
        np.where(constant[:, None], 0, weights), np.where(constant, 0, bias), channels, constant
    )


def blocks(lanes: Lanes, step: int) -> tuple[bytes, bytes, int]:
    """Weights, tables and tail in blocks of `step` (4 or 8) output channels."""
    odd = np.arange(len(lanes.bias)) % 2 == 1
    low, high = reach(lanes.weights, lanes.bias)
    if bool((odd & ((low < -_S1_LIMIT) | (high >= _S1_LIMIT))).any()):
        raise Unfit("a sum of an odd channel may need more than 24 bits")
    tail, constants = _tail(lanes.channels)
    words = _words(_padded(lanes.weights, step), step)
    return words, _tables(_padded(lanes.bias[:, None], step)[:, 0], constants), tail


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
        found = fit(channels, tail, 8 * (np.arange(len(channels)) % 2))
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
