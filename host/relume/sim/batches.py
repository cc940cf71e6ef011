"""Policies that execute planned batches and then switch off before the power fails."""

from __future__ import annotations

import numpy as np

from relume.sim.route import LIVELOCK, MAX_CHARGES, Route, Tally
from relume.sim.supply import FloatArray, IntArray, Supply


def follow_batches(route: Route, supply: Supply, begins: FloatArray, go_on: bool) -> Tally:
    """One batch a power cycle; go_on: the next too while the stored energy suffices for it."""
    n = len(begins)
    tally, now, stored = Tally.empty(n), begins.copy(), np.zeros(n)
    place, idle = np.zeros(n, np.int64), np.zeros(n, np.int64)
    active = np.ones(n, np.bool_)
    for _ in range(MAX_CHARGES):
        who = np.flatnonzero(active)
        if not who.size:
            break
        on = supply.recharged(now[who], supply.charge_j - stored[who])
        life = supply.life(on, np.full(who.size, supply.charge_j))
        before = place[who]
        used = _power_cycle(route, supply, place, who, on, life, go_on)
        _count(route, tally, who, before, place[who], used)
        moved = place[who] > before
        done = place[who] >= route.last
        left = supply.charge_j - supply.active_w * used + supply.gained(on, used)
        stored[who] = np.maximum(left, 0.0)
        now[who] = on + used
        tally.time_s[who] = now[who]
        idle[who] = np.where(moved, 0, idle[who] + 1)
        stuck = idle[who] >= LIVELOCK
        tally.time_s[who[stuck]] = np.inf
        active[who[done | stuck]] = False
    tally.time_s[active] = np.inf
    tally.time_s -= begins
    return tally


def _power_cycle(
    route: Route,
    supply: Supply,
    place: IntArray,
    who: IntArray,
    on: FloatArray,
    life: FloatArray,
    go_on: bool,
) -> FloatArray:
    """Moves `place` on; returns the active seconds used."""
    used = np.minimum(route.start_s[place[who]], life)
    running = np.ones(who.size, np.bool_)
    first = True
    while running.any():
        at = place[who]
        after = np.minimum(at + 1, route.last)
        batch = route.ends[after] - route.ends[at]
        if not first:
            left = supply.charge_j - supply.active_w * used + supply.gained(on, used)
            running &= (at < route.last) & (left >= supply.active_w * batch)
        fits = used + batch <= life
        used = np.where(running, np.where(fits, used + batch, life), used)
        place[who] = np.where(running & fits, after, at)
        running &= fits & go_on
        first = False
    return used


def _count(
    route: Route, tally: Tally, who: IntArray, before: IntArray, after: IntArray, used: FloatArray
) -> None:
    run = route.ends[after] - route.ends[before]
    commit = route.commit_s[after] - route.commit_s[before]
    start = np.minimum(route.start_s[before], used)
    tally.start_s[who] += start
    tally.useful_s[who] += run - commit
    tally.commit_s[who] += commit
    tally.wasted_s[who] += np.maximum(used - start - run, 0.0)
    tally.nvm_bytes[who] += route.nvm_bytes[after] - route.nvm_bytes[before]
    tally.commits[who] += route.commits[after] - route.commits[before]
    tally.charges[who] += 1
