"""Capacitor and harvest for many starts at once: arrays of times in, arrays of times out.

The board draws its active power whenever it is on, so energy is told in seconds of it. The harvest
stays below that power: the stored energy then only falls while the board runs, it never exceeds
what turn-on leaves, and both integrals of the trace can be inverted exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relume.errors import TraceError
from relume.power.trace import Trace

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
SCAN = 256  # points of a trace looked at in one go while the board sleeps


@dataclass(frozen=True, eq=False)
class Supply:
    """trace; active_w: what a running board draws; charge_j: between turn-on and turn-off."""

    trace: Trace
    active_w: float
    charge_j: float

    def __post_init__(self) -> None:
        if self.peak_w >= self.active_w:
            raise TraceError(
                f"{self.trace.name}: up to {self.peak_w * 1e3:.3g} mW come in and the board draws "
                f"{self.active_w * 1e3:.3g} mW: its power would not fail, use a smaller --scale"
            )
        if not self.trace.joules[-1] > 0:
            raise TraceError(f"{self.trace.name}: nothing is harvested, no board would turn on")

    @property
    def peak_w(self) -> float:
        """The most that comes in."""
        return float(self.trace.watts.max())

    @property
    def charge_s(self) -> float:
        """Active seconds of one charge, harvest not counted."""
        return self.charge_j / self.active_w

    def total(self, t: FloatArray) -> FloatArray:
        """Joule harvested from time 0 to each t."""
        rounds = np.floor(t / self.trace.period)
        rest = t - rounds * self.trace.period
        inside: FloatArray = np.interp(rest, self.trace.times, self.trace.joules)
        whole: FloatArray = inside + rounds * float(self.trace.joules[-1])
        return whole

    def gained(self, t: FloatArray, seconds: FloatArray) -> FloatArray:
        """Joule harvested in the seconds after each t."""
        return self.total(t + seconds) - self.total(t)

    def when(self, joules: FloatArray) -> FloatArray:
        """Time at which so much has been harvested since time 0."""
        return _invert(joules, self.trace.joules, self.trace.times)

    def recharged(self, t: FloatArray, joules: FloatArray) -> FloatArray:
        """Time at which `joules` more have come in than at t, nothing drawn meanwhile."""
        return np.where(joules > 0, np.maximum(self.when(self.total(t) + joules), t), t)

    def life(self, t: FloatArray, joules: FloatArray) -> FloatArray:
        """Active seconds from t until `joules` have gone out of the capacitor."""
        spent = self.active_w * self.trace.times - self.trace.joules
        before = self.active_w * t - self.total(t)
        return _invert(before + np.maximum(joules, 0.0), spent, self.trace.times) - t

    def sleep(
        self, t: float, stored_j: float, wake_j: float, sleep_w: float
    ) -> tuple[float, bool]:
        """(time, awake): asleep from t with stored_j above turn-off until wake_j or nothing."""
        trace = self.trace
        rounds, rest = divmod(t, trace.period)
        index = min(
            int(np.searchsorted(trace.times, rest, side="right")) - 1, len(trace.watts) - 1
        )
        while True:
            edges = trace.times[index : index + SCAN + 1].copy()
            edges[0] = rest
            flows = trace.watts[index : index + SCAN] - sleep_w
            levels = stored_j + np.cumsum(np.diff(edges) * flows)
            over = np.flatnonzero((levels <= 0) | (levels >= wake_j))
            if over.size:
                at = int(over[0])
                awake = bool(levels[at] >= wake_j)
                back = (levels[at] - (wake_j if awake else 0.0)) / flows[at]
                return rounds * trace.period + float(edges[at + 1] - back), awake
            stored_j = float(levels[-1])
            index += len(flows)
            rest = float(edges[-1])
            if index >= len(trace.watts):
                rounds, index, rest = rounds + 1, 0, 0.0


def _invert(values: FloatArray, known: FloatArray, times: FloatArray) -> FloatArray:
    """Times at which a piecewise linear, rising and repeating integral takes values."""
    rounds = np.floor(values / known[-1])
    inside: FloatArray = np.interp(values - rounds * known[-1], known, times)
    found: FloatArray = inside + rounds * float(times[-1])
    return found
