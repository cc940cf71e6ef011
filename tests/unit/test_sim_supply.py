"""The capacitor of the simulator: exact against published formulas and a walk in small steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.errors import TraceError
from relume.power.capacitor import Budget
from relume.power.trace import Trace, constant
from relume.sim.supply import Supply

from tests.unit.sim_nets import rf_trace

WATT = 0.0825


@pytest.mark.parametrize(
    ("cap_f", "von", "voff", "mj", "ms"),
    [
        (100e-6, 3.3, 2.0, 0.34, 4), (100e-6, 5.0, 1.8, 1.09, 13), (470e-6, 3.3, 2.0, 1.62, 20),
        (470e-6, 5.0, 1.8, 5.11, 62), (1e-3, 3.3, 2.0, 3.44, 42), (1e-3, 5.0, 1.8, 10.9, 132),
        (5e-3, 5.0, 1.8, 54.4, 659), (15e-3, 5.0, 1.8, 163, 1978),
    ],
)  # fmt: skip
def test_a_charge_lasts_as_long_as_the_published_table_says(
    cap_f: float, von: float, voff: float, mj: float, ms: float
) -> None:
    budget = Budget(cap_f, von, voff)
    supply = Supply(constant(1e-9), WATT, budget.charge_uj * 1e-6)
    assert budget.charge_uj * 1e-3 == pytest.approx(mj, rel=0.015)
    life = supply.life(np.zeros(1), np.full(1, supply.charge_j))
    assert life[0] * 1e3 == pytest.approx(ms, rel=0.02, abs=0.5)


def test_recharging_through_a_resistance_takes_the_published_time() -> None:
    """iNAS: 5 mF from what a power cycle leaves to 2.99 V, 3.0 V behind 1000 ohm."""
    ohm, cap_f, source, von, voff = 1000.0, 5e-3, 3.0, 2.99, 2.8
    available, cycle = 0.5 * cap_f * (von**2 - voff**2), 1.5e-3
    left = math.sqrt(2 * (available - cycle) / cap_f + voff**2)
    seconds = -ohm * cap_f * math.log((von - source) / (left - source))
    times = np.linspace(0.0, 40.0, 400_001)
    volts = source + (left - source) * np.exp(-times / (ohm * cap_f))
    middle = (volts[1:] + volts[:-1]) / 2
    trace = Trace.make("rc", times, middle * (source - middle) / ohm)
    got = Supply(trace, WATT, available).recharged(np.zeros(1), np.full(1, cycle))
    assert got[0] == pytest.approx(seconds, rel=1e-4)


@given(st.integers(0, 50), st.floats(0.0, 60.0), st.floats(1e-5, 5e-3))
@settings(max_examples=40, deadline=None)
def test_life_ends_when_the_charge_and_the_harvest_are_drawn(
    seed: int, begin: float, joules: float
) -> None:
    supply = Supply(rf_trace(seed), WATT, joules)
    t = np.array([begin])
    life = supply.life(t, np.array([joules]))
    gained = supply.trace.energy(begin, begin + float(life[0]))
    assert WATT * life[0] == pytest.approx(joules + gained, rel=1e-6)
    on = supply.recharged(t, np.array([joules]))
    assert supply.trace.energy(begin, float(on[0])) == pytest.approx(joules, rel=1e-6)


@given(st.integers(0, 50), st.floats(0.0, 60.0), st.floats(1e-5, 1e-3), st.floats(0.001, 0.02))
@settings(max_examples=40, deadline=None)
def test_sleep_ends_at_the_first_crossing(
    seed: int, begin: float, joules: float, sleep_w: float
) -> None:
    supply = Supply(rf_trace(seed), WATT, 1e-2)
    end, awake = supply.sleep(begin, joules, 2 * joules, sleep_w)
    trace = supply.trace
    points = np.linspace(begin, end, 50)
    levels = [joules + trace.energy(begin, t) - sleep_w * (t - begin) for t in points]
    assert levels[-1] == pytest.approx(2 * joules if awake else 0.0, abs=1e-9)
    assert all(-1e-9 <= level <= 2 * joules + 1e-9 for level in levels)


def test_a_harvest_that_feeds_the_board_is_refused() -> None:
    with pytest.raises(TraceError, match="its power would not fail"):
        Supply(constant(0.1), WATT, 1e-2)


def test_no_harvest_is_refused() -> None:
    with pytest.raises(TraceError, match="nothing is harvested"):
        Supply(constant(0.0), WATT, 1e-2)
