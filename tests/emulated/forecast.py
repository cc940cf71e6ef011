"""What the simulator makes of a run of the emulated board, with that board's own times.

Segment and resume times are measured in the run, so that what is compared is the simulator's
supply, its restarts and its rule for what a charge keeps, not the cost model's margins.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from relume.plan.planner import Budget
from relume.power.trace import constant
from relume.sim.route import Route, Tally, follow
from relume.sim.supply import Supply
from relume_boards.virtual.record import BoardEvent, Run

from tests.emulated.bench import BOARD


@dataclass(frozen=True)
class Observed:
    """From the brown-out at `begin` (seconds) before the first resume, at tile `first`, to the
    output's commit: a resume's seconds, turn-ons, active seconds, seconds in all."""

    begin: float
    first: int
    resume_s: float
    charges: int
    active_s: float
    time_s: float


def observed(run: Run, events: list[BoardEvent]) -> Observed:
    """The last part of a run that began with a turn-on."""
    first = next(event for event in events if event.kind == "resumed")
    done = next(event for event in events if event.kind == "done")
    ons = [change.t for change in run.power if change.on and change.t < done.t]
    offs = [change.t for change in run.power if not change.on]
    on = max(t for t in ons if t < first.t)
    begin = max([t for t in offs if t < on], default=0.0)
    mine = [t for t in ons if t >= on]
    ends = [min([t for t in offs if t > start] + [done.t]) for start in mine]
    active = sum(end - start for start, end in zip(mine, ends, strict=True))
    return Observed(begin, first.tile, first.t - on, len(mine), active, done.t - begin)


def segments(events: list[BoardEvent]) -> dict[int, float]:
    """First tile of a segment -> seconds to its commit, from the first resume on."""
    found: dict[int, float] = {}
    resumed = False
    for before, after in itertools.pairwise(events):
        resumed = resumed or before.kind == "resumed"
        if resumed and after.kind in ("committed", "done") and after.tile > before.tile:
            found[before.tile] = (after.boot_us - before.boot_us) * 1e-6
    return found


def forecast(
    times: dict[int, float], seen: Observed, cap_f: float, watts: float, slower: float = 1.0
) -> Tally:
    """The same part of the run by the simulator, with segments so many times slower."""
    seconds = [time * slower for tile, time in sorted(times.items()) if tile >= seen.first]
    ends = np.concatenate(([0.0], np.cumsum(seconds)))
    zeros, places = np.zeros(len(ends)), np.arange(len(ends))
    route = Route(
        ends, zeros, zeros, places * 1.0, np.full(len(ends), seen.resume_s), places[1:], places
    )
    supply = BOARD.supply
    joules = Budget(cap_f, supply.von_v, supply.voff_v).charge_uj * 1e-6
    harvest = Supply(constant(watts), BOARD.energy.active_mw * 1e-3, joules)
    return follow([route], harvest, np.array([seen.begin]))
