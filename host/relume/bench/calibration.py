"""What a board's cycles are against what its profile counts with, and rows that hold for both.

Layers and models are planned for the board, deployed and run as any inference is; the firmware
counts the cycles of each op's tiles (TIMES, SPEC 6), flash reads and interrupts included. The same
tiles have a worst case in the plan's cost model: kernel cycles from a row of [cycles.*], and what
waiting for flash takes. A row whose worst case, flash included, is below the measurement and a
margin is scaled up as a whole. No row is lowered unless that is asked for: then it becomes the
largest measurement and the margin, which holds for the inputs tried and no others. Both times all
that was measured is taken for the kernel's: how much of the flash the cache held is not known.

Each input runs REPEATS times, and the smallest count is taken: interrupts and the first burst's
trial come on top of the others. Of the op behind the input's commit, what the plan counts with
that commit (code that the cache has lost meanwhile) is taken off, but for lowering a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relume.bench.on_board import PLUGGED
from relume.blob.layouts.select import lay_out
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.errors import LinkError
from relume.model.graph import Graph
from relume.plan.costs import CostModel
from relume.plan.planner import make_plan

if TYPE_CHECKING:
    from relume.blob.reader import Blob
    from relume.board.profile import BoardProfile
    from relume.link.client import Board
    from relume.link.messages import Event
    from relume.plan.types import Plan

MARGIN = 0.10  # as the rows of boards/*/board.toml have it
LOWEST = 0.01  # of a row that is lowered: a kernel is never free
REPEATS = 3
Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """A graph to be run, and its inputs by name."""

    graph: Graph
    inputs: Mapping[str, bytes]


@dataclass(frozen=True)
class OpCost:
    """One op of one model, cycles. row: "m0plus.CONV_2D", the row of [cycles.*] that counts.

    kernel, flash: what the plan counts with at worst, together; typical: what it expects.
    measured: the largest of all inputs; once: what of it the plan counts with a commit.
    """

    model: str
    op: int
    row: str
    kernel: float
    flash: float
    typical: float
    measured: float
    once: float = 0.0

    @property
    def worst(self) -> float:
        """What the plan counts with."""
        return self.kernel + self.flash

    @property
    def counted(self) -> float:
        """What the op's own worst case must hold."""
        return max(0.0, self.measured - self.once)

    def scale(self, margin: float) -> float:
        """Of the row, so that the worst case holds the measurement and the margin."""
        kernel = max(1.0, self.kernel)
        wanted = self.counted * (1 + margin)
        if wanted > self.worst:
            return wanted / kernel
        return max(LOWEST, min(1.0, self.measured * (1 + margin) / kernel))


@dataclass(frozen=True)
class Run:
    """What was measured. inputs: run in all. volts: readings of the supply, lowest and highest."""

    ops: tuple[OpCost, ...]
    inputs: int
    volts: tuple[float, float] | None


# ---- Measuring -------------------------------------------------------------


def measure(
    board: Board, profile: BoardProfile, subjects: Iterable[Subject], nvm: str, say: Say
) -> Run:
    """Runs all inputs of all subjects. Errors: LinkError, among them a power cut."""
    costs: list[OpCost] = []
    volts: list[float] = []
    inputs = 0

    def watch(event: Event) -> None:
        if event.millivolts:
            volts.append(event.millivolts * 1e-3)

    for subject in subjects:
        plan = make_plan(subject.graph, profile, PLUGGED, nvm)
        blob = read_blob(pack(plan))
        board.deploy(blob)
        board.clear()
        most = [0] * len(plan.graph.ops)
        board.times()  # switches them on
        for name, data in subject.inputs.items():
            found = [_times(board, blob, data, n, profile.hz, watch) for n in range(REPEATS)]
            least = [min(column) for column in zip(*found, strict=True)]
            most = [max(*pair) for pair in zip(most, least, strict=True)]
            inputs += 1
            say(f"{name}: {sum(least):,} cycles")
        board.clear()
        costs += planned(plan, profile, most)
    return Run(tuple(costs), inputs, (min(volts), max(volts)) if volts else None)


def _times(
    board: Board, blob: Blob, data: bytes, number: int, hz: int, watch: Callable[[Event], None]
) -> tuple[int, ...]:
    """Cycles of each op in one inference."""
    result = board.run(data, number=number, blob=blob, watch=watch)
    if result.brownouts:
        raise LinkError(f"{board.port.text}: the power was cut; calibrate wants USB power")
    times = board.times()
    if times.hz != hz:
        raise LinkError(
            f"{board.port.text}: the board counts at {times.hz / 1e6:g} MHz, its profile at"
            f" {hz / 1e6:g}: set machine.freq back and calibrate again"
        )
    return times.cycles


def planned(plan: Plan, profile: BoardProfile, measured: Sequence[float]) -> list[OpCost]:
    """Each op's measured cycles beside what the plan counts with."""
    costs = CostModel(plan.graph, profile, plan.nvm, plan.stages)
    worst, typical = [0.0] * len(measured), [0.0] * len(measured)
    kernel = [0.0] * len(measured)
    before = -1
    for tile in plan.tiles:
        op = tile.op
        room = plan.stage(op).chunk or plan.stage(op).size or None
        copy = costs.stage_cycles(op) if op != before else 0.0
        worst[op] += costs.ops[op].worst(tile.count) + copy
        typical[op] += costs.ops[op].typical(tile.count)
        if op != before:
            typical[op] += costs.begin_cycles(op)
        kernel[op] += costs.kernel_cycles(plan.graph.ops[op], room).worst(tile.count)
        before = op
    return [
        OpCost(
            plan.graph.name, op, row_of(plan.graph, profile, op), kernel[op],
            worst[op] - kernel[op], typical[op], measured[op],
            profile.store.early_step if op == plan.tiles[0].op else 0.0,
        )
        for op in range(len(measured))
    ]  # fmt: skip


def row_of(graph: Graph, profile: BoardProfile, op: int) -> str:
    """The row of [cycles.*] that the plan counts an op with, as in CostModel.kernel_cycles."""
    one, core = graph.ops[op], profile.core
    fast = one.kind.name in profile.fast_cycles.get(core, {})
    if not fast or lay_out(core, graph, one) is None:
        core = "portable"
    return f"{core}.{one.kind.name}"


# ---- Fitting ---------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row of [cycles.*] and what was found of it.

    ops: how many were measured. share: the largest measurement, less what comes once, over what
    the plan counted with. expected: the same over typical, of all ops. factor: of the old
    row, 1: kept.
    """

    name: str
    figures: tuple[float, float, float]
    ops: int
    share: float
    expected: float
    factor: float

    @property
    def typical(self) -> bool:
        """Lowered: no worst case over data and shapes any more."""
        return self.factor < 1


def fitted(
    run: Run, profile: BoardProfile, margin: float = MARGIN, lower: bool = False
) -> list[Row]:
    """The rows of all ops that were measured, by name. lower: rows become smaller, too."""
    found: dict[str, list[OpCost]] = {}
    for cost in run.ops:
        found.setdefault(cost.row, []).append(cost)
    rows = []
    for name, costs in sorted(found.items()):
        factor = max(cost.scale(margin) for cost in costs)
        factor = factor if lower else max(1.0, factor)
        old = figures_of(profile, name)
        work, output, tile = (_up(figure * factor) if factor != 1 else figure for figure in old)
        share = max(cost.counted / cost.worst for cost in costs)
        expected = sum(cost.counted for cost in costs) / sum(cost.typical for cost in costs)
        rows.append(Row(name, (work, output, tile), len(costs), share, expected, factor))
    return rows


def figures_of(profile: BoardProfile, row: str) -> tuple[float, float, float]:
    """A row of [cycles.*] by its name."""
    core, _, kind = row.partition(".")
    return (profile.cycles if core == "portable" else profile.fast_cycles[core])[kind]


def _up(figure: float) -> float:
    """Rounded up to four digits."""
    if figure == 0:
        return 0.0
    digits = 3 - math.floor(math.log10(figure))
    step = 10.0**-digits
    return round(math.ceil(round(figure / step, 6)) * step, max(0, digits))


def under(run: Run, before: BoardProfile, after: BoardProfile) -> Run:
    """The run beside another profile's rows, flash as it was."""
    ops = []
    for cost in run.ops:
        old, new = figures_of(before, cost.row), figures_of(after, cost.row)
        ratio = min(b / a for a, b in zip(old, new, strict=True) if a)
        ops.append(replace(cost, kernel=cost.kernel * ratio))
    return replace(run, ops=tuple(ops))
