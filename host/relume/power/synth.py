"""Harvest traces made from a seed, so that no recorded data has to travel with the project.

`rf` is a two-state Markov process (a reader near, a reader gone) whose power fades slowly while
on. Its constants were fitted to the statistics of three recorded RF traces of the Mementos project
(1 kHz, 30 kOhm load): mean power 93 to 189 microwatt, on for 42 to 88 % of the time, dwell times
around half a second, power on a log-normal with its autocorrelation near 0.7 to 0.95 at one
second, never above 930 microwatt.
"""

from __future__ import annotations

import numpy as np

STEP_S = 0.010
ON_S, OFF_S = 0.9, 0.45
MEDIAN_W, SIGMA, FADING_S = 150e-6, 0.9, 1.5
PEAK_W, FLOOR_W = 930e-6, 1e-6


def rf(seed: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Times in s, [n], and harvested power in W from each time on, [n]."""
    rng = np.random.default_rng(seed)
    n = max(2, round(seconds / STEP_S))
    on = _dwell(rng, n)
    memory = np.exp(-STEP_S / FADING_S)
    fading = np.empty(n)
    level = rng.standard_normal()
    for k, shock in enumerate(rng.standard_normal(n) * np.sqrt(1 - memory**2)):
        level = memory * level + shock
        fading[k] = level
    watts = np.where(on, MEDIAN_W * np.exp(SIGMA * fading), FLOOR_W)
    return np.arange(n) * STEP_S, np.minimum(watts, PEAK_W)


def _dwell(rng: np.random.Generator, n: int) -> np.ndarray:
    """On or off for each step, exponential dwell times."""
    state = np.zeros(n, dtype=bool)
    at, is_on = 0, True
    while at < n:
        steps = max(1, round(rng.exponential(ON_S if is_on else OFF_S) / STEP_S))
        state[at:at + steps] = is_on
        at, is_on = at + steps, not is_on
    return state
