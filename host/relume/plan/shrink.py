"""Finer tiles, and runs of ops done band by band, where that saves SRAM for few cycles.

A hill climb: the ops during whose tiles most bytes are in use get tiles of half the size, or
become part of a run (`relume.plan.depth_first`). A step is judged by what is in use, and where it
promises something by placing everything. One percent of cycles is worth EXCHANGE percent of SRAM.
From the best step on, single ops and runs are made finer or coarser again as long as that pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relume.plan.arena import in_use, place_sram
from relume.plan.costs import CostModel
from relume.plan.depth_first import Run, ordered, row_bytes
from relume.plan.live import IntArray
from relume.plan.op_cycles import worst_of
from relume.plan.tiles import Infeasible, TiledGraph, assemble, too_big

EXCHANGE = 1.0
SHARE = 0.15  # more cycles on the way, as long as the board has the SRAM
WORTH = 4096  # bytes: a smaller plan is left as it is
REACH = 3  # ops before and behind a crowded one that a run may have
BANDS = (1, 2, 4, 8)
CLOSE = 0.97  # ops with that share of the most crowded one's bytes are crowded
MANY = 400  # tiles and ops: a larger plan that fits is left as it is, a search takes too long
LARGE = 0.4  # of the largest tensor
PATIENCE = 8  # steps that give nothing
WORK = 100_000  # tiles and tensors looked at while climbing: seconds
POLISH = 50_000  # the same while single ops are changed
PLACED = 12  # steps that are placed, of those tried in one round
POWER = 16  # of a crowd's bytes: the most crowded counts, the others a little

Counts = list[int]
Runs = list[Run]


@dataclass(frozen=True, eq=False)
class _State:
    """One way to tile the graph. crowd [ops]: bytes in use at worst. extra: share of cycles."""

    counts: Counts
    runs: Runs
    tiled: TiledGraph
    crowd: IntArray
    extra: float

    @property
    def pressure(self) -> float:
        """Falls when a crowded op becomes less so."""
        return float(((self.crowd / 1e4) ** POWER).sum())


class _Search:
    """Tiles for one charge of `charge_uj` whose SRAM is small, at best not above `limit` bytes."""

    def __init__(self, costs: CostModel, charge_uj: float, limit: int) -> None:
        graph = self.graph = costs.graph
        self.costs = costs
        self.charge_uj = charge_uj
        self.limit = limit
        self.left = WORK
        cached = costs.board.xip.cache_bytes // 2
        # Constants that stay in the flash cache from tile to tile cost no tile anything.
        self.cycles_of = [
            costs.kernel_cycles(op) if op.constant_bytes <= cached else costs.ops[number]
            for number, op in enumerate(graph.ops)
        ]
        self.cycles = 1.0
        self.widest: Counts = []
        sizes = [tensor.size for tensor in graph.tensors]
        self.floor = np.array(
            [max(sizes[tensor] for tensor in (*op.inputs, op.output)) for op in graph.ops],
            dtype=np.int64,
        )

    def proposals(self, tiled: TiledGraph) -> list[TiledGraph]:
        """Tilings to use instead of `tiled`, the best first."""
        self.cycles = self._cycles(tiled)
        counts = [0] * len(self.graph.ops)
        for tile in tiled.tiles:
            counts[tile.op] = max(counts[tile.op], tile.count)
        state = self._state(counts, [], tiled)
        self.widest = counts
        total = self._total(state)
        small = total <= WORTH or len(tiled.tiles) + len(self.floor) > MANY
        if small and total <= self.limit:
            return []
        found = sorted(self._climbed(total, state), key=lambda step: self._price(*step))
        self.left = POLISH
        polished = [self._polished(*step) for step in found[:1]]
        return [state.tiled for _, state in polished + found]

    def _climbed(self, total: int, state: _State) -> list[tuple[int, _State]]:
        """The steps from a state on; of those that need the same SRAM the cheapest."""
        found: dict[int, _State] = {}
        best, idle = self._price(total, state), 0
        while self.left > 0 and idle < PATIENCE:
            step = self._step(state, total)
            if step is None:
                break
            total, state = step
            if total not in found or state.extra < found[total].extra:
                found[total] = state
            idle = 0 if self._price(*step) < best else idle + 1
            best = min(best, self._price(*step))
        return list(found.items())

    def _polished(self, total: int, state: _State) -> tuple[int, _State]:
        """One op's tiles or one run's bands halved or doubled, as long as the price falls."""
        best = (total, state)
        while self.left > 0:
            tried = [self._tile(*there) for there in self._near(best[1])]
            others = [other for other in tried if other is not None and other.extra <= SHARE]
            steps = [best, *((self._total(other), other) for other in others)]
            step = min(steps, key=lambda step: self._price(*step))
            if step is best:
                break
            best = step
        return best

    def _near(self, state: _State) -> Iterator[tuple[Counts, Runs]]:
        for number, count in enumerate(state.counts):
            if count < self.widest[number]:
                counts = list(state.counts)
                counts[number] = min(2 * count, self.widest[number])
                yield counts, state.runs
        for number in self._large():
            yield from self._finer(state, [number])
        for run in state.runs:
            others = [other for other in state.runs if other is not run]
            yield state.counts, others
            for rows in {2 * run.rows, max(1, run.rows // 2)} - {run.rows}:
                runs = sorted([*others, replace(run, rows=rows)], key=lambda other: other.first)
                yield state.counts, runs
                if rows < run.rows:
                    for counts, _ in self._finer(state, range(run.first, run.last + 1)):
                        yield counts, runs

    def _large(self) -> list[int]:
        numbers: list[int] = np.flatnonzero(self.floor >= LARGE * self.floor.max()).tolist()
        return numbers

    def _state(self, counts: Counts, runs: Runs, tiled: TiledGraph) -> _State:
        crowd = self.floor.copy()
        core = self.costs.board.core
        held = in_use(self.graph, tiled.live, tiled.tiles, core)
        np.maximum.at(crowd, [tile.op for tile in tiled.tiles], held)
        self.left -= len(tiled.tiles) + len(self.graph.tensors)
        return _State(counts, runs, tiled, crowd, self._cycles(tiled) / self.cycles - 1)

    def _cycles(self, tiled: TiledGraph) -> float:
        live = tiled.live
        each: list[float] = worst_of(self.cycles_of, live.op_of, live.count_of).tolist()
        return sum(each)

    def _total(self, state: _State) -> int:
        tiled = state.tiled
        self.left -= 3 * (len(tiled.tiles) + len(self.graph.tensors))
        core = self.costs.board.core
        return place_sram(self.graph, tiled.live, tiled.tiles, core, width=2).total

    def _price(self, total: int, state: _State) -> tuple[int, float]:
        """What is missing of SRAM, then SRAM and cycles against each other."""
        return max(0, total - self.limit), total * (1 + EXCHANGE * max(0.0, state.extra))

    def _step(self, state: _State, total: int) -> tuple[int, _State] | None:
        """The neighbour that needs least SRAM; None when none eases the crowd."""
        share = SHARE if total <= self.limit else np.inf
        eased = []
        for counts, runs in self._neighbours(state):
            if self.left <= 0:
                break
            other = self._tile(counts, runs)
            if other is None or other.extra > share:
                continue
            if other.pressure < state.pressure or self._is_flat(other):
                eased.append(other)
        eased.sort(key=lambda other: other.extra)
        if len(eased) > PLACED:
            by_pressure = sorted(eased[PLACED // 2 :], key=lambda other: other.pressure)
            eased = [*eased[: PLACED // 2], *by_pressure[: PLACED // 2]]
        placed = [(self._total(other), other) for other in eased]
        return min(placed, key=lambda pair: (pair[0], pair[1].pressure), default=None)

    def _tile(self, counts: Counts, runs: Runs) -> _State | None:
        """The tiling, None if a tile of it does not fit the charge."""
        tiled = assemble(self.graph, self.costs, ordered(self.graph, counts, runs))
        try:
            over = too_big(self.graph, self.costs, tiled, self.charge_uj)
        except Infeasible:
            return None
        return None if over else self._state(counts, runs, tiled)

    def _neighbours(self, state: _State) -> Iterator[tuple[Counts, Runs]]:
        crowded = np.flatnonzero(state.crowd >= CLOSE * state.crowd.max()).tolist()
        if self._is_flat(state):
            yield from self._closer(state)
        yield from self._finer(state, crowded)
        for number in crowded[:3]:
            if len(crowded) > 1:
                yield from self._finer(state, [number])
            yield from self._joined(state, number)

    def _is_flat(self, state: _State) -> bool:
        """Is the largest tensor all that the crowd is about? Then gaps between tensors count."""
        return int(state.crowd.max()) <= int(self.floor.max())

    def _closer(self, state: _State) -> Iterator[tuple[Counts, Runs]]:
        """Narrower bands, and finer tiles of the ops with large tensors."""
        large = self._large()
        narrow = [replace(run, rows=max(1, run.rows // 2)) for run in state.runs]
        for counts, _ in self._finer(state, large):
            yield counts, state.runs
            yield counts, narrow
        if narrow != state.runs:
            yield state.counts, narrow
        for number in large:
            yield from self._finer(state, [number])

    def _finer(self, state: _State, numbers: Sequence[int]) -> Iterator[tuple[Counts, Runs]]:
        """Twice as many tiles, of whole rows."""
        counts = list(state.counts)
        for number in numbers:
            op = self.graph.ops[number]
            row = row_bytes(self.graph, number) // self.graph.unit_bytes(op)
            units = self.graph.units(op)
            pieces = 2 * -(-units // counts[number])
            counts[number] = min(counts[number], row * -(-units // (row * pieces)))
        if counts != state.counts:
            yield counts, state.runs

    def _joined(self, state: _State, number: int) -> Iterator[tuple[Counts, Runs]]:
        """Runs around an op, instead of those that they meet."""
        n_ops = len(self.graph.ops)
        for first in range(max(0, number - REACH), number + 1):
            for last in range(max(number, first + 1), min(n_ops, number + REACH + 1)):
                rows = self.graph.tensors[self.graph.ops[last].output].shape[0]
                others = [r for r in state.runs if r.last < first or r.first > last]
                for band in BANDS:
                    run = Run(first, last, band)
                    if 2 * band <= rows and run not in state.runs:
                        yield state.counts, sorted([*others, run], key=lambda r: r.first)


def proposals(
    costs: CostModel, tiled: TiledGraph, charge_uj: float, limit: int
) -> list[TiledGraph]:
    """Tiles with less SRAM, the best first, each fitting a charge as those of `tiled` do.

    limit: bytes of tensors and scratch memory that there are; above it cycles do not count.
    """
    return _Search(costs, charge_uj, limit).proposals(tiled)
