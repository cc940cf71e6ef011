"""The least and the most that a harvest trace brings in any window of a given length.

Energy over a window of fixed length, as a function of where it begins, is piecewise linear (the
trace is piecewise constant), so its extremes lie where the window begins or ends at a point of the
trace. Real-time calculus calls the two functions of the length supply bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from relume.power.trace import FloatArray, Trace


def least(trace: Trace, seconds: float) -> float:
    """Joule that any window of this length brings at least."""
    return _extreme(trace, seconds, np.min)


def most(trace: Trace, seconds: float) -> float:
    """Joule that a window of this length brings at most."""
    return _extreme(trace, seconds, np.max)


def time_for(trace: Trace, joules: float) -> float:
    """Seconds after which `joules` have come in, wherever one begins; inf if they never do.

    The worst begin is a point of the trace, or its window ends at one.
    """
    if joules <= 0:
        return 0.0
    per_period = float(trace.joules[-1])
    if per_period <= 0:
        return math.inf
    begun = _latest(trace, trace.joules + joules) - trace.times
    back = math.ceil(joules / per_period)  # periods, so that no begin lies before 0
    ends = trace.times + back * trace.period
    ended = ends - _earliest(trace, trace.joules + (back * per_period - joules))
    return float(max(begun.max(), ended.max()))


def longest_charge(trace: Trace, charge_j: float, active_w: float) -> float:
    """Seconds that a full charge lasts at most at this power; inf if the harvest may carry it.

    The least t with charge_j + most(t) = active_w * t: whatever the start, the charge has ended by
    then. Found by iteration from below.
    """
    if trace.mean_w >= active_w:
        return math.inf
    seconds = charge_j / active_w
    while True:
        longer = (charge_j + most(trace, seconds)) / active_w
        if longer <= seconds * (1 + 1e-9):
            return longer
        seconds = longer


def _extreme(trace: Trace, seconds: float, choose: Callable[[FloatArray], float]) -> float:
    rounds, rest = divmod(seconds, trace.period)
    whole = rounds * float(trace.joules[-1])
    if rest == 0:
        return whole
    starts = np.concatenate((trace.times, np.mod(trace.times - rest, trace.period)))
    return whole + float(choose(_total(trace, starts + rest) - _total(trace, starts)))


def _total(trace: Trace, at: FloatArray) -> FloatArray:
    """Joule from 0 to each time of [0, 2 periods)."""
    rounds, rest = np.divmod(at, trace.period)
    total: FloatArray = rounds * trace.joules[-1] + np.interp(rest, trace.times, trace.joules)
    return total


def _latest(trace: Trace, joules: FloatArray) -> FloatArray:
    """The last time at which no more than this has come in since 0."""
    rounds, rest = np.divmod(joules, trace.joules[-1])
    at = np.searchsorted(trace.joules, rest, side="right") - 1
    part: FloatArray = (rest - trace.joules[at]) / trace.watts[at]
    return rounds * trace.period + trace.times[at] + part


def _earliest(trace: Trace, joules: FloatArray) -> FloatArray:
    """The first time at which this has come in since 0."""
    rounds, rest = np.divmod(joules, trace.joules[-1])
    at = np.searchsorted(trace.joules, rest, side="left")
    missing = trace.joules[at] - rest
    power = np.where(missing > 0, trace.watts[np.maximum(at, 1) - 1], 1.0)
    return rounds * trace.period + trace.times[at] - missing / power
