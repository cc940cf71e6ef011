"""Graphs of one DEPTHWISE_CONV_2D made at random, for the Cortex-M0+ kernel."""

from __future__ import annotations

import functools

import numpy as np
from relume.model import quantize
from relume.model.graph import Graph, Kind, Op, Tensor, Window

from tests.kernels import m0plus_ops
from tests.kernels.m0plus_ops import Case, Random

CHANNELS = (4, 4, 8, 12)
ANY_CHANNELS = (1, 3, 4, 6, 8, 9)
GENERAL = 1000  # seeds from here on have any window
SPREADS = (1.0, 6.0, 30.0, 70.0, 200.0)


@functools.cache
def case(seed: int) -> Case:
    """Sides of 1 to 9, some of 30 to 60 that take several planes; any padding.

    3 x 3, stride 1 or 2, channels in fours; from GENERAL on any window and channels.
    """
    random = np.random.default_rng(seed)
    made = graph(random, any_window(random), ANY_CHANNELS) if seed >= GENERAL else graph(random)
    return m0plus_ops.case_of(made, seed, random)


def any_window(random: Random) -> Window:
    """Up to 6 x 6, at times 1 x 12 or 12 x 1; strides and dilations of 1 to 3."""
    kh, kw = (int(n) for n in random.integers(1, 7, 2))
    kh, kw = [(kh, kw), (kh, kw), (1, 2 * kw), (2 * kh, 1)][random.integers(4)]
    sh, sw = (int(n) for n in random.integers(1, 4, 2))
    dil_h, dil_w = (int(n) for n in random.choice([1, 1, 2, 3], 2))
    top, left = (int(random.integers(0, (k - 1) * d + 1)) for k, d in ((kh, dil_h), (kw, dil_w)))
    return Window(kh, kw, sh, sw, top, left, dil_h, dil_w)


def window_3x3(random: Random) -> Window:
    stride = int(random.integers(1, 3))
    top, left = (int(n) for n in random.integers(0, 3, 2))
    return Window(3, 3, stride, stride, top, left, 1, 1)


def graph(
    random: Random, window: Window | None = None, depths: tuple[int, ...] = CHANNELS
) -> Graph:
    """One op; its channels' weights are of different sizes, some all zero, some all -128."""
    window = window or window_3x3(random)
    height, width = (_side(random) for _ in range(2))
    out_h, out_w = (
        min(
            max(1, -(-(size + int(random.integers(0, 3)) + before - 2) // stride)),
            (size + before - 1) // stride + 1,
        )
        for size, before, stride in (
            (height, window.pad_top, window.sh), (width, window.pad_left, window.sw)
        )
    )  # fmt: skip
    channels = int(random.choice(depths))
    size = (window.kh, window.kw, channels)
    weights = np.round(random.normal(0, random.choice(SPREADS, channels), size))
    weights[..., random.random(channels) < 0.1] = 0
    weights[..., random.random(channels) < 0.05] = -128
    weights = np.clip(weights, -128, 127).astype(np.int8)
    swing = np.abs(weights.astype(int)).sum(axis=(0, 1)) + 1
    scales = random.choice([1.0, 3.0, 10.0], channels) / swing
    if random.random() < 0.15:
        scales[0] = random.choice([300.0, 2.0**20])
    bias = np.round(random.normal(0, 40, channels) / scales).astype(np.int32)
    params = quantize.per_channel(1.0, [float(s) for s in scales], 1.0, channels)
    low, high = sorted(int(n) for n in random.integers(-128, 128, 2))
    clamp = (-128, 127) if random.random() < 0.7 else (low, high)
    op = Op(
        Kind.DEPTHWISE_CONV_2D, "op", (0,), 1, 0, window, 1, *clamp, weights, bias, *params
    )  # fmt: skip
    source = Tensor("x", (height, width, channels), 0.02, _zero_point(random))
    target = Tensor("y", (out_h, out_w, channels), 0.02, _zero_point(random))
    return Graph("case", (source, target), (op,), 0, 1)


def _side(random: Random) -> int:
    return int(random.integers(30, 60) if random.random() < 0.1 else random.integers(1, 10))


def _zero_point(random: Random) -> int:
    return -128 if random.random() < 0.5 else int(random.integers(-128, 128))
