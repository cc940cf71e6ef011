"""What is live and what is dirty at every tile boundary: SPEC 3, for a whole plan at once.

Boundary t lies before tile t; boundary n_tiles is the end. The board computes the same online
(native_modules/relume/session.c).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from relume.model.graph import PAIR_KINDS, WINDOW_KINDS, Graph, Kind, Op, Shape
from relume.plan.overlap import Use
from relume.plan.types import Tile

ELEMENT_KINDS = PAIR_KINDS | {Kind.MAP, Kind.RESHAPE}
DILATED_KINDS = (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D)
IntArray = npt.NDArray[np.int64]
Units = TypeVar("Units", int, IntArray)
Range = tuple[int, int, int]  # tensor, first byte, end
FINEST = 64, 4096  # parts of a tile, and of all, that most_carried() looks at


def need(graph: Graph, op: Op, tensor: int, unit: IntArray) -> IntArray:
    """First byte of input `tensor` that units [unit, ...) of op read (SPEC 3), clamped."""
    in_h, in_w, in_c = graph.tensors[tensor].shape
    out_w, out_c = graph.tensors[op.output].shape[1:]
    size = in_h * in_w * in_c
    if op.kind in WINDOW_KINDS:
        first = (unit // out_w * op.window.sh - op.window.pad_top) * (in_w * in_c)
    elif op.kind in (Kind.MAP, Kind.RESHAPE):
        first = unit
    elif op.kind in PAIR_KINDS:
        first = _pair_need((in_h, in_w, in_c), graph.tensors[op.output].shape, unit)
    elif op.kind is Kind.SOFTMAX:
        first = unit * in_c
    elif op.kind is Kind.PAD:
        first = (unit // out_w - op.p[0]) * (in_w * in_c)
    elif op.kind is Kind.FULLY_CONNECTED:
        first = unit // out_c * (op.weight_bytes // out_c)
    elif op.kind is Kind.GATHER:
        first = gather_rows(graph, op)[unit // math.prod(op.p[1:4])]
    elif op.kind is Kind.CONCATENATION:
        return _concatenation_need(op, tensor, unit)
    else:
        first = np.zeros_like(unit)
    return np.minimum(np.maximum(first, 0), size)


def _pair_need(operand: Shape, out: Shape, unit: IntArray) -> IntArray:
    """A repeated operand is needed by rows where it has the output's, else to the end."""
    if operand == out:
        return unit
    if operand[0] != out[0]:
        return np.zeros_like(unit)
    return unit // (out[1] * out[2]) * (operand[1] * operand[2])


def gather_rows(graph: Graph, op: Op) -> IntArray:
    """First byte of the input that each row of a GATHER's axis 0 reads, and one more: the end."""
    rows = graph.tensors[op.output].size // math.prod(op.p[1:4])
    places = np.arange(rows, dtype=np.int64) * op.p[4]
    if op.p[7] & 1 and op.weights is not None:
        places = np.frombuffer(op.weights.tobytes(), "<i4")[-rows:].astype(np.int64)
    return np.append(op.p[0] + places, graph.tensors[op.inputs[0]].size)


def _concatenation_need(op: Op, tensor: int, unit: IntArray) -> IntArray:
    """Rounds before the unit's and what the unit has left of its own; the least of both inputs."""
    least: IntArray = np.minimum.reduce(_concatenation(op, tensor, unit))
    return least


def _concatenation(op: Op, tensor: int, unit: IntArray) -> list[IntArray]:
    """Bytes of `tensor` taken before a unit, once or, if it is both inputs, twice."""
    rounds, skip = np.divmod(unit, op.p[0] + op.p[1])
    of_first = np.minimum(skip, op.p[0])
    taken = (rounds * op.p[0] + of_first, rounds * op.p[1] + skip - of_first)
    return [part for part, source in zip(taken, op.inputs, strict=True) if source == tensor]


def reach(graph: Graph, op: Op, tensor: int, unit: IntArray) -> IntArray:
    """One past the last byte of input `tensor` that units [0, unit] of op read (SPEC 3)."""
    if op.kind is Kind.CONCATENATION:
        end: IntArray = np.maximum.reduce(_concatenation(op, tensor, unit + 1))
    else:
        end = _reach(graph, op, tensor, unit)
    return np.minimum(np.maximum(end, 0), graph.tensors[tensor].size)


def reach_of_one(graph: Graph, op: Op, tensor: int, unit: int) -> int:
    """reach() of a single unit."""
    if op.kind is Kind.CONCATENATION:
        return int(reach(graph, op, tensor, np.array([unit], dtype=np.int64))[0])
    return min(max(_reach(graph, op, tensor, unit), 0), graph.tensors[tensor].size)


def _reach(graph: Graph, op: Op, tensor: int, unit: Units) -> Units:
    """reach() of all kinds but CONCATENATION, before it is kept inside the tensor."""
    in_h, in_w, in_c = graph.tensors[tensor].shape
    out_w, out_c = graph.tensors[op.output].shape[1:]
    size = in_h * in_w * in_c
    if op.kind in WINDOW_KINDS:
        window = op.window
        dilation = window.dil_h if op.kind in DILATED_KINDS else 1
        last = unit // out_w * window.sh - window.pad_top + (window.kh - 1) * dilation
        return (last + 1) * (in_w * in_c)
    if op.kind in ELEMENT_KINDS and size == graph.tensors[op.output].size:
        return unit + 1
    if op.kind is Kind.SOFTMAX:
        return (unit + 1) * in_c
    if op.kind is Kind.PAD:
        return (unit // out_w - op.p[0] + 1) * (in_w * in_c)
    if op.kind is Kind.FULLY_CONNECTED:
        return (unit // out_c + 1) * (op.weight_bytes // out_c)
    return unit * 0 + size


@dataclass(frozen=True, eq=False)
class Life:
    """One tensor between boundaries first and last, both included; nothing is live outside.

    finished, lo: bytes at each of these boundaries.
    """

    first: int
    last: int
    finished: IntArray
    lo: IntArray

    def finished_at(self, boundary: IntArray) -> IntArray:
        """Finished bytes at boundaries [n]; before `first` they are those at `first`."""
        index = np.minimum(np.maximum(boundary - self.first, 0), len(self.finished) - 1)
        values: IntArray = self.finished[index]
        return values


class LiveMap:
    """Finished and needed bytes of every tensor at every boundary of a tile sequence."""

    def __init__(self, graph: Graph, tiles: Sequence[Tile]) -> None:
        self.graph = graph
        self.tiles = tuple(tiles)
        self.n_tiles = len(tiles)
        of_tiles = np.array([(tile.op, tile.first, tile.count) for tile in tiles], dtype=np.int64)
        self.op_of, first, self.count_of = of_tiles.reshape(-1, 3).T
        order = np.argsort(self.op_of, kind="stable")
        parts = np.searchsorted(self.op_of[order], np.arange(1, len(graph.ops)))
        self._places = np.split(order, parts)
        self._ends = np.split((first + self.count_of)[order], parts)
        producers = {op.output: number for number, op in enumerate(graph.ops)}
        self._producers = producers
        readers: list[list[int]] = [[] for _ in graph.tensors]
        for number, op in enumerate(graph.ops):
            for tensor in set(op.inputs):
                readers[tensor].append(number)
        self.lives = tuple(
            self._life(tensor, producers.get(tensor), readers[tensor])
            for tensor in range(len(graph.tensors))
        )
        self.live_bytes, self.live_ranges = self._totals()

    def places(self, op: int) -> IntArray:
        """Numbers of op's tiles, rising."""
        return self._places[op]

    def first_place(self, op: int) -> int:
        """Number of op's first tile."""
        return int(self._places[op][0])

    def last_place(self, op: int) -> int:
        """Number of op's last tile."""
        return int(self._places[op][-1])

    def _done(self, op: int, first: int, last: int) -> IntArray:
        """Units of op finished at boundaries first..last."""
        ends = np.concatenate(([0], self._ends[op]))
        done: IntArray = ends[np.searchsorted(self._places[op], np.arange(first, last + 1))]
        return done

    def _finished(self, tensor: int, first: int, last: int) -> IntArray:
        """Finished bytes of a tensor at boundaries first..last."""
        producer = self._producers.get(tensor)
        if producer is None:
            return np.full(last - first + 1, self.graph.tensors[tensor].size, dtype=np.int64)
        unit = self.graph.unit_bytes(self.graph.ops[producer])
        return self._done(producer, first, last) * unit

    def _life(self, tensor: int, producer: int | None, readers: list[int]) -> Life:
        graph, size = self.graph, self.graph.tensors[tensor].size
        is_output = tensor == graph.output
        first = 0 if producer is None else self.first_place(producer)
        uses = [self.last_place(reader) + 1 for reader in readers]
        last = self.n_tiles if is_output else max(uses, default=first)
        length = last - first + 1
        finished = self._finished(tensor, first, last)
        lo = np.zeros(length, dtype=np.int64) if is_output else np.full(length, size)
        for reader in readers:
            op = graph.ops[reader]
            done = self._done(reader, first, last)
            first_byte = need(graph, op, tensor, done)
            first_byte[done == graph.units(op)] = size
            lo = np.minimum(lo, first_byte)
        return Life(first, last, finished, lo)

    @functools.cached_property
    def _by_boundary(self) -> list[list[int]]:
        """Tensors that may be live, by boundary."""
        index: list[list[int]] = [[] for _ in range(self.n_tiles + 1)]
        for tensor, life in enumerate(self.lives):
            span = np.flatnonzero(life.finished > life.lo)
            for offset in span:
                index[life.first + int(offset)].append(tensor)
        return index

    def _totals(self) -> tuple[IntArray, IntArray]:
        total = np.zeros(self.n_tiles + 1, dtype=np.int64)
        ranges = np.zeros(self.n_tiles + 1, dtype=np.int64)
        for life in self.lives:
            extent = np.maximum(life.finished - life.lo, 0)
            total[life.first : life.last + 1] += extent
            ranges[life.first : life.last + 1] += extent > 0
        return total, ranges

    def use(self, tensor: int) -> Use:
        """What must stay apart from other blocks during each tile: live before, after, written.

        From what is needed before a tile to what is finished after it.
        """
        life = self.lives[tensor]
        producer = self._producers.get(tensor)
        last = life.last if producer is None else max(life.last, self.last_place(producer) + 1)
        finished = self._finished(tensor, life.first, last)
        done = np.full(last - life.last, self.graph.tensors[tensor].size, dtype=np.int64)
        low = np.concatenate((life.lo, done))[:-1]
        grows = finished[1:] > finished[:-1]
        # Bytes that no reader wants are written all the same.
        low = np.where(grows, np.minimum(low, finished[:-1]), low)
        return Use(self.graph.tensors[tensor].size, life.first, low, finished[1:])

    def most_in_use(self) -> int:
        """The most bytes in use during a tile: no commit in the middle of one carries more."""
        total = np.zeros(self.n_tiles, dtype=np.int64)
        for tensor in range(len(self.lives)):
            use = self.use(tensor)
            total[use.first : use.last] += np.maximum(use.high - use.low, 0)
        return int(total.max())

    def live(self, boundary: int) -> list[Range]:
        """Live bytes [lo, finished) at a boundary, in order of tensor number."""
        ranges = []
        for tensor in self._by_boundary[boundary]:
            life = self.lives[tensor]
            at = boundary - life.first
            ranges.append((tensor, int(life.lo[at]), int(life.finished[at])))
        return ranges

    def dirty(self, previous: int | None, boundary: int) -> list[Range]:
        """What a commit at `boundary` writes after a commit at `previous` (None: the first)."""
        ranges = []
        for tensor, lo, finished in self.live(boundary):
            clean = 0
            if previous is not None:
                clean = int(self.lives[tensor].finished_at(np.array([previous]))[0])
            if finished > max(lo, clean):
                ranges.append((tensor, max(lo, clean), finished))
        return ranges

    def dirty_totals(self, previous: IntArray, boundary: IntArray) -> tuple[IntArray, IntArray]:
        """(bytes, ranges) that commits write, [n]: at each boundary after the one at `previous`.

        The boundaries rise, not strictly."""
        total = np.zeros(len(boundary), dtype=np.int64)
        ranges = np.zeros(len(boundary), dtype=np.int64)
        for life in self.lives:
            first, stop = np.searchsorted(boundary, (life.first, life.last + 1))
            if first == stop:
                continue
            at = boundary[first:stop] - life.first
            clean = np.maximum(life.finished_at(previous[first:stop]), life.lo[at])
            extent = np.maximum(life.finished[at] - clean, 0)
            total[first:stop] += extent
            ranges[first:stop] += extent > 0
        return total, ranges


def most_carried(graph: Graph, tiles: Sequence[Tile]) -> int:
    """Bytes that no commit exceeds, be it between tiles or in the middle of one.

    Each tile is looked at in parts, during each of which no more than what is in use is live.
    """
    most = min(FINEST[0], max(1, FINEST[1] // len(tiles)))
    return LiveMap(graph, [part for tile in tiles for part in _parts(tile, most)]).most_in_use()


def _parts(tile: Tile, most: int) -> list[Tile]:
    step = -(-tile.count // most)
    end = tile.first + tile.count
    return [
        Tile(tile.op, first, min(step, end - first)) for first in range(tile.first, end, step)
    ]
