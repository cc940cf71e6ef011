"""Four layers from fixed seeds with the shapes and statistics of real ones, so that `relume bench
kernels` needs no file.

Measured on the MLPerf Tiny reference models and the inputs that come with them: conv3x3_16x16 is
op 1 of image classification, pw_64x64 and dw3x3_64 are ops 2 and 1 of keyword spotting, fc_640x128
is op 0 of anomaly detection. The kernels for the Cortex-M0+ skip zeros and prove their lanes from
the data, so the share of zeros and the mean of what is above them decide the cycles.

Weights are normal; each channel's largest is 127 (FULLY_CONNECTED: one scale for all, channels of
very different spread). Inputs after a ReLU are 0 for a share that differs from channel to channel,
else log-normal. Biases and multipliers put about half of the outputs at 0, as in the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relume.model.graph import Graph, Int8Array, Int32Array, Kind, Op, Tensor, Window
from relume.model.quantize import per_channel, per_tensor

FloatArray = npt.NDArray[np.float64]
SEED = 20
IN_SCALE = OUT_SCALE = 1.0
OUT_SPREAD = 14.0  # standard deviation of an output before the ReLU, in bytes
OUT_MEAN = 2.0


@dataclass(frozen=True)
class Statistics:
    """Of one layer, as measured. Bytes u are input - zero point.

    weight: mean |w|. spread: log-normal deviation of a channel's weights (FULLY_CONNECTED).
    zeros: share of u = 0, between the channels 5 % from below and from above. u_mean, u_sigma: of
    u above 0, its mean and the deviation of its logarithm; of all u where zeros is None.
    """

    kind: Kind
    shape: tuple[int, int, int]
    window: Window
    channels: int
    zero_point: int
    weight: float
    spread: float
    zeros: tuple[float, float] | None
    u_mean: float
    u_sigma: float


_SAME = Window(3, 3, 1, 1, 1, 1, 1, 1)
_ONE = Window(1, 1, 1, 1, 0, 0, 1, 1)
LAYERS = {
    "conv3x3_16x16": Statistics(
        Kind.CONV_2D, (32, 32, 16), _SAME, 16, -128, 31.9, 0.0, (0.10, 0.70), 18.7, 0.65
    ),
    "pw_64x64": Statistics(
        Kind.CONV_2D, (25, 5, 64), _ONE, 64, -128, 44.0, 0.0, (0.17, 0.82), 8.8, 1.2
    ),
    "dw3x3_64": Statistics(
        Kind.DEPTHWISE_CONV_2D, (25, 5, 64), _SAME, 64, -128, 57.0, 0.0, (0.32, 0.86), 11.4, 1.25
    ),
    "fc_640x128": Statistics(
        Kind.FULLY_CONNECTED, (1, 1, 640), Window(), 128, 89, 5.35, 0.75, None, -74.6, 24.0
    ),
}


@dataclass(frozen=True)
class SeededLayer:
    """A layer as a graph of one op, its input, and the float32 scales that it was made from."""

    name: str
    graph: Graph
    data: bytes
    weight_scales: tuple[float, ...]


def seeded_layers() -> tuple[SeededLayer, ...]:
    """The four layers; the same bytes on every machine."""
    return tuple(_layer(name, one, number) for number, (name, one) in enumerate(LAYERS.items()))


def _layer(name: str, one: Statistics, number: int) -> SeededLayer:
    random = np.random.default_rng((SEED, number))
    inputs = _inputs(one, random)
    weights = _weights(one, random)
    mean, deviation = _accumulator(one, weights, inputs.astype(np.float64) - one.zero_point)
    scales = _scales(one, deviation)
    bias = OUT_MEAN / scales - mean + random.normal(0, 0.3, one.channels) * deviation
    return SeededLayer(
        name,
        _graph(name, one, weights, np.round(bias).astype(np.int32), scales),
        inputs.tobytes(),
        tuple(float(scale) for scale in scales),
    )


def _inputs(one: Statistics, random: np.random.Generator) -> Int8Array:
    """[h][w][c] bytes."""
    if one.zeros is None:
        u = random.normal(one.u_mean, one.u_sigma, one.shape)
    else:
        share = random.permutation(np.linspace(*one.zeros, one.shape[2]))
        middle = np.log(one.u_mean) - one.u_sigma**2 / 2
        above = np.maximum(1, random.lognormal(middle, one.u_sigma, one.shape))
        u = np.where(random.random(one.shape) < share, 0, above)
    return np.clip(np.round(u) + one.zero_point, -128, 127).astype(np.int8)


def _weights(one: Statistics, random: np.random.Generator) -> Int8Array:
    """[channels][terms], as Op has them but for the order of the axes."""
    terms = one.window.kh * one.window.kw or 1
    if one.kind is not Kind.DEPTHWISE_CONV_2D:
        terms *= one.shape[2]
    drawn = random.normal(0, 1, (one.channels, terms))
    drawn *= random.lognormal(0, one.spread, (one.channels, 1)) if one.spread else 1
    drawn *= one.weight / np.abs(drawn).mean()
    if not one.spread:  # per channel: the largest weight is 127
        drawn *= 127 / np.maximum(127, np.abs(drawn).max(axis=1, keepdims=True))
        largest = np.abs(drawn).argmax(axis=1)
        rows = np.arange(one.channels)
        drawn[rows, largest] = np.sign(drawn[rows, largest]) * 127
    return np.clip(np.round(drawn), -127, 127).astype(np.int8)


def _accumulator(
    one: Statistics, weights: Int8Array, u: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each channel's sum, as if the inputs were independent."""
    pixels = u.reshape(-1, one.shape[2])
    mean, spread = pixels.mean(axis=0), pixels.var(axis=0)
    if one.kind is Kind.FULLY_CONNECTED:
        spread = np.full(one.shape[2], one.u_sigma**2)
        mean = np.full(one.shape[2], one.u_mean)
    wide = weights.astype(np.float64).reshape(one.channels, -1)
    if one.kind is Kind.DEPTHWISE_CONV_2D:
        return wide.sum(axis=1) * mean, np.sqrt((wide**2).sum(axis=1) * spread)
    taps = wide.shape[1] // one.shape[2]
    mean, spread = np.tile(mean, taps), np.tile(spread, taps)
    return wide @ mean, np.sqrt(wide**2 @ spread)


def _scales(one: Statistics, deviation: FloatArray) -> npt.NDArray[np.float32]:
    """Weight scales [channels]; all the same for FULLY_CONNECTED."""
    scales = OUT_SPREAD / deviation
    if one.kind is Kind.FULLY_CONNECTED:
        scales = np.full(one.channels, scales.mean())
    return scales.astype(np.float32)


def _graph(
    name: str,
    one: Statistics,
    weights: Int8Array,
    bias: Int32Array,
    scales: npt.NDArray[np.float32],
) -> Graph:
    depth, taps = one.shape[2], (one.window.kh, one.window.kw)
    out_shape = (*one.shape[:2], one.channels)
    depthwise = one.kind is Kind.DEPTHWISE_CONV_2D
    if one.kind is Kind.FULLY_CONNECTED:
        params = per_tensor(IN_SCALE, float(scales[0]), OUT_SCALE, one.channels)
    else:
        each = [float(scale) for scale in scales]
        params = per_channel(IN_SCALE, each, OUT_SCALE, one.channels)
        weights = weights.T.reshape(*taps, -1) if depthwise else weights.reshape(-1, *taps, depth)
    op = Op(
        one.kind, name, (0,), 1, 0, one.window, int(depthwise), -128, 127,
        np.ascontiguousarray(weights), bias, *params,
    )  # fmt: skip
    source = Tensor("input", one.shape, IN_SCALE, one.zero_point)
    return Graph(name, (source, Tensor("output", out_shape, OUT_SCALE, -128)), (op,), 0, 1)
