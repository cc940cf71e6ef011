"""Harvest traces: exact integrals, and one line for each bad file.

SECURITY H1.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.errors import TraceError
from relume.power.trace import Trace, constant, load_trace, parse_power

from tests.shared import shared_file


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    steps = draw(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=8))
    watts = draw(
        st.lists(st.one_of(st.just(0.0), st.floats(1e-4, 0.1)), min_size=len(steps),
                 max_size=len(steps))
    )  # fmt: skip
    return Trace.make("drawn", np.concatenate(([0.0], np.cumsum(steps))), np.array(watts))


TIMES = st.floats(0.0, 30.0)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(traces(), TIMES, TIMES, TIMES)
def test_energy_is_additive_and_never_negative(
    trace: Trace, first: float, second: float, third: float
) -> None:
    a, b, c = sorted((first, second, third))
    assert trace.energy(a, b) >= -1e-12
    assert trace.energy(a, c) == pytest.approx(trace.energy(a, b) + trace.energy(b, c), abs=1e-9)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(traces(), st.floats(0.0, 10.0), st.floats(0.0, 10.0))
def test_energy_is_the_integral_of_the_power(trace: Trace, start: float, span: float) -> None:
    edges = {start, start + span}
    for turn in range(int((start + span) / trace.period) + 1):
        edges |= {t for t in turn * trace.period + trace.times if start < t < start + span}
    points = sorted(edges)
    total = sum(trace.power_at((a + b) / 2) * (b - a) for a, b in itertools.pairwise(points))
    assert trace.energy(start, start + span) == pytest.approx(total, rel=1e-6, abs=1e-6)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(traces(), TIMES, st.floats(1e-6, 1.0))
def test_time_to_gain_is_the_least_time_in_which_the_energy_comes(
    trace: Trace, start: float, joules: float
) -> None:
    wait = trace.time_to_gain(start, joules)
    if trace.joules[-1] == 0:
        assert wait == math.inf
        return
    assert trace.energy(start, start + wait) == pytest.approx(joules, rel=1e-6, abs=1e-9)
    earlier = max(0.0, wait - 1e-4 * (1 + wait))
    assert trace.energy(start, start + earlier) < joules or wait == 0
    assert trace.time_to_gain(start, 0.0) == 0.0


def test_constant_power_charges_in_closed_form() -> None:
    trace = load_trace("10mW")
    assert trace.time_to_gain(3.7, 0.5) == pytest.approx(50.0)
    assert trace.energy(1.25, 7.75) == pytest.approx(0.065)
    assert trace.power_at(1e6) == pytest.approx(0.01)
    assert constant(0.0).time_to_gain(0.0, 1.0) == math.inf


def test_scaling_multiplies_power_and_shows_in_the_name() -> None:
    trace = load_trace("2 mW", scale=20)
    assert trace.power_at(0) == pytest.approx(0.04) and trace.name.endswith("x20")
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(TraceError, match="scale"):
            load_trace("2mW", scale=bad)


def test_powers_are_read_with_their_prefix() -> None:
    watts = [parse_power(t) for t in ("10mW", "500 uW", "1W", "3 µW", "7nW")]
    assert watts == pytest.approx([0.01, 5e-4, 1.0, 3e-6, 7e-9])
    with pytest.raises(TraceError, match="10mW"):
        parse_power("10")


def _written(folder: Path, text: str) -> Path:
    path = folder / "trace.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    ["0,0.001\n1,0.002\n2,0.003\n", "# recorded\ntime_s,power_w\n10,0.001\n11,0.002\n12,0.003\n",
     "power mW; time ms\n".replace(";", ",") + "1,0\n2,1000\n3,2000\n"],
)  # fmt: skip
def test_csv_columns_are_found_by_place_or_by_name(tmp_path: Path, text: str) -> None:
    trace = load_trace(_written(tmp_path, text))
    assert [trace.power_at(t) for t in (0.5, 1.5, 2.5, 3.5)] == pytest.approx(
        [0.001, 0.002, 0.003, 0.001]
    )
    assert trace.period == pytest.approx(3.0)


def test_rf_rows_are_volts_over_30_kiloohm_and_gaps_harvest_nothing(tmp_path: Path) -> None:
    path = _written(tmp_path, "1000\t3.0\n1001\t6.0\n1011\t3.0\n")
    trace = load_trace(path)
    assert trace.power_at(0.0005) == pytest.approx(9 / 30000)
    assert trace.power_at(0.0015) == pytest.approx(36 / 30000)
    assert trace.power_at(0.005) == 0.0
    assert trace.energy(0, trace.period) == pytest.approx((9 + 36 + 9) / 30000 * 1e-3)


def test_one_sample_stamped_ahead_is_dropped(tmp_path: Path) -> None:
    trace = load_trace(_written(tmp_path, "10\t3.0\n11\t3.0\n1012\t9.0\n13\t3.0\n"))
    assert trace.period == pytest.approx(0.004)
    assert set(trace.watts) == {9 / 30000}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0,1\n1,x\n", ":2: power 'x' is not a number"),
        ("0,1\n1\n", ":2: 1 columns"),
        ("0,1\n1,-2\n", ":2: power -2.0 is negative"),
        ("0,1\n0,1\n", ":2: time does not rise"),
        ("0,1\nnan,1\n", ":2: time 'nan' is not a number"),
        ("volts,amps\n0,1\n", ":1: no column named time"),
        ("0,1\n", "1 samples"),
        ("", "0 samples"),
        ("1\t1.0\n2\t1.0\t3\n", ":2: not milliseconds<TAB>volts"),
        ("5\t1.0\n5\t1.0\n", ":2: time does not rise"),
        ("5\t1.0\n6\t1.0\n9\t1.0\n3\t1.0\n", ":4: time does not rise"),
    ],
)
def test_bad_traces_are_refused_with_their_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(TraceError) as refusal:
        load_trace(_written(tmp_path, text))
    assert line in str(refusal.value) and "trace.txt" in str(refusal.value)


def test_an_absent_or_binary_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.csv: No such file"):
        load_trace(tmp_path / "none.csv")
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00\x01" * 100)
    with pytest.raises(TraceError, match="not a text file"):
        load_trace(path)


@pytest.mark.parametrize(("number", "microwatt"), [(1, 153), (2, 189), (3, 93)])
def test_the_recorded_traces_have_their_known_mean_power(number: int, microwatt: int) -> None:
    trace = load_trace(shared_file(f"traces/mementos_rf_{number}.txt"))
    # The published mean is over samples; gaps, in which nothing is harvested, lower ours a little.
    samples = trace.watts[trace.watts > 0]
    assert float(np.mean(samples)) * 1e6 == pytest.approx(microwatt, rel=0.02)
    assert 0 < trace.mean_w * 1e6 <= microwatt * 1.01
