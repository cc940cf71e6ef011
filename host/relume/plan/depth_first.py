"""Tile orders: op after op, or runs of ops band by band, each band as far down as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relume.model.graph import Graph
from relume.plan.live import reach_of_one
from relume.plan.types import Tile


@dataclass(frozen=True)
class Run:
    """Ops first to last, both included, done together: `rows` rows of the last at a time."""

    first: int
    last: int
    rows: int


def row_bytes(graph: Graph, number: int) -> int:
    """Bytes of a row of pixels of op's output."""
    _, width, channels = graph.tensors[graph.ops[number].output].shape
    return width * channels


def ordered(graph: Graph, counts: Sequence[int], runs: Sequence[Run]) -> tuple[Tile, ...]:
    """Tiles of all ops, at most counts[op] units each; runs rise and share no op."""
    bands = _Bands(graph, counts)
    starts = {run.first: run for run in runs}
    number = 0
    while number < len(graph.ops):
        run = starts.get(number, Run(number, number, 0))
        bands.run(run)
        number = run.last + 1
    return tuple(bands.tiles)


class _Bands:
    """Tiles so far, and how far each op is."""

    def __init__(self, graph: Graph, counts: Sequence[int]) -> None:
        self.graph = graph
        self.counts = counts
        self.tiles: list[Tile] = []
        self.done = [0] * len(graph.ops)
        self.writer = {op.output: number for number, op in enumerate(graph.ops)}

    def run(self, run: Run) -> None:
        """All tiles of a run's ops."""
        units = self.graph.units(self.graph.ops[run.last])
        band = run.rows * row_bytes(self.graph, run.last)
        band = band // self.graph.unit_bytes(self.graph.ops[run.last]) or units
        for end in range(band, units + band, band):
            self._advance(run.last, min(end, units))
        for number in range(run.first, run.last):
            self._advance(number, self.graph.units(self.graph.ops[number]))

    def _advance(self, number: int, end: int) -> None:
        """Op `number` up to unit `end`, its inputs before it as far as they are read."""
        graph, op = self.graph, self.graph.ops[number]
        while self.done[number] < end:
            first = self.done[number]
            stop = min(end, first + self.counts[number])
            for tensor in op.inputs:
                writer = self.writer.get(tensor)
                if writer is not None:
                    size = reach_of_one(graph, op, tensor, stop - 1)
                    self._advance(writer, self._units(writer, size))
            self.tiles.append(Tile(number, first, stop - first))
            self.done[number] = stop

    def _units(self, number: int, size: int) -> int:
        """Units of op that give the first `size` bytes of its output, whole rows of them."""
        op = self.graph.ops[number]
        row = row_bytes(self.graph, number)
        whole = min(-(-size // row) * row, self.graph.tensors[op.output].size)
        return whole // self.graph.unit_bytes(op)
