"""Random graphs and plans for tests of the planner; weights are zeros."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from relume.board.profile import BoardProfile, load_board
from relume.model.gather_form import gather_form
from relume.model.graph import PAIR_KINDS, Graph, Kind, Op, Shape, Tensor, Window
from relume.plan.live import reach
from relume.plan.planner import Budget, make_plan, sufficient_capacitor
from relume.plan.types import Plan, Tile

# Portable kernels: their costs and layouts can be worked out by hand.
BOARD: BoardProfile = replace(load_board("RPI_PICO"), core="portable")
VON, VOFF = 5.0, 1.8


class RandomNet:
    """Grows a graph of all kinds with residual adds; the same seed gives the same graph."""

    def __init__(self, seed: int, max_side: int = 9) -> None:
        self.random = np.random.default_rng(seed)
        self.max_side = max_side
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def graph(self, n_ops: int) -> Graph:
        """n_ops ops and a head of one or two more."""
        shape = (self._int(1, self.max_side), self._int(1, self.max_side), self._int(1, 9))
        last = self._tensor(shape)
        while len(self.ops) < n_ops:
            last = self._layer(last)
        if self.random.random() < 0.7:
            last = self._dense(last)
            last = self._op(Kind.SOFTMAX, (last,), self.tensors[last].shape, p=(1 << 30, 23, -200))
        elif not self.ops:
            last = self._dense(last)
        return Graph("random", tuple(self.tensors), tuple(self.ops), 0, last)

    def _int(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.random.integers(low, high + 1))

    def _tensor(self, shape: Shape) -> int:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, 0.5, self._int(-128, 127)))
        return len(self.tensors) - 1

    def _op(self, kind: Kind, inputs: tuple[int, ...], shape: Shape, **fields: object) -> int:
        out = self._tensor(shape)
        number = len(self.ops)
        name = f"layer{number}"
        self.ops.append(Op(kind, name, inputs, out, number, **fields))  # type: ignore[arg-type]
        return out

    def _layer(self, last: int) -> int:
        shape = self.tensors[last].shape
        earlier = [n for n, t in enumerate(self.tensors) if t.shape == shape and n != last]
        if earlier and self.random.random() < 0.6:
            return self._add(last, earlier[self._int(0, len(earlier) - 1)])
        if self.random.random() < 0.2:  # a branch; residual adds may join it again
            last = self._int(0, len(self.tensors) - 1)
            shape = self.tensors[last].shape
        makers = [self._conv, self._conv, self._depthwise, self._pool, self._reshape, self._mean,
                  self._map, self._repeated, self._gather]  # fmt: skip
        if math.prod(shape) < 400:
            makers += [self._pad, self._dense, self._join]
        return makers[self._int(0, len(makers) - 1)](last)

    def _window(self, last: int) -> tuple[Window, int, int]:
        h, w, _ = self.tensors[last].shape
        kh, kw = self._int(1, 4), self._int(1, 4)
        sh, sw = (1, 1) if self.random.random() < 0.5 else (self._int(1, 2), self._int(1, 2))
        if self.random.random() < 0.6 or kh > h or kw > w:
            out_h, out_w = -(-h // sh), -(-w // sw)
        else:
            out_h, out_w = (h - kh) // sh + 1, (w - kw) // sw + 1
        top = max(0, (out_h - 1) * sh + kh - h) // 2
        left = max(0, (out_w - 1) * sw + kw - w) // 2
        return Window(kh, kw, sh, sw, top, left, 1, 1), out_h, out_w

    @staticmethod
    def _weights(shape: tuple[int, ...], channels: int) -> dict[str, object]:
        return {
            "weights": np.zeros(shape, np.int8),
            "bias": np.zeros(channels, np.int32),
            "multipliers": np.full(channels, 1 << 30, np.int32),
            "shifts": np.full(channels, -7, np.int8),
        }

    def _conv(self, last: int) -> int:
        window, h, w = self._window(last)
        channels, depth = self._int(1, 8), self.tensors[last].shape[2]
        more = self._weights((channels, window.kh, window.kw, depth), channels)
        return self._op(Kind.CONV_2D, (last,), (h, w, channels), window=window, **more)

    def _depthwise(self, last: int) -> int:
        window, h, w = self._window(last)
        mult = self._int(1, 2)
        channels = self.tensors[last].shape[2] * mult
        more = self._weights((window.kh, window.kw, channels), channels)
        more |= {"window": window, "depth_mult": mult}
        return self._op(Kind.DEPTHWISE_CONV_2D, (last,), (h, w, channels), **more)

    def _pool(self, last: int) -> int:
        window, h, w = self._window(last)
        kind = (Kind.AVERAGE_POOL_2D, Kind.MAX_POOL_2D)[self._int(0, 1)]
        return self._op(kind, (last,), (h, w, self.tensors[last].shape[2]), window=window)

    def _reshape(self, last: int) -> int:
        h, w, c = self.tensors[last].shape
        return self._op(Kind.RESHAPE, (last,), (w, h, c))

    def _mean(self, last: int) -> int:
        h, w, c = self.tensors[last].shape
        axes = self._int(1, 3)
        shape = (1 if axes & 1 else h, 1 if axes & 2 else w, c)
        p = (axes, 1 << 30, 0, h * w * c // math.prod(shape))
        return self._op(Kind.MEAN, (last,), shape, p=p)

    def _gather(self, last: int) -> int:
        """A transposition, a mirror image or a part."""
        tensor = self.tensors[last]
        order = np.arange(tensor.size).reshape(tensor.shape)
        way = self._int(0, 3)
        if way == 0:
            order = order.transpose(self.random.permutation(3))
        elif way == 1:
            order = order[:, ::-1]
        elif way == 2:
            order = order[self._int(0, tensor.shape[0] - 1) :]
        else:
            order = order[self.random.permutation(tensor.shape[0])]
        form = gather_form(order.reshape(-1), order[0].size)
        assert form is not None
        maps = np.frombuffer(form.maps.tobytes(), np.int8) if form.maps.size else None
        h, w, c = order.shape
        return self._op(Kind.GATHER, (last,), (h, w, c), weights=maps, p=form.p)

    def _join(self, last: int) -> int:
        h, w, c = self.tensors[last].shape
        others = [n for n, t in enumerate(self.tensors) if t.shape[0] == h and t.shape[2] == c]
        other = others[self._int(0, len(others) - 1)]
        width = self.tensors[other].shape[1]
        p = (w * c, width * c)
        return self._op(Kind.CONCATENATION, (last, other), (h, w + width, c), p=p)

    def _pad(self, last: int) -> int:
        h, w, c = self.tensors[last].shape
        before = [self._int(0, 2) for _ in range(3)]
        after = [self._int(0, 2) for _ in range(3)]
        shape = tuple(n + b + a for n, b, a in zip((h, w, c), before, after, strict=True))
        return self._op(Kind.PAD, (last,), (shape[0], shape[1], shape[2]), p=(*before, -5))

    def _add(self, first: int, second: int) -> int:
        half = 1 << 30
        shape = self.tensors[first].shape
        return self._op(Kind.ADD, (first, second), shape, p=(20, half, 0, half, -1, half, -18))

    def _map(self, last: int) -> int:
        table = np.zeros(256, np.int8)
        return self._op(Kind.MAP, (last,), self.tensors[last].shape, weights=table)

    def _repeated(self, last: int) -> int:
        """MUL by a part of itself, or ADD of a constant."""
        h, w, c = self.tensors[last].shape
        if self.random.random() < 0.3:
            more = {"weights": np.zeros((h, 1, c), np.int8), "p": (20, 1, 0, 1, 0, 1, -18, 0)}
            return self._op(Kind.ADD, (last,), (h, w, c), **more)
        mean = self._mean(last)
        return self._op(Kind.MUL, (mean, last), (h, w, c), p=(1 << 30, -5, 0, 0, 0, 0, 0, 0))

    def _dense(self, last: int) -> int:
        tensor = self.tensors[last]
        rows = tensor.shape[0] if self.random.random() < 0.3 else 1
        channels = self._int(1, 12)
        more = self._weights((channels, tensor.size // rows), channels)
        return self._op(Kind.FULLY_CONNECTED, (last,), (1, rows, channels), **more)


def random_plan(
    seed: int, n_ops: int, slack: float, nvm: str = "fram", *, staging: bool = True
) -> Plan:
    """make_plan of a random net with `slack` times the smallest sufficient capacitor."""
    graph = RandomNet(seed).graph(n_ops)
    cap_f = sufficient_capacitor(graph, BOARD, VON, VOFF, nvm, "exact")
    return make_plan(graph, BOARD, Budget(cap_f * slack, VON, VOFF), nvm, staging=staging)


def random_tiles(graph: Graph, seed: int, most: int = 6) -> tuple[Tile, ...]:
    """Each op cut at random into at most `most` tiles, which run as soon as they can, or later."""
    random = np.random.default_rng(seed)
    queues: dict[int, list[Tile]] = {}
    for number, op in enumerate(graph.ops):
        units = graph.units(op)
        inner = random.integers(1, units + 1, int(random.integers(0, most)))
        edges = sorted({0, units, *(int(edge) for edge in inner)})
        queues[number] = [Tile(number, a, b - a) for a, b in itertools.pairwise(edges)]
    finished, tiles = {graph.input: graph.tensors[graph.input].size}, []
    while queues:
        ready = [n for n in queues if _can_run(graph, queues[n][0], finished)]
        number = ready[int(random.integers(0, len(ready)))]
        tile = queues[number].pop(0)
        tiles.append(tile)
        op = graph.ops[number]
        finished[op.output] = (tile.first + tile.count) * graph.unit_bytes(op)
        if not queues[number]:
            del queues[number]
    return tuple(tiles)


def _can_run(graph: Graph, tile: Tile, finished: dict[int, int]) -> bool:
    """Are the rows finished that the tile's units read?"""
    op = graph.ops[tile.op]
    last = np.array([tile.first + tile.count - 1], dtype=np.int64)
    return all(
        int(reach(graph, op, tensor, last)[0]) <= finished.get(tensor, 0) for tensor in op.inputs
    )


def bytes_read(graph: Graph, op: Op, unit: int) -> list[tuple[int, int]]:
    """(tensor, byte) that one unit of op reads, from the definition of the kind alone."""
    return [(tensor, byte) for tensor in set(op.inputs) for byte in _read(graph, op, tensor, unit)]


def _gathered(graph: Graph, op: Op, unit: int) -> int:
    base, n1, n2, run, *steps, mapped = op.p
    place, skip = divmod(unit, run)
    line, k = divmod(place, n2)
    at = base + skip
    words = [] if op.weights is None else np.frombuffer(op.weights.tobytes(), "<i4").tolist()
    axes = ((2, k, n2), (1, line % n1, n1), (0, line // n1, len(words)))
    for axis, index, n in axes:
        at += words[index] if mapped >> axis & 1 else index * steps[axis]
        words = words[n:] if mapped >> axis & 1 else words
    return int(at)


def _read(graph: Graph, op: Op, tensor: int, unit: int) -> Sequence[int]:
    in_h, in_w, in_c = graph.tensors[tensor].shape
    out_h, out_w, out_c = graph.tensors[op.output].shape
    size = graph.tensors[tensor].size
    if op.kind in (Kind.MAP, Kind.RESHAPE):
        return [unit]
    if op.kind in PAIR_KINDS:
        place = np.unravel_index(unit, (out_h, out_w, out_c))
        index = [min(at, axis - 1) for at, axis in zip(place, (in_h, in_w, in_c), strict=True)]
        return [int(index[0] * in_w + index[1]) * in_c + int(index[2])]
    if op.kind is Kind.GATHER:
        return [_gathered(graph, op, unit)]
    if op.kind is Kind.CONCATENATION:
        rounds, skip = divmod(unit, op.p[0] + op.p[1])
        own = 0 if skip < op.p[0] else 1
        at = rounds * op.p[own] + skip - own * op.p[0]
        return [at] if op.inputs[own] == tensor else []
    if op.kind is Kind.SOFTMAX:
        return range(unit * in_c, (unit + 1) * in_c)
    if op.kind is Kind.FULLY_CONNECTED:
        k = size // (out_h * out_w)
        return range(unit // out_c * k, (unit // out_c + 1) * k)
    if op.kind is Kind.MEAN:
        return range(size)
    oy, ox = divmod(unit, out_w)
    if op.kind is Kind.PAD:
        y, x = oy - op.p[0], ox - op.p[1]
        rows, columns = [y], [x]
    else:
        window = op.window
        rows = [oy * window.sh - window.pad_top + k * window.dil_h for k in range(window.kh)]
        columns = [ox * window.sw - window.pad_left + k * window.dil_w for k in range(window.kw)]
    pixels = [y * in_w + x for y in rows for x in columns if 0 <= y < in_h and 0 <= x < in_w]
    return [pixel * in_c + c for pixel in pixels for c in range(in_c)]
