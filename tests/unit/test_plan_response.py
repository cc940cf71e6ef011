"""Deadlines on harvested power: the bounds against brute force, the command, its errors."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.cli import main
from relume.errors import PlanError
from relume.plan.response import Task, schedule
from relume.plan.types import Plan
from relume.power import windows
from relume.power.durations import format_duration, parse_duration
from relume.power.trace import Trace, constant

from tests.unit.plan_nets import random_plan
from tests.unit.tflite_nets import small_net

ACTIVE_W = 0.08

traces = st.lists(
    st.tuples(st.floats(0.01, 3.0), st.floats(0, 0.03)), min_size=1, max_size=8
).map(lambda rows: trace_of(rows))


def trace_of(rows: list[tuple[float, float]]) -> Trace:
    """A trace of (seconds, watt)."""
    times = np.concatenate(([0.0], np.cumsum([row[0] for row in rows])))
    return Trace.make("drawn", times, np.array([row[1] for row in rows]))


@settings(deadline=None, max_examples=60)
@given(traces, st.floats(0, 12), st.floats(0, 10))
def test_no_window_brings_less_or_more(trace: Trace, seconds: float, start: float) -> None:
    got = trace.energy(start, start + seconds)
    slack = 1e-9 * (1 + got)
    assert windows.least(trace, seconds) <= got + slack
    assert windows.most(trace, seconds) >= got - slack


@settings(deadline=None, max_examples=60)
@given(traces, st.floats(0.001, 0.2))
def test_the_bounds_are_reached_somewhere(trace: Trace, seconds: float) -> None:
    starts = np.concatenate((trace.times, np.mod(trace.times - seconds, trace.period)))
    brought = [trace.energy(start, start + seconds) for start in starts]
    assert windows.least(trace, seconds) == pytest.approx(min(brought), abs=1e-12)
    assert windows.most(trace, seconds) == pytest.approx(max(brought), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(traces, st.floats(1e-4, 0.1), st.floats(0, 20))
def test_energy_is_there_in_time(trace: Trace, joules: float, start: float) -> None:
    if trace.mean_w < 1e-4:
        return
    needed = trace.time_to_gain(start, joules)
    assert needed <= windows.time_for(trace, joules) * (1 + 1e-6) + 1e-9


def test_a_dead_harvest_never_brings_anything() -> None:
    assert windows.time_for(constant(0.0), 1e-6) == math.inf
    assert windows.time_for(constant(1e-3), 2e-3) == pytest.approx(2.0)


def lived(trace: Trace, charges: int, start: float, full_j: float, left_j: float) -> float:
    """Seconds until n charges' worth of work is done; a rest below a charge is lost each time."""
    now, stored = start, left_j
    while True:
        on = on_time(trace, now, stored)
        worth = min(charges, math.floor(on * ACTIVE_W / full_j + 1e-9))
        if worth == charges:
            return now + worth * full_j / ACTIVE_W - start
        charges -= worth
        now += on
        now += trace.time_to_gain(now, full_j)
        stored = full_j


def on_time(trace: Trace, start: float, stored_j: float) -> float:
    """Seconds until what is stored and harvested is used up."""
    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        alive = stored_j + trace.energy(start, start + middle) > ACTIVE_W * middle
        low, high = (middle, high) if alive else (low, middle)
    return high


@settings(deadline=None, max_examples=40)
@given(traces, st.floats(0, 9), st.floats(0, 1), st.integers(0, 400))
def test_an_answer_comes_within_its_response_time(
    trace: Trace, start: float, left: float, seed: int
) -> None:
    if trace.mean_w < 1e-3:
        return
    plan = plan_of(seed)
    task = Task(plan, 1e5, 1e5)
    [response] = schedule([task], trace, ACTIVE_W).responses
    charge_j = plan.budget.charge_uj * 1e-6
    took = lived(trace, task.charges, start, charge_j, left * charge_j)
    assert took <= response.response_s * (1 + 1e-6)


def plan_of(seed: int) -> Plan:
    """A plan of a few charges."""
    return random_plan(seed, 6, 1.3)


def test_constant_power_by_hand() -> None:
    """R = 2 E / P + n (E + p t_on) / p with t_on = E / (P - p)."""
    plan = plan_of(1)
    energy, power = plan.budget.charge_uj * 1e-6, 0.002
    demand = energy + power * energy / (ACTIVE_W - power)
    task = Task(plan, 1e4, 1e4)
    result = schedule([task], constant(power), ACTIVE_W)
    expected = 2 * energy / ACTIVE_W + task.charges * demand / power
    assert result.responses[0].response_s == pytest.approx(expected, rel=1e-6)
    assert result.utilisation == pytest.approx(task.charges * demand / 1e4 / power, rel=1e-6)


def test_more_than_the_board_uses_is_not_counted() -> None:
    task = Task(plan_of(1), 1e4, 1e4)
    results = [schedule([task], constant(power), ACTIVE_W) for power in (ACTIVE_W, 9 * ACTIVE_W)]
    assert results[0].responses == results[1].responses


def test_a_model_waits_for_the_others() -> None:
    plan, trace = plan_of(1), constant(0.002)
    alone = schedule([Task(plan, 1e4, 1e3)], trace, ACTIVE_W).responses[0]
    both = schedule([Task(plan, 1e4, 1e4), Task(plan, 1e4, 1e3)], trace, ACTIVE_W)
    first, second = both.responses
    assert first.task.deadline_s < second.task.deadline_s
    assert alone.response_s < first.response_s <= second.response_s


def test_too_little_harvest_is_said() -> None:
    plan = plan_of(1)
    result = schedule([Task(plan, 1.0, 1.0), Task(plan, 1.5, 1.5)], constant(1e-6), ACTIVE_W)
    assert not result.met and result.utilisation > 1
    assert all(math.isinf(one.response_s) for one in result.responses)


def test_models_of_different_capacitors_are_refused() -> None:
    plan = plan_of(1)
    other = replace(plan, budget=replace(plan.budget, cap_f=plan.budget.cap_f * 2))
    with pytest.raises(PlanError, match="one capacitor"):
        schedule([Task(plan, 10, 10), Task(other, 10, 10)], constant(0.01), ACTIVE_W)


@pytest.mark.parametrize(("period", "deadline"), [(1.0, 2.0), (0.0, 0.0), (math.inf, 1.0)])
def test_deadlines_beyond_the_period_are_refused(period: float, deadline: float) -> None:
    with pytest.raises(PlanError, match="deadline"):
        Task(plan_of(1), period, deadline)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20s", 20), ("1.5 min", 90), ("500ms", 0.5), ("2h", 7200), ("3", 3)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0s", "-1s", "5 weeks", "nan", "1e99"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(PlanError, match="write it as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.45, "450 ms"), (12.34, "12.3 s"), (100, "1 min 40 s"), (12000, "3 h 20 min"),
     (math.inf, "never"), (-3, "-3 s")],
)  # fmt: skip
def test_durations_in_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(small_net())
    return path


def test_plan_says_whether_deadlines_hold(net, tmp_path, capsys) -> None:
    arguments = ["plan", str(net), "-o", str(tmp_path / "a.rlm"), "--trace", "2mW", "--json"]
    beside = ["--beside", f"{net}:10min:5min"]
    assert main([*arguments, "--period", "1h", "--deadline", "10min", *beside]) == 0
    tasks = json.loads(capsys.readouterr().out)["schedule"]["tasks"]
    assert [task["deadline_s"] for task in tasks] == [300, 600]
    assert all(task["margin_s"] == task["deadline_s"] - task["response_s"] for task in tasks)


def test_a_missed_deadline_is_refused_with_the_harvest_that_would_do(
    net, tmp_path, capsys
) -> None:
    output = tmp_path / "a.rlm"
    words = ["plan", str(net), "-o", str(output), "--cap", "470uF", "--period", "1s", "--trace"]
    assert main([*words, "2mW"]) == 1
    error = capsys.readouterr().err
    scale = re.search(r"([0-9.]+) times this harvest would do", error)
    assert scale is not None and not output.exists()
    assert main([*words, f"{2 * float(scale.group(1)) * 1.001}mW"]) == 0
    assert main([*words, f"{2 * float(scale.group(1)) * 0.98}mW"]) == 1


def test_the_table_says_it_in_words(net, tmp_path, capsys) -> None:
    words = ["plan", str(net), "-o", str(tmp_path / "a.rlm"), "--trace", "2mW", "--period", "1h"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "answers within" in out and "in use" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--period", "1s"], "--trace"),
        (["--trace", "1mW", "--deadline", "1s"], "--period"),
        (["--trace", "1mW", "--period", "soon"], "write it as"),
        (["--trace", "1mW", "--period", "9s", "--beside", "x.tflite"], "--beside x.tflite"),
        (["--trace", "1mW", "--period", "1s", "--deadline", "2s"], "at most the period"),
    ],
)
def test_errors_are_one_line(net, tmp_path, capsys, options, said) -> None:
    output = tmp_path / "a.rlm"
    assert main(["plan", str(net), "-o", str(output), *options]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not output.exists()


def test_plan_tells_the_latency_on_a_trace(net, tmp_path, capsys) -> None:
    words = ["plan", str(net), "-o", str(tmp_path / "a.rlm"), "--trace", "2mW"]
    assert main([*words, "--json"]) == 0
    times = json.loads(capsys.readouterr().out)["latency"]
    assert 0 < times["p50_s"] <= times["p95_s"] and times["never"] == 0
    assert main(words) == 0
    assert "(p95)" in capsys.readouterr().out


def test_a_supply_that_never_fails_is_not_simulated(net, tmp_path, capsys) -> None:
    assert main(["plan", str(net), "-o", str(tmp_path / "a.rlm"), "--trace", "1W"]) == 0
    assert "not simulated" in capsys.readouterr().out
