"""Whether a charge carries the interpreter's start (early.c): by the voltage's fall, not the plan.

SECURITY R1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import early
from tests.unit import test_early_link
from tests.unit.plan_nets import RandomNet
from tests.unit.test_early_link import LEFT, NOTHING, START_US, VOFF, VON

ACTIVE_W, SLEEP_W = 82.5e-3, 5.8e-3
STEP_MV = 3 * 3300 / 4096  # of VSYS / 3 at the ADC
READ_US = 25


@dataclass
class Charge:
    """A capacitor that the board empties, whatever its plan believes. Joule."""

    cap_f: float
    harvest_w: float = 0.0
    volts: float = VON
    later_w: dict[int, float] = field(default_factory=dict)
    """The harvest from a number of sleeps on."""

    def __post_init__(self) -> None:
        self.joules = self.cap_f * self.volts**2 / 2
        self.us = self.rests = 0

    @property
    def left_j(self) -> float:
        """Above turn-off."""
        return self.joules - self.cap_f * VOFF**2 / 2

    def micros(self) -> int:
        self.us += READ_US
        self._pass(READ_US * 1e-6, ACTIVE_W)
        return self.us

    def millivolts(self) -> int:
        millivolts = math.sqrt(max(0.0, 2 * self.joules / self.cap_f)) * 1e3
        return int(int(millivolts / STEP_MV) * STEP_MV)

    def asleep(self, ms: int) -> None:
        self.rests += 1
        self.harvest_w = self.later_w.get(self.rests, self.harvest_w)
        self._pass(ms * 1e-3, SLEEP_W)

    def _pass(self, seconds: float, watts: float) -> None:
        self.joules += (self.harvest_w - watts) * seconds
        self.joules = min(self.joules, self.cap_f * 5.5**2 / 2)


def turned_on(charge: Charge, waits: int = 2) -> int:
    """What the first turn-on of a board without an inference ends with; its plan is for 1 mF."""
    bench = test_early_link.Bench(RandomNet(3).graph(5))
    return bench.run(iter(()), charge, waits)


@pytest.mark.parametrize("cap_f", [2.2e-3, 10e-3, 1.0])
def test_a_larger_capacitor_than_the_plans_starts_the_interpreter(cap_f: float) -> None:
    assert cap_f * (VON**2 - VOFF**2) / 2 > ACTIVE_W * START_US * 1e-6
    assert turned_on(Charge(cap_f)) == NOTHING


@pytest.mark.parametrize("cap_f", [47e-6, 220e-6, 1e-3])
def test_a_charge_that_does_not_carry_the_start_is_not_spent_on_it(cap_f: float) -> None:
    charge = Charge(cap_f)
    full = charge.left_j
    assert turned_on(charge) == LEFT
    asleep = charge.rests * early.LOOK_MS * 1e-3 * SLEEP_W
    assert full - charge.left_j - asleep < full / 20


def test_a_harvest_that_feeds_the_start_counts() -> None:
    assert turned_on(Charge(220e-6, 80e-3)) == NOTHING


def test_a_harvest_that_comes_later_is_seen() -> None:
    charge = Charge(1e-3, later_w={20: 100e-3})
    assert turned_on(charge, 1000) == LEFT
    assert 20 < charge.rests < 100  # nobody asked: it is the board's own decision


@settings(deadline=None, max_examples=60)
@given(
    st.floats(100e-6, 20e-3), st.floats(0, 60e-3), st.floats(2.5, 5.5)
)  # fmt: skip
def test_the_start_is_tried_where_it_fits_and_only_there(
    cap_f: float, harvest_w: float, volts: float
) -> None:
    charge = Charge(cap_f, harvest_w, volts)
    need = (ACTIVE_W - harvest_w) * START_US * 1e-6
    if charge.left_j > 1.5 * need:
        assert turned_on(charge, 1) == NOTHING
    elif turned_on(charge, 1) == NOTHING:
        assert charge.left_j > need
