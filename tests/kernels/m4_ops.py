"""Graphs of one op that the Cortex-M4 kernels take, made at random, as portable and M4 blobs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from relume.blob.layouts import m4
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model import quantize
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan.planner import Budget, make_plan

from tests.kernels.oracle import random_tiles

KINDS = (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED, Kind.ADD)
Random = np.random.Generator


@dataclass(frozen=True)
class Case:
    """The same graph for both cores, with the same tiles, and inputs to try."""

    graph: Graph
    portable: bytes
    fast: bytes
    inputs: tuple[bytes, ...]
    note: str


@functools.cache
def case(kind: Kind, seed: int) -> Case:
    """A case of one kind whose op has a proven layout."""
    random = np.random.default_rng((int(kind), seed))
    while True:
        graph = _graph(kind, random)
        op = graph.ops[-1]
        sources = tuple(graph.tensors[number] for number in op.inputs)
        packed = m4.lay_out(op, sources, graph.tensors[op.output])
        if packed is not None:
            return _case(graph, random, seed, packed.note)


def depthwise_case(shape: tuple[int, int, int], channels: int, window: Window) -> Case:
    """DEPTHWISE_CONV_2D of one shape; padding such that the output is ceil(input / stride)."""
    return window_case(Kind.DEPTHWISE_CONV_2D, shape, channels, window)


def window_case(
    kind: Kind, shape: tuple[int, int, int], channels: int, window: Window
) -> Case:
    """A window of one shape; padding such that the output is ceil(input / stride)."""
    random = np.random.default_rng(5)
    out = (-(-shape[0] // window.sh), -(-shape[1] // window.sw), channels)
    graph = _weighted(kind, random, shape, out, window)
    return _case(graph, random, 0, "")


def _case(graph: Graph, random: Random, seed: int, note: str) -> Case:
    tiles = random_tiles(graph, seed)
    blobs = []
    for core in ("portable", "m4"):
        board = replace(load_board("RPI_PICO"), core=core)
        plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), apart=True)
        whole = replace(plan.segments[0], start=0, end=len(tiles))
        blobs.append(pack(replace(plan, tiles=tiles, segments=(whole,))))
    return Case(graph, blobs[0], blobs[1], _inputs(graph.tensors[graph.input].size, random), note)


def _inputs(size: int, random: Random) -> tuple[bytes, ...]:
    """Uniform, mostly zero points, and the extremes that drive sums to their bounds."""
    uniform = random.integers(-128, 128, size, dtype=np.int8)
    sparse = np.where(random.random(size) < 0.6, -128, uniform)
    edges = random.choice(np.array([-128, 127], dtype=np.int8), size)
    flat = [np.full(size, value) for value in (-128, 127)]
    return tuple(array.astype(np.int8).tobytes() for array in (uniform, sparse, edges, *flat))


def _graph(kind: Kind, random: Random) -> Graph:
    if kind is Kind.ADD:
        return _add_graph(random)
    if kind is Kind.FULLY_CONNECTED:
        rows, depth = int(random.integers(1, 4)), int(random.integers(1, 300))
        shape, out = (1, rows, depth), (1, rows, int(random.integers(1, 40)))
        return _weighted(kind, random, shape, out, Window())
    three = kind is Kind.DEPTHWISE_CONV_2D
    if three and random.random() < 0.6:
        return _any_depthwise(random)
    taps = [3, 3] if three else random.integers(1, 5, 2).tolist()
    stride = [int(random.integers(1, 3))] * 2 if three else random.integers(1, 4, 2).tolist()
    if not three and random.random() < 0.25:
        taps, stride = [1, 1], [1, 1]
    dilation = [1, 1] if three or random.random() < 0.8 else random.integers(1, 3, 2).tolist()
    channels = int(random.choice([1, 3, 4, 5, 8, 12, 16]))
    out_channels = int(random.choice([4, 6, 8, 12, 20]))
    if three:
        channels = out_channels = 4 * int(random.integers(1, 5))
    return _windowed(kind, random, (taps, stride, dilation), channels, out_channels)


def _any_depthwise(random: Random) -> Graph:
    """Any filter, strides, dilation, channels and multiplier; some of one channel or 1-D."""
    taps = [int(n) for n in random.integers(1, 6, 2)]
    if random.random() < 0.3:
        taps[int(random.integers(0, 2))] = 1
    strides, dilation = (random.integers(1, 4, 2).tolist() for _ in range(2))
    repeat = int(random.choice([1, 1, 2, 3, 8]))
    channels = int(random.choice([1, 3, 4, 8, 12])) if random.random() < 0.8 else 1
    shape = (taps, strides, dilation)
    return _windowed(Kind.DEPTHWISE_CONV_2D, random, shape, channels, channels * repeat)


def _windowed(
    kind: Kind, random: Random, shape: tuple[list[int], list[int], list[int]], channels: int,
    out_channels: int,
) -> Graph:  # fmt: skip
    """A window on an image of random size. shape: taps, strides and dilation of both axes."""
    taps, stride, dilation = shape
    sizes, outs, pads = [], [], []
    for axis in range(2):
        reach = (taps[axis] - 1) * dilation[axis] + 1
        size = int(random.integers(1, 14))
        same = random.random() < 0.6 or size < reach
        out = -(-size // stride[axis]) if same else (size - reach) // stride[axis] + 1
        total = max(0, (out - 1) * stride[axis] + reach - size)
        sizes.append(size)
        outs.append(out)
        pads.append(total // 2)
    window = Window(*taps, *stride, *pads, *dilation)
    return _weighted(
        kind, random, (*sizes, channels), (*outs, out_channels), window
    )


def _weighted(
    kind: Kind, random: Random, shape: tuple[int, ...], out: tuple[int, ...], window: Window
) -> Graph:
    """A conv-like op with scales that fill the output's range."""
    taps, channels = window.kh * window.kw, out[2]
    if kind is Kind.FULLY_CONNECTED:
        size: tuple[int, ...] = (channels, shape[2])
    elif kind is Kind.CONV_2D:
        size = (channels, window.kh, window.kw, shape[2])
    else:
        size = (window.kh, window.kw, channels)
    terms = taps if kind is Kind.DEPTHWISE_CONV_2D else int(np.prod(size[1:]))
    spread = float(random.choice([4.0, 30.0, 200.0]))
    weights = np.clip(random.normal(0, spread, size), -127, 127).astype(np.int8)
    repeat = channels // shape[2] if kind is Kind.DEPTHWISE_CONV_2D else 0
    relu = random.random() < 0.6
    zero = -128 if relu else int(random.integers(-100, 100))
    source = Tensor("x", _shape(shape), 0.02, int(random.choice([-128, 0, 41, 127])))
    swing = max(1.0, float(np.abs(weights.astype(int)).mean())) * np.sqrt(terms) * 128
    scales = random.uniform(0.3, 3.0, channels) / swing * 60
    dead = random.random(channels) < (0.5 if random.random() < 0.3 else 0.0)
    axis = 0 if kind is not Kind.DEPTHWISE_CONV_2D else 2
    weights = np.moveaxis(np.moveaxis(weights, axis, -1) * ~dead, -1, axis).astype(np.int8)
    multipliers, shifts = quantize.per_channel(1.0, list(scales), 1.0, channels)
    bias = np.round(random.normal(0, 40, channels) / scales).astype(np.int32)
    op = Op(
        kind, "op", (0,), 1, 0, window, repeat, -128, 127,
        np.ascontiguousarray(weights), bias if random.random() < 0.9 else None,
        multipliers, shifts,
    )  # fmt: skip
    target = Tensor("y", _shape(out), 0.02, zero)
    return Graph("case", (source, target), (op,), 0, 1)


def _shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    h, w, c = shape
    return int(h), int(w), int(c)


def _add_graph(random: Random) -> Graph:
    """x + max_pool(x): ADD needs two tensors."""
    shape = _shape(tuple(random.integers(1, 9, 3)))
    scales = random.uniform(0.01, 0.05, 3)
    zeros = random.integers(-128, 128, 2).tolist()
    tensors = tuple(
        Tensor(name, shape, float(scale), int(zero))
        for name, scale, zero in zip("xpy", scales, [zeros[0], zeros[0], -128], strict=True)
    )
    pool = Op(Kind.MAX_POOL_2D, "pool", (0,), 1, 0, Window(1, 1, 1, 1, 0, 0, 1, 1))
    p = quantize.add_parameters(*(float(scale) for scale in scales))
    return Graph("case", tensors, (pool, Op(Kind.ADD, "add", (0, 1), 2, 1, p=p)), 0, 2)
