"""`relume calibrate`: rows that hold for what was measured, and the profile that carries them."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.bench.calibration import OpCost, Run, figures_of, fitted, planned, under
from relume.bench.on_board import PLUGGED
from relume.board.corrected import Correction, corrected_toml
from relume.board.profile import BoardProfile, Measured, load_board
from relume.cli import main
from relume.commands.calibrate import volts_error
from relume.errors import BoardError, RelumeError
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import make_plan

from tests.unit.tflite_nets import small_net

BOARD = load_board("RPI_PICO")
ROWS = ("m0plus.CONV_2D", "m0plus.DEPTHWISE_CONV_2D", "portable.SOFTMAX", "m0plus.ADD")

cycles = st.floats(1.0, 1e8, allow_nan=False)
costs = st.builds(
    lambda row, *one: OpCost("net", 0, row, one[0], one[1], one[0], *one[2:]),
    st.sampled_from(ROWS), cycles, cycles, cycles, st.sampled_from([0.0, 20_000.0]),
)  # fmt: skip
runs = st.lists(costs, min_size=1, max_size=8).map(lambda ops: Run(tuple(ops), 1, None))


def applied(rows: list[tuple[str, tuple[float, float, float]]]) -> BoardProfile:
    """BOARD with these rows."""
    slow, fast = dict(BOARD.cycles), dict(BOARD.fast_cycles["m0plus"])
    for name, figures in rows:
        core, _, kind = name.partition(".")
        (slow if core == "portable" else fast)[kind] = figures
    return replace(BOARD, cycles=slow, fast_cycles={"m0plus": fast})


@settings(deadline=None)
@given(runs, st.floats(0.0, 2.0), st.booleans())
def test_no_row_is_below_a_measurement_and_the_margin(
    run: Run, margin: float, lower: bool
) -> None:
    rows = fitted(run, BOARD, margin, lower)
    after = under(run, BOARD, applied([(row.name, row.figures) for row in rows]))
    for cost in after.ops:
        assert cost.counted * (1 + margin) <= cost.worst * (1 + 1e-9)


@settings(deadline=None)
@given(runs, st.floats(0.0, 2.0))
def test_no_row_is_lowered_unasked(run: Run, margin: float) -> None:
    for row in fitted(run, BOARD, margin):
        old = figures_of(BOARD, row.name)
        assert row.factor >= 1 and not row.typical
        assert all(new >= was for new, was in zip(row.figures, old, strict=True))
        assert row.figures == old or row.factor > 1


def test_a_lowered_row_is_called_typical() -> None:
    run = Run((OpCost("net", 0, "m0plus.CONV_2D", 1000.0, 0.0, 600.0, 400.0),), 1, None)
    (row,) = fitted(run, BOARD, 0.1, lower=True)
    assert row.typical and row.factor == pytest.approx(0.44) and row.share == 0.4
    assert row.figures == (0.462, 15.84, 660.0)


def test_what_the_plan_counts_with_a_commit_raises_no_row_and_lowers_none() -> None:
    once = OpCost("net", 0, "m0plus.CONV_2D", 1000.0, 0.0, 600.0, 20_400.0, 20_000.0)
    (row,) = fitted(Run((once,), 1, None), BOARD, 0.1, lower=True)
    assert row.factor == 1 and row.share == 0.4


def test_a_row_that_is_too_low_is_raised() -> None:
    """The negative control: half of the board's own row, measured as the board takes it."""
    plan = make_plan(read_tflite(small_net()), BOARD, PLUGGED)
    right = planned(plan, BOARD, [0.0] * len(plan.graph.ops))
    measured = [0.9 * cost.worst + cost.once for cost in right]
    halved = applied(
        [(row, tuple(figure / 2 for figure in figures_of(BOARD, row)))  # type: ignore[misc]
         for row in {cost.row for cost in right}]
    )  # fmt: skip
    run = Run(tuple(planned(plan, halved, measured)), 1, None)
    assert any(cost.measured > cost.worst for cost in run.ops)
    for row in fitted(run, halved):
        assert row.factor > 1.5
    kept = Run(tuple(planned(plan, BOARD, measured)), 1, None)
    assert all(row.factor == 1 for row in fitted(kept, BOARD))


def test_what_the_plan_counts_with_is_what_its_segments_hold() -> None:
    plan = make_plan(read_tflite(small_net()), BOARD, PLUGGED)
    found = planned(plan, BOARD, np.zeros(len(plan.graph.ops)).tolist())
    assert sum(cost.worst for cost in found) == pytest.approx(plan.worst_cycles, rel=0.02)


MEASURED = Measured("2026-01-02", "firmware 0.1.0", "emulated board", ("m0plus.CONV_2D",))


def written(path: Path, measured: Measured = MEASURED) -> Path:
    rows = [Correction("m0plus", "CONV_2D", (0.5, 17.0, 700.0), "typical"),
            Correction("portable", "PAD", (200.0, 40.0, 800.0), "RAISED")]  # fmt: skip
    path.write_text(corrected_toml(BOARD, rows, measured, ["one", 'two "quoted"']))
    return path


def test_the_profile_is_the_boards_own_with_the_rows_replaced(tmp_path: Path) -> None:
    profile = load_board(str(written(tmp_path / "mine.toml")))
    expected = applied([("m0plus.CONV_2D", (0.5, 17.0, 700.0)), ("portable.PAD", (200, 40, 800))])
    assert replace(profile, measured=None, estimates={}) == replace(expected, estimates={})
    assert profile.measured == MEASURED


def test_plan_takes_the_profile_and_says_whose_figures_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "small.tflite"
    net.write_bytes(small_net())
    path = written(tmp_path / "mine.toml")
    out = str(tmp_path / "small.rlm")
    assert main(["plan", str(net), "--board", str(path), "--cap", "1mF", "-o", out]) == 0
    shown = capsys.readouterr().out
    assert (
        "profile   corrected by measurements of 2026-01-02 on the emulated board, firmware 0.1.0;"
        " typical, no worst case: m0plus.CONV_2D"
    ) in shown


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('date = "2026-01-02"', "date = 3", "measured.date: not a text"),
        ('["m0plus.CONV_2D"]', '["m0plus.SOUP"]', "measured.typical: m0plus.SOUP: no such row"),
        ('["m0plus.CONV_2D"]', '"x"', "measured.typical: not a list of texts"),
        ('["m0plus.CONV_2D"]', "[]\nweather = 1", "measured.weather: unknown key"),
        ("[0.5, 17.0, 700.0]", "[0.5, 17.0]", "cycles.m0plus.CONV_2D: not three numbers"),
    ],
)
def test_a_damaged_profile_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    path = written(tmp_path / "mine.toml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BoardError) as caught:
        load_board(str(path))
    assert str(caught.value).startswith(f"{path}: {why}")


def test_texts_of_any_kind_stand_in_the_profile(tmp_path: Path) -> None:
    odd = replace(MEASURED, firmware='a "b" \\ \n\u00e9', typical=())
    path = written(tmp_path / "mine.toml", odd)
    assert tomllib.loads(path.read_text())["measured"]["firmware"] == odd.firmware


def test_an_absent_profile_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"none\.toml: No such file"):
        load_board(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(("volts", "off"), [((4.9, 5.0), -0.02), ((4.95, 5.3), 0.06)])
def test_the_worst_reading_counts(volts: tuple[float, float], off: float) -> None:
    assert volts_error(volts, 5.0) == pytest.approx(off)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--margin", "-1"], "--margin -1: give a percentage"),
        (["--margin", "nan"], "--margin nan: give a percentage"),
        (["--volts", "0"], "--volts 0: give the supply's voltage"),
        (["-o", "board.txt"], "board.txt: a profile's name ends in .toml"),
        (["--model", "/nowhere.tflite"], "/nowhere.tflite"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    options: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "-p", "socket://127.0.0.1:1", *options]) == 1
    assert why in capsys.readouterr().err


def test_a_profile_that_does_not_hold_is_not_given_out(tmp_path: Path) -> None:
    from relume.commands.calibrate import _prove

    run = Run((OpCost("net", 2, "m0plus.CONV_2D", 1000.0, 0.0, 600.0, 480.0),), 1, None)
    path = written(tmp_path / "mine.toml")  # 0.47 of the board's own row
    _prove(path, replace(run, ops=(replace(run.ops[0], measured=400.0),)), BOARD, 0.1)
    with pytest.raises(RelumeError, match="op 2 of net took 480 cycles, the row gives 46"):
        _prove(path, run, BOARD, 0.0)
