"""Policies that keep progress at known points: what a charge brings them from one to another.

From boundary p a charge pays start_s[p] and then runs along `ends` until its power is gone; it
keeps the last point that it passed. Everything is done for all starts at once, charge by charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from relume.sim.supply import BoolArray, FloatArray, IntArray, Supply
from relume.sim.work import Work

LIVELOCK = 100  # charges without a point kept
MAX_CHARGES = 100_000


@dataclass(frozen=True, eq=False)
class Route:
    """Boundaries [n + 1] of a tiling and the points among them where progress is kept.

    ends: active seconds of compute and commits up to each boundary. commit_s, nvm_bytes, commits:
    those of the commits alone. points: rising, the last is n. units: `Work.units`. fluid: progress
    is kept between boundaries too (units so small that none is lost).
    """

    ends: FloatArray
    commit_s: FloatArray
    nvm_bytes: FloatArray
    commits: FloatArray
    start_s: FloatArray
    points: IntArray
    units: IntArray
    fluid: bool = False

    @classmethod
    def make(
        cls,
        work: Work,
        commit_s: FloatArray,
        nvm_bytes: FloatArray,
        *,
        start_s: FloatArray | None = None,
        points: IntArray | None = None,
        compute_s: FloatArray | None = None,
        commits: FloatArray | None = None,
        fluid: bool = False,
    ) -> Route:
        """commit_s, nvm_bytes, commits: behind each tile, 0 where none is made."""
        spent = compute_s if compute_s is not None else work.compute_s
        kept = np.arange(1, work.n_tiles + 1) if points is None else points
        if commits is None:
            commits = np.isin(np.arange(1, work.n_tiles + 1), kept).astype(np.float64)
        return cls(
            _sums(spent + commit_s),
            _sums(commit_s),
            _sums(nvm_bytes),
            _sums(commits),
            work.start_s() if start_s is None else start_s,
            kept,
            work.units,
            fluid,
        )

    @property
    def last(self) -> int:
        return len(self.ends) - 1

    def reached(self, place: FloatArray, seconds: FloatArray) -> FloatArray:
        """Places kept so many seconds after the start; fluid ones lie between boundaries."""
        target = self.at(self.ends, place) + np.maximum(seconds, 0.0)
        if self.fluid:
            between: FloatArray = np.interp(target, self.ends, np.arange(len(self.ends)) * 1.0)
            return between
        index = np.searchsorted(self.ends[self.points], target * (1 + 1e-12), side="right") - 1
        kept = np.where(index >= 0, self.points[np.maximum(index, 0)], 0)
        return np.maximum(kept * 1.0, place)

    def at(self, sums: FloatArray, place: FloatArray) -> FloatArray:
        """A running sum at places."""
        value: FloatArray = np.interp(place, np.arange(len(sums)), sums)
        return value

    def start(self, place: FloatArray) -> FloatArray:
        """Boot and restore at places."""
        value: FloatArray = self.start_s[np.minimum(np.floor(place), self.last).astype(np.int64)]
        return value

    def moved_to(self, other: Route, place: FloatArray) -> FloatArray:
        """The same progress, at most, on another route."""
        units = self.units[np.floor(place).astype(np.int64)]
        index = np.searchsorted(other.units, units, side="right") - 1
        return index.astype(np.float64)


def _sums(values: FloatArray) -> FloatArray:
    sums: FloatArray = np.concatenate(([0.0], np.cumsum(values)))
    return sums


@dataclass(eq=False)
class Tally:
    """What each start has spent, in active seconds; time_s is infinite where nothing moves."""

    time_s: FloatArray
    start_s: FloatArray
    useful_s: FloatArray
    commit_s: FloatArray
    wasted_s: FloatArray
    nvm_bytes: FloatArray
    commits: FloatArray
    charges: FloatArray
    sleep_s: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def empty(cls, n: int) -> Tally:
        return cls(*(np.zeros(n) for _ in range(9)))

    @property
    def spent_s(self) -> FloatArray:
        """All that was drawn."""
        return self.start_s + self.useful_s + self.commit_s + self.wasted_s + self.sleep_s


def follow(
    routes: Sequence[Route],
    supply: Supply,
    begins: FloatArray,
    *,
    up: bool = False,
    last_first: bool = False,
) -> Tally:
    """Runs until every start has finished or stands still.

    Several routes are levels: a charge that keeps nothing moves a start to the next level; with
    `up`, one that keeps something moves it back by one. last_first: they begin at the last level.
    """
    n = len(begins)
    tally, level = Tally.empty(n), np.full(n, (len(routes) - 1) * last_first, np.int64)
    place, idle = np.zeros(n), np.zeros(n, np.int64)
    now = begins.copy()
    stored = np.zeros(n)
    active = np.ones(n, np.bool_)
    for _ in range(MAX_CHARGES):
        who = np.flatnonzero(active)
        if not who.size:
            break
        on = supply.recharged(now[who], supply.charge_j - stored[who])
        life = supply.life(on, np.full(who.size, supply.charge_j))
        kept = np.zeros(who.size, np.bool_)
        for number, route in enumerate(routes):
            mine = level[who] == number
            if mine.any():
                kept[mine] = _charge(route, tally, who[mine], on[mine], life[mine], place)
        now[who] = on + life
        done = np.array([place[i] >= routes[level[i]].last for i in who])
        idle[who] = np.where(kept, 0, idle[who] + 1)
        stuck = idle[who] >= LIVELOCK
        tally.time_s[who[stuck]] = np.inf
        active[who[done | stuck]] = False
        _change_levels(routes, level, place, who[~done], kept[~done], up)
    tally.time_s[active] = np.inf
    tally.time_s -= begins
    return tally


def _charge(
    route: Route, tally: Tally, who: IntArray, on: FloatArray, life: FloatArray, place: FloatArray
) -> BoolArray:
    """One charge of the starts `who`; returns which have kept something."""
    before = place[who]
    start = route.start(before)
    after = route.reached(before, life - start)
    after = np.where(life > start, after, before)
    run = route.at(route.ends, after) - route.at(route.ends, before)
    commit = route.at(route.commit_s, after) - route.at(route.commit_s, before)
    done = after >= route.last
    spent = np.where(done, start + run, life)
    tally.start_s[who] += np.minimum(start, life)
    tally.useful_s[who] += run - commit
    tally.commit_s[who] += commit
    tally.wasted_s[who] += np.maximum(spent - start - run, 0.0)
    tally.nvm_bytes[who] += route.at(route.nvm_bytes, after) - route.at(route.nvm_bytes, before)
    tally.commits[who] += route.at(route.commits, after) - route.at(route.commits, before)
    tally.charges[who] += 1
    tally.time_s[who] = on + spent
    place[who] = after
    kept: BoolArray = after > before
    return kept


def _change_levels(
    routes: Sequence[Route],
    level: IntArray,
    place: FloatArray,
    who: IntArray,
    kept: BoolArray,
    up: bool,
) -> None:
    if len(routes) == 1:
        return
    wanted = np.where(kept, level[who] - int(up), level[who] + 1)
    wanted = np.clip(wanted, 0, len(routes) - 1)
    for i, new in zip(who, wanted, strict=True):
        if new != level[i]:
            moved = routes[level[i]].moved_to(routes[new], place[i : i + 1])
            place[i] = moved[0]
            level[i] = new
