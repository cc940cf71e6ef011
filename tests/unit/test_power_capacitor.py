"""Capacitors: what a charge holds, how values are written, the E6 series."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relume.errors import PlanError
from relume.power.capacitor import (
    E6,
    Budget,
    capacitance_for,
    e6_after,
    e6_at_least,
    format_capacitance,
    parse_capacitance,
    parse_voltage,
)


def test_a_charge_is_half_c_times_the_difference_of_squares() -> None:
    assert Budget(1e-3, 5.0, 1.8).charge_uj == pytest.approx(10880.0)
    assert capacitance_for(10880.0, 5.0, 1.8) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("text", "farad"),
    [
        ("1mF", 1e-3), ("470uF", 470e-6), ("2.2mF", 2.2e-3), ("470 µF", 470e-6), (".1F", 0.1),
        ("100nF", 1e-7), ("1000 pf", 1e-9), ("4.7MF", 4.7e-3),
    ],
)  # fmt: skip
def test_capacitances_are_read_as_people_write_them(text: str, farad: float) -> None:
    assert parse_capacitance(text) == pytest.approx(farad)


@pytest.mark.parametrize("text", ["", "1", "1k", "-1mF", "mF", "1e3F", "0uF", "1mF!", "inf F"])
def test_other_capacitances_are_refused(text: str) -> None:
    with pytest.raises(PlanError, match="capacitance"):
        parse_capacitance(text)


def test_voltages_are_read_with_and_without_unit() -> None:
    assert [parse_voltage(t) for t in ("5", "1.8V", "1800mV", " 3.3 v ")] == [5.0, 1.8, 1.8, 3.3]
    with pytest.raises(PlanError, match="voltage"):
        parse_voltage("five")


@pytest.mark.parametrize("values", [(1e-3, 1.8, 5.0), (1e-3, 2.0, 2.0), (0.0, 5.0, 1.8),
                                    (float("nan"), 5.0, 1.8), (5.0, 5.0, 1.8)])  # fmt: skip
def test_budgets_that_hold_no_charge_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(PlanError):
        Budget(*values)


@given(st.floats(1e-9, 1.0))
def test_e6_gives_the_next_value_of_the_series(cap_f: float) -> None:
    value = e6_at_least(cap_f)
    assert value >= cap_f * (1 - 1e-9)
    digits = float(f"{value:.2g}") / 10 ** int(f"{value:e}".split("e")[1])
    assert any(abs(digits - step) < 1e-9 for step in E6)
    below = max((e for e in _series() if e < value * 0.99), default=0.0)
    assert below < cap_f
    assert e6_at_least(value) == value and e6_after(value) > value


def _series() -> list[float]:
    return [float(f"{step}e{decade}") for decade in range(-12, 2) for step in E6]


def test_capacitances_are_written_with_a_prefix() -> None:
    texts = [format_capacitance(c) for c in (2.2e-3, 470e-6, 1.0, 1e-7, 1e-11)]
    assert texts == ["2.2 mF", "470 uF", "1 F", "100 nF", "10 pF"]
