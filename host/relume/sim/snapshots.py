"""Policies that copy the whole volatile state to NVM when the voltage falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relume.sim.route import LIVELOCK, MAX_CHARGES, Tally
from relume.sim.supply import BoolArray, FloatArray, IntArray, Supply


@dataclass(frozen=True, eq=False)
class Snapshots:
    """ends [n + 1]: active seconds up to each boundary, looks at the voltage included.

    fresh_s: boot without a snapshot; start_s: boot and restore. snapshot_s, snapshot_bytes: of one
    copy. low_j: energy above turn-off below which a snapshot is taken, at the next boundary or,
    where `anywhere`, at once. wake_j, sleep_w: asleep after it until so much is there again; None:
    it goes on until the power is gone.
    """

    ends: FloatArray
    fresh_s: float
    start_s: float
    snapshot_s: float
    snapshot_bytes: int
    low_j: float
    anywhere: bool = False
    wake_j: float | None = None
    sleep_w: float = 0.0


@dataclass(eq=False)
class _Runs:
    """State of all starts. place: active seconds of `ends` that a snapshot holds."""

    tally: Tally
    now: FloatArray
    stored: FloatArray
    place: FloatArray
    awake: BoolArray


def follow_snapshots(policy: Snapshots, supply: Supply, begins: FloatArray) -> Tally:
    """Runs until every start has finished or stands still."""
    n = len(begins)
    runs = _Runs(Tally.empty(n), begins.copy(), np.zeros(n), np.zeros(n), np.zeros(n, np.bool_))
    idle, active = np.zeros(n, np.int64), np.ones(n, np.bool_)
    for _ in range(MAX_CHARGES):
        who = np.flatnonzero(active)
        if not who.size:
            break
        before = runs.place[who]
        _life(policy, supply, runs, who)
        done = runs.place[who] >= policy.ends[-1]
        idle[who] = np.where(runs.place[who] > before, 0, idle[who] + 1)
        stuck = idle[who] >= LIVELOCK
        runs.tally.time_s[who[stuck]] = np.inf
        active[who[done | stuck]] = False
        if policy.wake_j is not None:
            _sleep(policy, supply, runs, who[~done])
    runs.tally.time_s[active] = np.inf
    runs.tally.time_s -= begins
    return runs.tally


def _life(policy: Snapshots, supply: Supply, runs: _Runs, who: IntArray) -> None:
    """From turn-on, or from waking, to a finished run, sleep or the end of the power."""
    awake, place, tally = runs.awake[who], runs.place[who], runs.tally
    on = supply.recharged(runs.now[who], np.where(awake, 0.0, supply.charge_j - runs.stored[who]))
    stored = np.where(awake, runs.stored[who], supply.charge_j)
    life = supply.life(on, stored)
    low = supply.life(on, stored - policy.low_j)
    start = np.where(awake, 0.0, np.where(place > 0, policy.start_s, policy.fresh_s))
    start = np.minimum(start, life)
    left = policy.ends[-1] - place
    aim = place + np.maximum(low - start, 0.0)
    at = np.minimum(aim, policy.ends[-1]) if policy.anywhere else _boundary(policy, place, aim)
    used = start + at - place
    done = (start + left <= life) & (at >= policy.ends[-1])
    kept, copies, used = _copy(policy, place, at, used, life, ~done & (low > start))
    final = np.where(done, policy.ends[-1], kept)
    spent = np.where(done, start + left, life if policy.wake_j is None else used)
    tally.start_s[who] += start
    tally.useful_s[who] += final - place
    tally.commit_s[who] += copies * policy.snapshot_s
    tally.wasted_s[who] += np.maximum(
        spent - start - (final - place) - copies * policy.snapshot_s, 0.0
    )
    tally.nvm_bytes[who] += copies * policy.snapshot_bytes
    tally.commits[who] += copies
    tally.charges[who] += ~awake
    tally.time_s[who] = runs.now[who] = on + spent
    drawn = stored - supply.active_w * spent + supply.gained(on, spent)
    runs.stored[who] = np.maximum(drawn, 0.0)
    runs.place[who] = final


def _boundary(policy: Snapshots, place: FloatArray, aim: FloatArray) -> FloatArray:
    """The first boundary behind place that does not lie before aim."""
    after = np.searchsorted(policy.ends, place * (1 + 1e-12), side="right")
    wanted = np.searchsorted(policy.ends, aim, side="left")
    index = np.minimum(np.maximum(after, wanted), len(policy.ends) - 1)
    found: FloatArray = policy.ends[index]
    return found


def _copy(
    policy: Snapshots,
    place: FloatArray,
    at: FloatArray,
    used: FloatArray,
    life: FloatArray,
    wanted: BoolArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(place kept, copies, seconds used): snapshots, one at each boundary, until power is gone."""
    kept, copies = place.copy(), np.zeros(len(place))
    used = np.minimum(used, life)
    running = wanted & (used + policy.snapshot_s <= life)
    used = np.where(wanted & ~running, life, used)
    while running.any():
        kept = np.where(running, at, kept)
        copies += running
        used = np.where(running, used + policy.snapshot_s, used)
        if policy.anywhere:
            break
        after = _boundary(policy, at, at)
        running &= after > at
        used_after = used + after - at
        running &= used_after + policy.snapshot_s <= life
        used = np.where(running, used_after, used)
        at = np.where(running, after, at)
    return kept, copies, used


def _sleep(policy: Snapshots, supply: Supply, runs: _Runs, who: IntArray) -> None:
    """Asleep until the voltage is back, or gone."""
    assert policy.wake_j is not None
    for i in who:
        begin = float(runs.now[i])
        if runs.stored[i] <= 0:
            runs.awake[i] = False
            continue
        end, awake = supply.sleep(begin, float(runs.stored[i]), policy.wake_j, policy.sleep_w)
        runs.now[i], runs.awake[i] = end, awake
        runs.stored[i] = policy.wake_j if awake else 0.0
        runs.tally.sleep_s[i] += (end - begin) * policy.sleep_w / supply.active_w
