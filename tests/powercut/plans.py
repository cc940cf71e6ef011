"""Tiny random nets with random plans, for tests that lose power at every point.

The nets need no TFLite: weights and quantization are random numbers that the blob checker accepts.
The plans are not the planner's: any cut into tiles and segments must survive.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from relume.blob.pack import pack
from relume.model.gather_form import Places, gather_form
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan.arena import place_sram
from relume.plan.depth_first import Run, ordered
from relume.plan.homes import obligatory_ends, place_homes, with_obligatory
from relume.plan.live import LiveMap, most_carried
from relume.plan.planner import Budget
from relume.plan.types import OpPace, Pace, Plan, Segment, Tile

Shape = tuple[int, int, int]
MAX_BYTES = 160


class TinyNet:
    """Grows one graph; the same seed gives the same graph."""

    def __init__(self, seed: int, scale: int = 1) -> None:
        self.scale = scale
        self.random = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def graph(self, n_ops: int, gates: int = 0, classes: int = 0) -> Graph:
        """A chain with residual adds over n_ops layers; gates follow the first of them.

        classes: of the output, 0: a few."""
        height, width, depth = self._int(2, 6), self._int(2, 6), self._int(1, 4)
        shape = (height * self.scale, width * self.scale, depth)
        last = self._tensor(shape)
        for number in range(n_ops - 1):
            last = self._layer(last)
            if number < gates:
                last = self._gate(last)
        few = self._int(2, 6)
        last = self._dense(last, classes or few)
        if self.random.random() < 0.5:
            last = self._softmax(last)
        return Graph("tiny", tuple(self.tensors), tuple(self.ops), 0, last)

    def _int(self, low: int, high: int) -> int:
        """From [low, high)."""
        return int(self.random.integers(low, high))

    def _tensor(self, shape: Shape) -> int:
        number = len(self.tensors)
        self.tensors.append(Tensor(f"t{number}", shape, 0.5, self._int(-128, 128)))
        return number

    def _op(self, kind: Kind, inputs: tuple[int, ...], shape: Shape, **fields: object) -> int:
        out = self._tensor(shape)
        name = f"{kind.name.lower()}{len(self.ops)}"
        self.ops.append(Op(kind, name, inputs, out, len(self.ops), **fields))  # type: ignore[arg-type]
        return out

    def _layer(self, last: int) -> int:
        shape = self.tensors[last].shape
        same = [number for number, t in enumerate(self.tensors) if t.shape == shape]
        kinds = [self._conv, self._conv, self._depthwise, self._pool, self._reshape]
        if math.prod(shape) < self.scale**2 * MAX_BYTES // 2:
            kinds.append(self._pad)
        if self.random.random() < 0.25:
            return (self._transpose, self._mirror, self._join)[self._int(0, 3)](last)
        if len(same) > 1:
            return self._add(last, same[self._int(0, len(same))])
        return kinds[self._int(0, len(kinds))](last)

    def _window(self, last: int) -> tuple[Window, int, int]:
        h, w, _ = self.tensors[last].shape
        kh, kw = self._int(1, min(4, h + 1)), self._int(1, min(4, w + 1))
        sh, sw = self._int(1, 3), self._int(1, 3)
        top, left = self._int(0, kh), self._int(0, kw)
        window = Window(kh, kw, sh, sw, top, left, 1, 1)
        return window, (h + top - kh) // sh + 1, (w + left - kw) // sw + 1

    def _weights(self, shape: tuple[int, ...], channels: int) -> dict[str, object]:
        return {
            "weights": self.random.integers(-127, 128, shape, dtype=np.int8),
            "bias": self.random.integers(-500, 500, channels, dtype=np.int32),
            "multipliers": self.random.integers(1 << 30, (1 << 31) - 1, channels, dtype=np.int32),
            "shifts": self.random.integers(-8, -4, channels, dtype=np.int8),
        }

    def _conv(self, last: int) -> int:
        window, h, w = self._window(last)
        channels = self._int(1, 5)
        depth = self.tensors[last].shape[2]
        weights = self._weights((channels, window.kh, window.kw, depth), channels)
        return self._op(Kind.CONV_2D, (last,), (h, w, channels), window=window, **weights)

    def _depthwise(self, last: int) -> int:
        window, h, w = self._window(last)
        channels = self.tensors[last].shape[2]
        weights = self._weights((window.kh, window.kw, channels), channels)
        kind = Kind.DEPTHWISE_CONV_2D
        return self._op(kind, (last,), (h, w, channels), window=window, depth_mult=1, **weights)

    def _pool(self, last: int) -> int:
        window, h, w = self._window(last)
        kind = (Kind.AVERAGE_POOL_2D, Kind.MAX_POOL_2D)[self._int(0, 2)]
        out = self._op(kind, (last,), (h, w, self.tensors[last].shape[2]), window=window)
        zero = self.tensors[last].zero_point
        self.tensors[out] = Tensor(self.tensors[out].name, self.tensors[out].shape, 0.5, zero)
        return out

    def _reshape(self, last: int) -> int:
        h, w, c = self.tensors[last].shape
        return self._op(Kind.RESHAPE, (last,), (1, w * h, c))

    def _gather(self, last: int, order: Places) -> int:
        form = gather_form(order.reshape(-1), math.prod(order.shape[1:]))
        assert form is not None
        maps = np.frombuffer(form.maps.tobytes(), np.int8) if form.maps.size else None
        h, w, c = order.shape
        return self._op(Kind.GATHER, (last,), (h, w, c), weights=maps, p=form.p)

    def _transpose(self, last: int) -> int:
        tensor = self.tensors[last]
        order = np.arange(tensor.size).reshape(tensor.shape)
        return self._gather(last, order.transpose(self.random.permutation(3)))

    def _mirror(self, last: int) -> int:
        tensor = self.tensors[last]
        order = np.arange(tensor.size).reshape(tensor.shape)
        return self._gather(last, order[:, ::-1] if self._int(0, 2) else order[1::-1])

    def _join(self, last: int) -> int:
        """The tensor beside one of the same height, now and then itself."""
        h, w, c = self.tensors[last].shape
        others = [n for n, t in enumerate(self.tensors) if t.shape[0] == h and t.shape[2] == c]
        other = others[self._int(0, len(others))]
        width = self.tensors[other].shape[1]
        if h * (w + width) * c > self.scale**2 * MAX_BYTES:
            return self._transpose(last)
        p = (w * c, width * c)
        return self._op(Kind.CONCATENATION, (last, other), (h, w + width, c), p=p)

    def _pad(self, last: int) -> int:
        h, w, c = self.tensors[last].shape
        top, left = self._int(0, 2), self._int(0, 2)
        shape = (h + top + self._int(0, 2), w + left, c)
        p = (top, left, 0, self._int(-128, 128), 0, 0, 0, 0)
        return self._op(Kind.PAD, (last,), shape, p=p)

    def _add(self, a: int, b: int) -> int:
        half = 1 << 30
        p = (20, half, 0, half, -1, half, -18, 0)
        return self._op(Kind.ADD, (a, b), self.tensors[a].shape, p=p)

    def _gate(self, last: int) -> int:
        """Squeeze and excite, then a constant of one column: operands that are repeated."""
        h, w, c = self.tensors[last].shape
        p = (3, 1 << 30, -1, h * w, 0, 0, 0, 0)
        mean = self._op(Kind.MEAN, (last,), (1, 1, c), p=p)
        table = self.random.integers(-128, 128, 256, dtype=np.int8)
        gate = self._op(Kind.MAP, (mean,), (1, 1, c), weights=table)
        p = (1 << 30, -5, 0, 0, 0, 0, 0, 0)
        scaled = self._op(Kind.MUL, (gate, last), (h, w, c), p=p)
        column = self.random.integers(-128, 128, (h, 1, 1), dtype=np.int8)
        return self._op(Kind.MUL, (scaled,), (h, w, c), p=(*p[:7], 0x500), weights=column)

    def _dense(self, last: int, channels: int) -> int:
        weights = self._weights((channels, self.tensors[last].size), channels)
        return self._op(Kind.FULLY_CONNECTED, (last,), (1, 1, channels), **weights)

    def _softmax(self, last: int) -> int:
        p = (1 << 30, 23, -200, 0, 0, 0, 0, 0)
        shape = self.tensors[last].shape
        out = self._op(Kind.SOFTMAX, (last,), shape, p=p)
        self.tensors[out] = Tensor(self.tensors[out].name, shape, 1 / 256, -128)
        return out


def random_tiles(graph: Graph, random: np.random.Generator, most: int) -> tuple[Tile, ...]:
    """Every op cut at random into at most `most` tiles."""
    tiles: list[Tile] = []
    for number, op in enumerate(graph.ops):
        units = graph.units(op)
        inner = random.integers(1, units + 1, int(random.integers(0, most)))
        edges = sorted({0, units, *(int(edge) for edge in inner)})
        tiles += [Tile(number, a, b - a) for a, b in itertools.pairwise(edges)]
    return tuple(tiles)


def random_order(graph: Graph, random: np.random.Generator, most: int) -> tuple[Tile, ...]:
    """Op by op, or runs of ops band by band."""
    if random.random() < 0.5:
        return random_tiles(graph, random, most)
    counts = [-(-graph.units(op) // int(random.integers(1, most + 1))) for op in graph.ops]
    runs, first = [], 0
    while first < len(graph.ops) - 1:
        last = min(len(graph.ops) - 1, first + int(random.integers(0, 4)))
        if last > first:
            runs.append(Run(first, last, int(random.integers(1, 3))))
        first = last + 1
    return ordered(graph, counts, runs)


def random_ends(n_tiles: int, random: np.random.Generator) -> list[int]:
    """Segment ends: rising, the last is n_tiles."""
    share = random.random()
    return [end for end in range(1, n_tiles) if random.random() < share] + [n_tiles]


def tile_pace(n_ops: int) -> Pace:
    """1000 cycles a tile, 6000 a charge from 5 to 2 V (life.c); a commit is nearly free."""
    return Pace(19, 100, 1, 10, 0, (OpPace(1000, 0, 0),) * n_ops)


def random_plan(
    seed: int,
    *,
    nvm: str = "fram",
    n_ops: int = 5,
    tiles: int = 5,
    scale: int = 1,
    gates: int = 0,
    paced: int = 0,
    classes: int = 0,
) -> Plan:
    """A tiny net with random tiles and segments. Home bytes are shared wherever SPEC 3 allows.

    scale: multiplies height and width of the input. gates: layers followed by repeated operands.
    paced: the supply's reading is followed; 2: every tensor has a home of its own.
    classes: of the output, 0: a few.
    """
    random = np.random.default_rng([seed, 1])
    graph = TinyNet(seed, scale).graph(n_ops, gates, classes)
    tile_list = (random_order if scale == 1 else random_tiles)(graph, random, tiles)
    ends = random_ends(len(tile_list), random)
    return plan_of(graph, tile_list, ends, nvm=nvm, paced=paced)


def skipping_plan(seed: int) -> Plan:
    """Row by row, x + conv(x), where the convolution looks back further than the sum."""
    net = TinyNet(seed)
    first = net._tensor((6, 4, 2))
    window = Window(3, 1, 1, 1, 2, 0, 1, 1)
    weights = net._weights((2, 3, 1, 2), 2)
    mixed = net._op(Kind.CONV_2D, (first,), (6, 4, 2), window=window, **weights)
    last = net._dense(net._add(first, mixed), 3)
    graph = Graph("skipping", tuple(net.tensors), tuple(net.ops), 0, last)
    tiles = ordered(graph, [6, 6, 1], [Run(0, 1, 1)])
    return plan_of(graph, tiles, [*range(1, len(tiles) + 1)])


def plan_of(
    graph: Graph, tiles: tuple[Tile, ...], ends: list[int], *, nvm: str = "fram", paced: int = 0
) -> Plan:
    """The graph by these tiles, with segments that end there."""
    live = LiveMap(graph, tiles)
    sram = place_sram(graph, live, tiles)
    if nvm == "flash":
        nvm_off = (0,) * len(graph.tensors)
        sizes = [tensor.size for tensor in graph.tensors]
        nvm_size = max(most_carried(graph, tiles), *sizes)
    else:
        nvm_off, nvm_size = place_homes(graph, live, ends, 1 << 20 if paced == 2 else 0)
    segments = _segments(live, ends, nvm)
    if nvm != "flash":
        segments = with_obligatory(segments, obligatory_ends(graph, live, ends, nvm_off))
    return Plan(
        graph, "TEST", nvm, Budget(1e-3, 5.0, 2.0), tiles, segments,
        sram.arena_off, sram.arena_size, sram.scratch_size, nvm_off, nvm_size, 1.0, 1e6, 1.0,
        scratch_off=sram.scratch_off, pace=tile_pace(len(graph.ops)) if paced else Pace(),
    )  # fmt: skip


def _segments(live: LiveMap, ends: list[int], nvm: str) -> tuple[Segment, ...]:
    segments = []
    for start, end in itertools.pairwise([0, *ends]):
        ranges = live.live(end) if nvm == "flash" else live.dirty(start, end)
        carried = sum(finished - lo for _, lo, finished in ranges)
        segments.append(Segment(start, end, 1, 1, 1.0, carried, 0.0))
    return tuple(segments)


def colliding_blob(seed: int) -> bytes:
    """random_plan() with every home at the same place: breaks the write-after-read rule."""
    plan = random_plan(seed)
    return pack(dataclasses.replace(plan, nvm_off=(0,) * len(plan.graph.tensors)))


def random_blob(seed: int, **options: object) -> bytes:
    """The .rlm of random_plan()."""
    return pack(random_plan(seed, **options))  # type: ignore[arg-type]
