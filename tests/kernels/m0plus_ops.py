"""Graphs of one op that the Cortex-M0+ kernels take, made at random, and data that tries them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from relume.blob.layouts import m0plus_conv
from relume.blob.pack import pack
from relume.board.profile import BoardProfile, load_board
from relume.model import quantize
from relume.model.graph import Graph, Int8Array, Kind, Op, Tensor, Window
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Plan

from tests.kernels.oracle import random_tiles

KINDS = (Kind.CONV_2D, Kind.FULLY_CONNECTED)
DEPTHS = (1, 2, 3, 4, 8, 12, 16, 20, 32, 64)
CHANNELS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 30, 32, 64)
Random = np.random.Generator


@dataclass(frozen=True)
class Case:
    """One graph for both kernels, with the same tiles, and inputs to try."""

    graph: Graph
    portable: bytes
    fast: bytes
    plan: Plan
    board: BoardProfile
    inputs: tuple[bytes, ...]


@functools.cache
def case(kind: Kind, seed: int) -> Case:
    """A case whose op has a proven layout."""
    random = np.random.default_rng((int(kind), seed))
    while True:
        graph = dense_graph(random) if kind is Kind.FULLY_CONNECTED else conv_graph(random)
        if m0plus_conv.lay_out(graph.ops[0], *graph.tensors) is not None:
            return case_of(graph, seed, random)


def case_of(graph: Graph, seed: int, random: Random) -> Case:
    """Both blobs of a graph of one op, its tiles cut at random."""
    tiles = random_tiles(graph, seed)
    blobs = []
    for core in ("portable", "m0plus"):
        board = replace(load_board("RPI_PICO"), core=core)
        plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), apart=True)
        whole = replace(plan.segments[0], start=0, end=len(tiles))
        plan = replace(plan, tiles=tiles, segments=(whole,))
        blobs.append(pack(plan))
    size = graph.tensors[0].size
    return Case(graph, blobs[0], blobs[1], plan, board, inputs(size, random))


def inputs(size: int, random: Random) -> tuple[bytes, ...]:
    """Uniform; as after a ReLU; all that overflows lanes soonest; just above a flush; flat."""
    uniform = random.integers(-128, 128, size)
    bell = np.minimum(255, np.abs(random.normal(0, 40, size)).astype(int)) - 128
    relu = np.where(random.random(size) < 0.5, -128, bell)
    peaks = np.where(random.random(size) < 0.2, 127, -128)
    granules = np.where(random.random(size) < 0.4, -128, -63)
    flat = [np.full(size, value) for value in (-128, -127, 127)]
    every = (uniform, relu, peaks, granules, *flat)
    return tuple(array.astype(np.int8).tobytes() for array in every)


def conv_graph(random: Random) -> Graph:
    """A convolution, a third of them of one tap."""
    kh, kw = (int(n) for n in random.integers(1, 5, 2))
    if random.random() < 0.33:
        kh = kw = 1
    height, width = int(random.integers(kh, 9)), int(random.integers(kw, 9))
    stride = int(random.integers(1, 3))
    top, left = (min(size - 1, int(random.integers(0, 2))) for size in (kh, kw))
    out_h = (height + 2 * top - kh) // stride + 1
    out_w = (width + 2 * left - kw) // stride + 1
    depth, channels = int(random.choice(DEPTHS)), int(random.choice(CHANNELS))
    window = Window(kh, kw, stride, stride, top, left, 1, 1)
    return _graph(Kind.CONV_2D, random, (height, width, depth), (out_h, out_w, channels), window)


def wide_graph(random: Random) -> Graph:
    """A convolution with more weights than the flash cache holds."""
    window = Window(3, 3, 1, 1, 1, 1, 1, 1)
    return _graph(Kind.CONV_2D, random, (4, 5, 32), (4, 5, 64), window)


def largest_sums(sign: int) -> Graph:
    """FULLY_CONNECTED whose sums nearly fill 24 bits: 258 inputs and weights of 127."""
    random = np.random.default_rng(258)
    weights = np.full((8, 258), 127 * sign, dtype=np.int8)
    weights[:, 0] = random.integers(-127, 128, 8)
    bias = np.full(8, -127 * 127 * 258 * sign, dtype=np.int32) // 2
    source, target = Tensor("x", (1, 1, 258), 0.02, -128), Tensor("y", (1, 1, 8), 0.02, 0)
    scales = np.full(8, 100.0 / (127 * 127 * 258))
    op = _op(Kind.FULLY_CONNECTED, Window(), weights, bias, scales)
    return Graph("case", (source, target), (op,), 0, 1)


def narrow_limit() -> tuple[Graph, int, tuple[bytes, ...]]:
    """FULLY_CONNECTED of 8 inputs with bytes of 254; its limit; sums of u up to and above it."""
    weights = np.full((8, 8), 127, dtype=np.int8)
    weights[:, 7] = -127
    source, target = Tensor("x", (1, 1, 8), 0.02, -128), Tensor("y", (1, 1, 8), 0.02, -128)
    bias = np.arange(8, dtype=np.int32) * 100
    op = _op(Kind.FULLY_CONNECTED, Window(), weights, bias, np.full(8, 200.0 / (300 * 127)))
    limit = 65535 // 254
    data = [np.array([n - 255, 255, 0, 0, 0, 0, 0, 0]) - 128 for n in range(limit - 1, 300)]
    graph = Graph("case", (source, target), (op,), 0, 1)
    return graph, limit, tuple(x.astype(np.int8).tobytes() for x in data)


def dense_graph(random: Random) -> Graph:
    """FULLY_CONNECTED of one to three rows."""
    rows, depth = int(random.integers(1, 4)), int(random.choice([4, 8, 24, 63, 64, 130, 300]))
    shape, out = (1, rows, depth), (1, rows, int(random.choice(CHANNELS)))
    return _graph(Kind.FULLY_CONNECTED, random, shape, out, Window())


def dense_of(random: Random, inputs: int, channels: int) -> Graph:
    """FULLY_CONNECTED of one row."""
    return _graph(Kind.FULLY_CONNECTED, random, (1, 1, inputs), (1, 1, channels), Window())


def _graph(
    kind: Kind, random: Random, shape: tuple[int, int, int], out: tuple[int, int, int],
    window: Window,
) -> Graph:  # fmt: skip
    channels = out[2]
    taps = (window.kh, window.kw) if kind is Kind.CONV_2D else ()
    size = (channels, *taps, shape[2])
    spread = float(random.choice([3.0, 20.0, 45.0, 90.0]))
    weights = np.clip(np.round(random.normal(0, spread, size)), -127, 127).astype(np.int8)
    if random.random() < 0.25:
        weights[random.random(channels) < 0.4] = 0
    swing = np.abs(weights.reshape(channels, -1).astype(int)).sum(axis=1) + 1
    scales = random.choice([1.0, 3.0, 10.0]) / swing
    if random.random() < 0.15:
        scales[0] = random.choice([300.0, 2.0**20])
    bias = np.round(random.normal(0, 40, channels) / scales).astype(np.int32)
    source = Tensor("x", shape, 0.02, _zero_point(random, 0.7))
    target = Tensor("y", out, 0.02, _zero_point(random, 0.5))
    return Graph("case", (source, target), (_op(kind, window, weights, bias, scales),), 0, 1)


def _zero_point(random: Random, relu: float) -> int:
    return -128 if random.random() < relu else int(random.integers(-128, 128))


def _op(
    kind: Kind, window: Window, weights: Int8Array, bias: np.ndarray, scales: np.ndarray
) -> Op:
    params = quantize.per_channel(1.0, [float(s) for s in scales], 1.0, len(scales))
    return Op(kind, "op", (0,), 1, 0, window, 0, -128, 127, weights, bias, *params)
