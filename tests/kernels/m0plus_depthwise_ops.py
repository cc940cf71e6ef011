"""Graphs of one 3 x 3 DEPTHWISE_CONV_2D made at random, for the Cortex-M0+ kernel."""

from __future__ import annotations

import functools

import numpy as np
from relume.model import quantize
from relume.model.graph import Graph, Kind, Op, Tensor, Window

from tests.kernels import m0plus_ops
from tests.kernels.m0plus_ops import Case, Random

CHANNELS = (4, 4, 8, 12)
SPREADS = (1.0, 6.0, 30.0, 70.0, 200.0)


@functools.cache
def case(seed: int) -> Case:
    """Sides of 1 to 9, some of 30 to 60 that take several planes; any padding; stride 1 or 2."""
    random = np.random.default_rng(seed)
    return m0plus_ops.case_of(graph(random), seed, random)


def graph(random: Random) -> Graph:
    """One op; its channels' weights are of different sizes, some all zero, some all -128."""
    stride = int(random.integers(1, 3))
    top, left = (int(n) for n in random.integers(0, 3, 2))
    height, width = (_side(random) for _ in range(2))
    out_h, out_w = (
        max(1, -(-(size + int(random.integers(0, 3)) + before - 2) // stride))
        for size, before in ((height, top), (width, left))
    )
    out_h = min(out_h, (height + top - 1) // stride + 1)
    out_w = min(out_w, (width + left - 1) // stride + 1)
    channels = int(random.choice(CHANNELS))
    weights = np.round(random.normal(0, random.choice(SPREADS, channels), (3, 3, channels)))
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
    window = Window(3, 3, stride, stride, top, left, 1, 1)
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
