"""Harvest traces: how much power comes in at what time.

A trace is constant between its points, so every integral is exact. Sources: a constant ("10mW"), a
CSV of seconds and watts, or the recorded RF traces (rows of milliseconds and volts over 30 kOhm,
power = V^2 / 30000, with gaps where the recorder dropped samples). A trace that is not a constant
starts again when it has ended.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from relume.errors import TraceError

RF_LOAD_OHM = 30_000.0
GAP_S = 0.002  # an RF sample stands for at most this long; in a longer gap nothing is harvested
MAX_ROWS = 20_000_000
_POWER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([numµμ]?)W", re.IGNORECASE)
_FACTOR = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9}
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """Piecewise constant power. times [n + 1] in s, from 0, rising; watts [n]; repeats at the end.

    name says where it comes from, scale included.
    """

    name: str
    times: FloatArray
    watts: FloatArray
    joules: FloatArray  # [n + 1]: energy from 0 to times

    @classmethod
    def make(cls, name: str, times: FloatArray, watts: FloatArray) -> Trace:
        """A trace with its running integral."""
        steps = np.diff(times) * watts
        return cls(name, times, watts, np.concatenate(([0.0], np.cumsum(steps))))

    @property
    def period(self) -> float:
        """Seconds after which the trace repeats."""
        return float(self.times[-1])

    @property
    def mean_w(self) -> float:
        """Mean power, watt."""
        return float(self.joules[-1]) / self.period

    def power_at(self, t: float) -> float:
        """Watt at time t >= 0, seconds."""
        return float(self.watts[self._index(t % self.period)])

    def energy(self, t0: float, t1: float) -> float:
        """Joule harvested in [t0, t1], exact."""
        return self._total(t1) - self._total(t0)

    def time_to_gain(self, t0: float, joules: float) -> float:
        """Least seconds after t0 until `joules` have come in; inf if they never do."""
        if joules <= 0:
            return 0.0
        if self.joules[-1] <= 0:
            return math.inf
        target = self._total(t0) + joules
        rounds = math.floor(target / float(self.joules[-1]))
        rest = target - rounds * float(self.joules[-1])
        if rest <= 0:
            rounds, rest = rounds - 1, float(self.joules[-1])
        index = int(np.searchsorted(self.joules, rest, side="left"))
        index = min(max(index, 1), len(self.watts))
        left = rest - float(self.joules[index - 1])
        at = rounds * self.period + float(self.times[index - 1]) + left / self.watts[index - 1]
        return max(0.0, float(at) - t0)

    def _index(self, t: float) -> int:
        index = int(np.searchsorted(self.times, t, side="right")) - 1
        return min(max(index, 0), len(self.watts) - 1)

    def _total(self, t: float) -> float:
        rounds, rest = divmod(t, self.period)
        index = self._index(rest)
        part = (rest - float(self.times[index])) * float(self.watts[index])
        return rounds * float(self.joules[-1]) + float(self.joules[index]) + part

    def scaled(self, factor: float) -> Trace:
        """The trace with its power multiplied; its name says so."""
        if not (math.isfinite(factor) and factor > 0):
            raise TraceError(f"scale {factor}: must be a positive number")
        if factor == 1:
            return self
        name = f"{self.name} x{factor:g}"
        return Trace(name, self.times, self.watts * factor, self.joules * factor)


def constant(watts: float) -> Trace:
    """Constant power, watt."""
    return Trace.make(f"constant {watts * 1e3:g} mW", np.array([0.0, 1.0]), np.array([watts]))


def parse_power(text: str) -> float:
    """Watt of "10mW", "500 uW", "1W". Errors: TraceError."""
    match = _POWER.fullmatch(text.strip())
    if match is None:
        raise TraceError(f"power {text!r}: write it as 10mW or 500uW")
    return float(match.group(1)) * _FACTOR[match.group(2).lower()]


def load_trace(source: str | Path, scale: float = 1.0) -> Trace:
    """A trace from "10mW" or from a file (CSV or recorded RF). Errors: TraceError with line."""
    if isinstance(source, str) and _POWER.fullmatch(source.strip()):
        return constant(parse_power(source)).scaled(scale)
    path = Path(source)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            first = file.readline()
            file.seek(0)
            times, watts = _read_rf(path, file) if _is_rf(first) else _read_csv(path, file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise TraceError(f"{path}: {reason or error}") from error
    return Trace.make(path.name, times, watts).scaled(scale)


def _is_rf(line: str) -> bool:
    parts = line.strip().split("\t")
    return len(parts) == 2 and parts[0].strip().isdigit()


def _number(path: Path, line: int, text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TraceError(f"{path}:{line}: {what} {text.strip()[:20]!r} is not a number")
    return value


def _read_rf(path: Path, file: Iterable[str]) -> tuple[FloatArray, FloatArray]:
    """Rows milliseconds<TAB>volts; each sample lasts to the next, at most GAP_S.

    The recorder now and then stamped one sample a second ahead: a sample behind which time goes
    back to where it was is dropped.
    """
    stamps: list[float] = []
    volts: list[float] = []
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        parts = text.split("\t")
        if len(parts) != 2:
            raise TraceError(f"{path}:{line}: not milliseconds<TAB>volts")
        stamp = _number(path, line, parts[0], "time") / 1e3
        if len(stamps) > 1 and stamps[-2] < stamp <= stamps[-1]:
            stamps.pop()
            volts.pop()
        if stamps and stamp <= stamps[-1]:
            raise TraceError(f"{path}:{line}: time does not rise")
        stamps.append(stamp)
        volts.append(_number(path, line, parts[1], "voltage"))
    times = np.array(stamps) - stamps[0]
    watts = np.array(volts) ** 2 / RF_LOAD_OHM
    return _with_gaps(np.append(times, times[-1] + 0.001), watts)


def _with_gaps(times: FloatArray, watts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inserts zero power where a sample would stand for more than GAP_S."""
    gaps = np.flatnonzero(np.diff(times) > GAP_S)
    times = np.insert(times, gaps + 1, times[gaps] + GAP_S / 2)
    return times, np.insert(watts, gaps + 1, 0.0)


def _read_csv(path: Path, file: Iterable[str]) -> tuple[FloatArray, FloatArray]:
    """Rows time in s, power in W; a header may name columns and units (ms, mW, uW)."""
    stamps: list[float] = []
    watts: list[float] = []
    columns, factors = (0, 1), (1.0, 1.0)
    for line, row in enumerate(csv.reader(file), 1):
        if not row or row[0].lstrip().startswith("#"):
            continue
        if not stamps and _is_header(row):
            columns, factors = _header(path, line, row)
            continue
        if len(row) <= max(columns):
            raise TraceError(f"{path}:{line}: {len(row)} columns, time and power are needed")
        stamp = _number(path, line, row[columns[0]], "time") * factors[0]
        watt = _number(path, line, row[columns[1]], "power") * factors[1]
        if watt < 0:
            raise TraceError(f"{path}:{line}: power {watt} is negative")
        if stamps and stamp <= stamps[-1]:
            raise TraceError(f"{path}:{line}: time does not rise")
        stamps.append(stamp)
        watts.append(watt)
    if len(stamps) < 2:
        raise TraceError(f"{path}: {len(stamps)} samples, at least 2 are needed")
    times = np.array(stamps) - stamps[0]
    return np.append(times, times[-1] + float(np.median(np.diff(times)))), np.array(watts)


def _is_header(row: list[str]) -> bool:
    try:
        float(row[0])
    except ValueError:
        return True
    return False


def _header(path: Path, line: int, row: list[str]) -> tuple[tuple[int, int], tuple[float, float]]:
    """((time column, power column), (factor to s, factor to W))."""
    names = [name.strip().lower() for name in row]
    found: list[int] = []
    for what, hints in (("time", ("time", "t_", "t", "seconds")), ("power", ("power", "p_", "p"))):
        match = [n for n, name in enumerate(names) if name.startswith(hints)]
        if not match:
            raise TraceError(f"{path}:{line}: no column named {what} in {', '.join(names)[:60]}")
        found.append(match[0])
    time_name, power_name = names[found[0]], names[found[1]]
    to_s = 1e-3 if "ms" in re.split(r"\W|_", time_name) else 1.0
    units = re.split(r"\W|_", power_name)
    to_w = 1e-3 if "mw" in units else 1e-6 if "uw" in units else 1.0
    return (found[0], found[1]), (to_s, to_w)
