"""Our engine with a reading of the supply voltage: tiles until the charge is nearly spent.

All starts step together, a tile, a commit or a look while asleep at a time. At a boundary the
engine commits when the next tile at its worst and the commit behind it do not fit what the reading
promises. Meanwhile dirty bytes go to NVM in the background, a burst behind each tile unless one is
under way. Nothing can be lost behind a commit: there it sleeps while that is better than a new
charge, by the firmware's rule (rl_pace_rest of pace.c). Else it spends what is left on a tile that
may be kept though it does not fit, if there is hope for that, and waits for the end if not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relume.sim.route import LIVELOCK, Tally
from relume.sim.supply import BoolArray, FloatArray, IntArray, Supply

MAX_STEPS = 2_000_000
ASLEEP = 1.5  # times what a first look takes asleep: the clocks' way down and up besides
HOPE = 0.5  # of what decides: with less than that and a commit nothing would be kept ...
MEASURED_HOPE = 1.0  # ... where that was measured


@dataclass(frozen=True)
class Rest:
    """Sleep behind a commit, drawing `watt`, until `share` of a charge is stored. The first look
    at the voltage comes after first_s, the next ones after up to `longer` times as much; each
    costs wake_s of active power, clocks down and up again."""

    watt: float
    share: float
    first_s: float
    longer: int
    wake_s: float


@dataclass(frozen=True, eq=False)
class Guided:
    """Tiles [n] and boundaries [n + 1] in active seconds.

    compute_s: typical; needs_s: what decides, measured or at worst. start_s: boot and restore.
    dirty [n + 1, n + 1]: bytes to write at the second boundary when what was finished at the first
    is in NVM. commit_s: of a commit, its bytes left out. byte_s: of a byte that the core waits
    for, or that goes out in the background, where a burst takes burst_s of the core; None: no
    background. believe: joule that the reading promises for joule above turn-off. measured:
    whether needs_s was.
    """

    compute_s: FloatArray
    needs_s: FloatArray
    start_s: FloatArray
    dirty: FloatArray
    commit_s: FloatArray
    byte_s: float
    record_bytes: int
    believe: Callable[[FloatArray], FloatArray]
    burst_s: float | None = None
    rest: Rest | None = None
    measured: bool = False

    @property
    def last(self) -> int:
        return len(self.compute_s)


@dataclass(eq=False)
class _Runs:
    """State of all starts.

    account: joule at time 0, had the board been on since and the trace gone round. place, kept:
    boundary reached, committed. clean, sent: boundaries whose finished bytes are in NVM now, at
    time `busy`. pending: compute since the commit. look, seen: of the sleep under way, seconds to
    the next look and joule at the last. spends: has looked, does not sleep before the next tile.
    safe: has committed in this charge. vain: the charge before ended behind a tile's commit,
    and no sleep of this one paid. idle: charges without a commit.
    """

    tally: Tally
    now: FloatArray
    account: FloatArray
    dies: FloatArray
    busy: FloatArray
    pending: FloatArray
    look: FloatArray
    seen: FloatArray
    place: IntArray
    kept: IntArray
    clean: IntArray
    sent: IntArray
    idle: IntArray
    active: BoolArray
    on: BoolArray
    asleep: BoolArray
    spends: BoolArray
    safe: BoolArray
    vain: BoolArray

    @classmethod
    def at(cls, begins: FloatArray) -> _Runs:
        n = len(begins)
        now, account, dies, busy = begins.copy(), *(np.zeros(n) for _ in range(3))
        pending, look, seen = (np.zeros(n) for _ in range(3))
        place, kept, clean, sent, idle = (np.zeros(n, np.int64) for _ in range(5))
        on, asleep, spends, safe, vain = (np.zeros(n, np.bool_) for _ in range(5))
        return cls(
            Tally.empty(n), now, account, dies, busy, pending, look, seen, place, kept, clean,
            sent, idle, np.ones(n, np.bool_), on, asleep, spends, safe, vain,
        )  # fmt: skip

    def stored(self, supply: Supply, who: IntArray) -> FloatArray:
        """Joule above turn-off."""
        now = self.now[who]
        joules: FloatArray = self.account[who] - supply.active_w * now + supply.total(now)
        return np.maximum(joules, 0.0)

    def feed(self, supply: Supply, who: IntArray, now: FloatArray, stored: FloatArray) -> None:
        """Draws active power from `now` on."""
        self.now[who] = now
        self.account[who] = stored + supply.active_w * now - supply.total(now)
        self.dies[who] = now + supply.life(now, stored)

    def spend(self, who: IntArray, seconds: FloatArray) -> BoolArray:
        """Which of `who` live through so many active seconds; the others are off."""
        made: BoolArray = self.now[who] + seconds <= self.dies[who]
        self.fail(who[~made])
        self.now[who[made]] += seconds[made]
        return made

    def fail(self, who: IntArray) -> None:
        """The power is gone: what was not committed is lost."""
        self.tally.wasted_s[who] += self.pending[who] + self.dies[who] - self.now[who]
        self.now[who] = self.dies[who]
        self.pending[who] = 0.0
        for flag in (self.on, self.asleep, self.spends, self.safe):
            flag[who] = False
        self.idle[who] += 1
        stuck = who[self.idle[who] >= LIVELOCK]
        self.tally.time_s[stuck] = np.inf
        self.active[stuck] = False


def follow_voltage(ours: Guided, supply: Supply, begins: FloatArray) -> Tally:
    """Runs until every start has finished or stands still."""
    runs = _Runs.at(begins)
    for _ in range(MAX_STEPS):
        if not runs.active.any():
            break
        _turn_on(ours, supply, runs, np.flatnonzero(runs.active & ~runs.on))
        if ours.rest is not None:
            sleepers = np.flatnonzero(runs.active & runs.on & runs.asleep)
            _sleep(ours, ours.rest, supply, runs, sleepers)
        _step(ours, supply, runs, np.flatnonzero(runs.active & runs.on & ~runs.asleep))
    runs.tally.time_s[runs.active] = np.inf
    runs.tally.time_s -= begins
    return runs.tally


def _turn_on(ours: Guided, supply: Supply, runs: _Runs, who: IntArray) -> None:
    """Recharges, boots and restores."""
    if not who.size:
        return
    full = np.full(who.size, supply.charge_j)
    runs.feed(supply, who, supply.recharged(runs.now[who], full), full)
    place = runs.kept[who]
    runs.place[who] = runs.clean[who] = runs.sent[who] = place
    runs.busy[who] = 0.0
    runs.on[who] = True
    runs.vain[who] = runs.kept[who] > 0
    runs.tally.charges[who] += 1
    start = ours.start_s[place]
    made = runs.spend(who, start)
    runs.tally.start_s[who[made]] += start[made]


def _step(ours: Guided, supply: Supply, runs: _Runs, who: IntArray) -> None:
    """A commit, a tile, the decision to sleep, or to wait for the end."""
    if not who.size:
        return
    landed = who[runs.now[who] >= runs.busy[who]]
    runs.clean[landed] = runs.sent[landed]
    place = runs.place[who]
    stored = runs.stored(supply, who)
    fits = _fits(ours, supply, runs, who, stored)
    moved = place > runs.kept[who]
    commits = moved & (~fits | (place == ours.last))
    sleeps = waits = np.zeros(who.size, np.bool_)
    if ours.rest is not None:
        idles = runs.safe[who] & ~moved & ~fits
        share = MEASURED_HOPE if ours.measured else HOPE
        hope = stored >= _need(ours, runs, who, share) * supply.active_w
        sleeps = idles & ~runs.spends[who] & ~(hope & runs.vain[who])
        waits = idles & runs.spends[who] & ~hope
        tired = who[sleeps]
        runs.asleep[tired] = True
        runs.look[tired], runs.seen[tired] = ours.rest.first_s, stored[sleeps]
    runs.fail(who[waits])
    _commit(ours, runs, who[commits])
    _tile(ours, runs, who[~commits & ~sleeps & ~waits])


def _fits(
    ours: Guided, supply: Supply, runs: _Runs, who: IntArray, stored: FloatArray
) -> BoolArray:
    """Whether the next tile and a commit do; and a first look besides where sleep may pay."""
    need = _need(ours, runs, who) * supply.active_w
    fits: BoolArray = ours.believe(stored) >= need
    if ours.rest is not None:
        look = ASLEEP * ours.rest.first_s * ours.rest.watt
        fits &= (stored >= need + look) | runs.vain[who]
    return fits


def _need(ours: Guided, runs: _Runs, who: IntArray, share: float = 1.0) -> FloatArray:
    """Active seconds of the next tile, by a share of what decides, and of a commit behind it."""
    place = runs.place[who]
    after = np.minimum(place + 1, ours.last)
    commit = ours.commit_s[after] + ours.dirty[runs.clean[who], after] * ours.byte_s
    seconds: FloatArray = commit + share * ours.needs_s[np.minimum(place, ours.last - 1)]
    return seconds


def _commit(ours: Guided, runs: _Runs, who: IntArray) -> None:
    """What is under way, the rest of what is dirty, the record."""
    place, tally = runs.place[who], runs.tally
    size = ours.dirty[runs.sent[who], place]
    left = np.maximum(runs.busy[who] - runs.now[who], 0.0)
    seconds = ours.commit_s[place] + size * ours.byte_s + left
    made = runs.spend(who, seconds)
    who, place = who[made], place[made]
    runs.kept[who] = runs.clean[who] = runs.sent[who] = place
    tally.useful_s[who] += runs.pending[who]
    tally.commit_s[who] += seconds[made]
    tally.commits[who] += 1
    tally.nvm_bytes[who] += size[made] + ours.record_bytes
    runs.pending[who] = 0.0
    runs.safe[who] = True
    runs.idle[who] = 0
    done = who[place == ours.last]
    tally.time_s[done] = runs.now[done]
    runs.active[done] = False


def _tile(ours: Guided, runs: _Runs, who: IntArray) -> None:
    """One tile, and the burst behind it."""
    seconds = ours.compute_s[runs.place[who]]
    made = runs.spend(who, seconds)
    who = who[made]
    runs.pending[who] += seconds[made]
    runs.place[who] += 1
    runs.spends[who] = False
    if ours.burst_s is None:
        return
    who = who[runs.now[who] >= runs.busy[who]]
    size = ours.dirty[runs.sent[who], runs.place[who]]
    who, size = who[size > 0], size[size > 0]
    made = runs.spend(who, np.full(who.size, ours.burst_s))
    who, size = who[made], size[made]
    runs.clean[who] = runs.sent[who]
    runs.sent[who] = runs.place[who]
    runs.tally.commit_s[who] += ours.burst_s
    runs.tally.nvm_bytes[who] += size
    runs.busy[who] = runs.now[who] + size * ours.byte_s


def _sleep(ours: Guided, rest: Rest, supply: Supply, runs: _Runs, who: IntArray) -> None:
    """Asleep to the next look: until enough is stored, all is gone, or it rises no more."""
    if not who.size:
        return
    begin, look = runs.now[who], runs.look[who]
    passed = look + rest.wake_s
    joules = look * rest.watt + rest.wake_s * supply.active_w
    stored = runs.stored(supply, who) + supply.gained(begin, passed) - joules
    stored = np.minimum(stored, supply.charge_j)
    runs.tally.sleep_s[who] += joules / supply.active_w
    runs.feed(supply, who, begin + passed, np.maximum(stored, 0.0))
    runs.fail(who[stored <= 0])
    who, stored, look = who[stored > 0], stored[stored > 0], look[stored > 0]
    goal = rest.share * supply.charge_j
    came, missing = stored - runs.seen[who], np.maximum(goal - stored, 0.0)
    fits = _fits(ours, supply, runs, who, stored)
    charge = supply.charge_j
    more = np.clip(charge - ours.start_s[runs.place[who]] * supply.active_w - stored, 0, charge)
    pays = (came > 0) & (came * (charge - more) > look * rest.watt * more)
    runs.vain[who] &= ~pays
    runs.asleep[who] = pays & ~(fits & (stored >= goal))
    runs.spends[who] = ~runs.asleep[who]
    runs.seen[who] = stored
    longer = (came <= missing / 2) & (look < rest.longer * rest.first_s)
    shorter = (came > missing) & (look > rest.first_s)
    runs.look[who] = np.where(longer, 2 * look, np.where(shorter, look / 2, look))
