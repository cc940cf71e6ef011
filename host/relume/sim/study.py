"""One network, board, capacitor and harvest, and every policy run on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relume.board.profile import BoardProfile
from relume.errors import PlanError
from relume.model.graph import Graph
from relume.plan.costs import CostModel
from relume.plan.planner import make_plan
from relume.plan.types import Plan, Tile
from relume.power.capacitor import Budget
from relume.power.trace import Trace
from relume.sim.flash import as_typical
from relume.sim.route import Tally
from relume.sim.supply import FloatArray, Supply
from relume.sim.work import TARGETS_MS, Work, tiling, uj_per_s, whole_ops

TUNING_STARTS = 60
Runner = Callable[[FloatArray], Tally]


@dataclass(frozen=True, eq=False)
class Study:
    """What is simulated. starts: how many begins, drawn from seed over the trace's period.

    made: our plan, if there is one already. nvm: fram or fram-i2c, where no plan says it.
    """

    graph: Graph
    board: BoardProfile
    budget: Budget
    trace: Trace
    starts: int = 1000
    seed: int = 1
    made: Plan | None = None
    nvm: str = "fram"

    @property
    def kind(self) -> str:
        """The NVM."""
        return self.nvm if self.made is None else self.made.nvm

    @cached_property
    def costs(self) -> CostModel:
        """One for all policies: constants go to SRAM as in our plan; flash at typical times."""
        stages = {} if self.plan is None else self.plan.stages
        board = as_typical(self.board) if self.kind == "flash" else self.board
        return CostModel(self.graph, board, self.kind, stages)

    @cached_property
    def supply(self) -> Supply:
        watt = self.board.energy.active_mw * 1e-3
        return Supply(self.trace, watt, self.budget.charge_uj * 1e-6)

    @cached_property
    def begins(self) -> FloatArray:
        """Seconds into the trace at which the capacitor is at turn-off."""
        random = np.random.default_rng(self.seed)
        return random.random(self.starts) * self.trace.period

    @cached_property
    def whole(self) -> Work:
        return whole_ops(self.costs)

    @cached_property
    def works(self) -> dict[float, Work]:
        """Tilings by target in milliseconds, inf: whole ops; none that equals a finer one."""
        made: dict[float, Work] = {}
        for target in (*TARGETS_MS, math.inf):
            work = self.whole if math.isinf(target) else tiling(self.costs, target)
            if not any(one.tiles == work.tiles for one in made.values()):
                made[target] = work
        return made

    @cached_property
    def plan(self) -> Plan | None:
        """Ours; None where the planner refuses this capacitor."""
        if self.made is not None:
            return self.made
        try:
            return make_plan(self.graph, self.board, self.budget, self.kind)
        except PlanError:
            return None

    @cached_property
    def cuts(self) -> dict[str, Work]:
        """The tilings with their names."""
        return {
            "whole ops" if math.isinf(ms) else f"{ms:g} ms tiles": work
            for ms, work in self.works.items()
        }

    @property
    def boot_s(self) -> float:
        """The least that a turn-on costs."""
        return self.whole.boot_s()

    def snapshot_bytes(self, work: Work) -> int:
        """Tensors that are there at once, at most, with registers, stack and globals."""
        from relume.sim.published import STATE_BYTES

        return int((work.live_bytes[:-1] + work.out_bytes).max()) + STATE_BYTES


@dataclass(frozen=True, eq=False)
class Candidate:
    """A policy with its parameters chosen: a setting in words, and what runs it.

    tiles: where it writes each tile's output before the next; None elsewhere.
    """

    setting: str
    run: Runner
    tiles: tuple[Tile, ...] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A policy at its best setting, all starts. tiles: as Candidate's."""

    name: str
    setting: str
    tally: Tally | None  # None: refused
    mj_per_s: float
    tiles: tuple[Tile, ...] | None = None

    @property
    def livelock(self) -> bool:
        return self.tally is None or not bool(np.isfinite(self.tally.time_s).all())

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of the starts needs at most; None if they never finish."""
        if self.tally is None:
            return None
        value = float(np.quantile(self.tally.time_s, share, method="higher"))
        return value if np.isfinite(value) else None

    def median(self, values: FloatArray) -> float:
        """Median over the starts that finished, or over all if none did."""
        assert self.tally is not None
        done = np.isfinite(self.tally.time_s)
        return float(np.median(values[done] if done.any() else values))

    def facts(self) -> dict[str, float | bool | None]:
        """The figures of one policy, JSON-able."""
        tally = self.tally
        if tally is None:
            empty = dict.fromkeys(("time_p50_s", "time_p95_s", "energy_mj", "wasted_mj",
                                   "nvm_bytes", "commits", "charges"))  # fmt: skip
            return {**empty, "livelock": True}
        return {
            "time_p50_s": self.quantile(0.5),
            "time_p95_s": self.quantile(0.95),
            "energy_mj": self.median(tally.spent_s) * self.mj_per_s,
            "wasted_mj": self.median(tally.wasted_s) * self.mj_per_s,
            "nvm_bytes": self.median(tally.nvm_bytes),
            "commits": self.median(tally.commits),
            "charges": self.median(tally.charges),
            "livelock": self.livelock,
        }


def run_policy(study: Study, name: str) -> Outcome:
    """The policy with the setting that has the best median on a few of the starts."""
    from relume.sim.policies import POLICIES

    scale = uj_per_s(study.costs) * 1e-3
    candidates = POLICIES[name](study)
    if not candidates:
        return Outcome(name, "refused", None, scale)
    best = candidates[0]
    if len(candidates) > 1:
        few = study.begins[:TUNING_STARTS]
        best = min(candidates, key=lambda one: _rank(one.run(few)))
    return Outcome(name, best.setting, best.run(study.begins), scale, best.tiles)


def _rank(tally: Tally) -> tuple[float, float]:
    """Median time, then the share that never ends."""
    median = float(np.quantile(tally.time_s, 0.5, method="higher"))
    return median, float(np.isinf(tally.time_s).mean())


def run_all(
    studies: Sequence[Study], names: Sequence[str], jobs: int = 1
) -> list[list[Outcome]]:
    """Every policy on every study, both in their order."""
    if jobs <= 1 or len(names) * len(studies) <= 1:
        return [[run_policy(study, name) for name in names] for study in studies]
    for study in studies:
        study.plan  # noqa: B018 (once, before each process has its copy)
    pairs = [(study, name) for study in studies for name in names]
    with ProcessPoolExecutor(min(jobs, len(pairs))) as pool:
        found = list(pool.map(run_policy, *zip(*pairs, strict=True)))
    return [found[at : at + len(names)] for at in range(0, len(found), len(names))]
