"""The bound that no policy passes: it knows the harvest, commits and restores for nothing.

Energy is a common account: whatever is consumed, the harvest pays, and turn-on n + 1 happens when
the harvest has paid a full charge beyond all that was consumed before. So the state behind n
charges is one number, the energy c consumed so far, and what can be reached is an interval: above
n boots, up to what running until the power fails consumes (a later turn-on never dies earlier).
The least n whose last charge can finish is taken, with the least c that lets it (it switches off
early, so that the last charge is used up): a dynamic program over work and capacitor, in closed
form.

A policy that sleeps instead of switching off may save boots. Asleep for Z seconds it draws
sleep_w Z and gains at most peak Z; with k charges Z is at least what k charges do not hold, and
the harvest must have paid k boots, the work and the sleep. The least of these times is a bound
too.
"""

from __future__ import annotations

import numpy as np

from relume.sim.route import LIVELOCK, MAX_CHARGES, Tally
from relume.sim.supply import BoolArray, FloatArray, Supply

HALVINGS = 50


def follow_oracle(
    work_s: float, boot_s: float, supply: Supply, begins: FloatArray, sleep_w: float
) -> Tally:
    """work_s: compute alone; boot_s: the least that a turn-on costs, in active seconds."""
    n, watt = len(begins), supply.active_w
    tally, paid = Tally.empty(n), supply.total(begins) + supply.charge_j
    most = np.zeros(n)  # c after running k charges until the power fails
    tally.time_s[:] = np.inf
    active = np.ones(n, np.bool_)
    for k in range(1, MAX_CHARGES):
        need = (k * boot_s + work_s) * watt
        reach = _reach(supply, paid, most)
        ends = active & (reach >= need)
        if ends.any():
            used = _least(supply, paid[ends], (k - 1) * boot_s * watt, most[ends], need)
            tally.time_s[ends] = supply.when(paid[ends] + used) + (need - used) / watt
            tally.charges[ends] = k
        active &= ~ends
        gain = reach - most
        if not active.any() or (k >= LIVELOCK and not (gain > boot_s * watt)[active].any()):
            break
        most = np.where(active, reach, most)
    tally.start_s = tally.charges * boot_s
    tally.useful_s = np.where(tally.charges > 0, work_s, 0.0)
    tally.commits = np.maximum(tally.charges - 1, 0.0)
    if supply.peak_w > sleep_w:
        _asleep(work_s, boot_s, supply, paid, tally, sleep_w)
    tally.time_s -= begins
    return tally


def _reach(supply: Supply, paid: FloatArray, used: FloatArray) -> FloatArray:
    """Consumed at the end of a charge that began when `used` had been."""
    on = supply.when(paid + used)
    ends: FloatArray = used + supply.active_w * supply.life(on, np.full(len(on), supply.charge_j))
    return ends


def _least(
    supply: Supply, paid: FloatArray, least: float, most: FloatArray, need: float
) -> FloatArray:
    """The least consumption before the last charge with which that one suffices."""
    low, high = np.minimum(least, most), most
    good: BoolArray = _reach(supply, paid, low) >= need
    high = np.where(good, low, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        good = _reach(supply, paid, middle) >= need
        low, high = np.where(good, low, middle), np.where(good, middle, high)
    return high


def _asleep(
    work_s: float, boot_s: float, supply: Supply, paid: FloatArray, tally: Tally, sleep_w: float
) -> None:
    """Lowers the time to what sleeping might reach."""
    watt, peak = supply.active_w, supply.peak_w
    first = supply.when(paid)
    before = paid - supply.charge_j
    for k in range(1, int(tally.charges.max()) + 1):
        need = (k * boot_s + work_s) * watt
        lack = need * (1 - peak / watt) - k * supply.charge_j
        asleep = max(0.0, lack) / (peak - sleep_w)
        time = supply.when(before + need + sleep_w * asleep)
        time = np.maximum(time, first + need / watt + asleep)
        tally.time_s = np.where(k <= tally.charges, np.minimum(tally.time_s, time), tally.time_s)
