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
    """From `begin` (seconds), when the capacitor was at turn-off before the first resume, at tile
    `first`, to the output's commit. resumes: by tile, seconds from turn-on."""

    begin: float
    first: int
    resumes: dict[int, float]
    charges: int
    active_s: float
    time_s: float


def charge_j(cap_f: float) -> float:
    """Joule between turn-off and turn-on."""
    return Budget(cap_f, BOARD.supply.von_v, BOARD.supply.voff_v).charge_uj * 1e-6


def observed(run: Run, events: list[BoardEvent], cap_f: float, watts: float) -> Observed:
    """The part of a run under a constant harvest that begins with the turn-on of its first
    resume."""
    done = next(event for event in events if event.kind == "done")
    ons = [change.t for change in run.power if change.on and change.t < done.t]
    offs = [change.t for change in run.power if not change.on]
    resumed = [event for event in events if event.kind == "resumed"]
    resumes = {one.tile: one.t - max(t for t in ons if t < one.t) for one in resumed}
    first = resumed[0]
    on = first.t - resumes[first.tile]
    begin = on - charge_j(cap_f) / watts
    mine = [t for t in ons if t >= on]
    ends = [min([t for t in offs if t > start] + [done.t]) for start in mine]
    active = sum(end - start for start, end in zip(mine, ends, strict=True))
    return Observed(begin, first.tile, resumes, len(mine), active, done.t - begin)


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
    tiles = sorted(tile for tile in times if tile >= seen.first)
    seconds = [times[tile] * slower for tile in tiles]
    known = sorted(seen.resumes)
    starts = np.interp([*tiles, tiles[-1] + 1], known, [seen.resumes[tile] for tile in known])
    ends = np.concatenate(([0.0], np.cumsum(seconds)))
    zeros, places = np.zeros(len(ends)), np.arange(len(ends))
    route = Route(ends, zeros, zeros, places * 1.0, starts, places[1:], places)
    harvest = Supply(constant(watts), BOARD.energy.active_mw * 1e-3, charge_j(cap_f))
    return follow([route], harvest, np.array([seen.begin]))
