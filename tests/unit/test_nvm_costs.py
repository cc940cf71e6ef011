"""What memories cost in a plan: more bytes are never cheaper, and each figure is the formula's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.board.profile import BoardProfile, board_names, load_board
from relume.cli import main
from relume.errors import BoardError
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import RECORD_BYTES, CostModel
from relume.plan.planner import Budget, make_plan, sufficient_capacitor
from relume.power.trace import constant
from relume.sim.latency import latency

from tests.kernels.netgen import random_net

GRAPH = read_tflite(random_net(4))
PICO = load_board("RPI_PICO")
KINDS = ("fram", "fram-i2c", "flash", "file")
PLACES = [
    (name, nvm) for name in board_names() for nvm in KINDS
    if nvm != "flash" or ((flash := load_board(name).flash) is not None and flash.ported)
]  # fmt: skip


def at(hz: int) -> BoardProfile:
    """The Pico with its I2C at that speed."""
    assert PICO.fram_i2c is not None
    return replace(PICO, fram_i2c=replace(PICO.fram_i2c, hz=hz))


@pytest.mark.parametrize(("name", "nvm"), PLACES)
@given(st.integers(0, 20_000), st.integers(0, 20), st.integers(0, 20_000), st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_more_bytes_and_more_ranges_are_never_cheaper(
    name: str, nvm: str, size: int, ranges: int, more: int, others: int
) -> None:
    costs = CostModel(GRAPH, load_board(name), nvm)
    less = costs.commit_uj(float(size), float(ranges), float(size))
    commit = costs.commit_uj(float(size + more), float(ranges + others), float(size + more))
    assert commit >= less > 0
    restore = costs.restore_uj(float(size + more), float(ranges + others))
    assert restore >= costs.restore_uj(float(size), float(ranges))


@given(st.integers(0, 20_000), st.integers(1, 20), st.sampled_from((100_000, 400_000, 1_000_000)))
@settings(deadline=None)
def test_i2c_takes_nine_bits_a_byte_and_forty_an_access(size: int, ranges: int, hz: int) -> None:
    board = at(hz)
    assert board.fram_i2c is not None
    bits = 9 * size + 40 * ranges
    seconds = bits * (1 / hz + 120e-9)
    assert board.fram_i2c.seconds(size, ranges) == pytest.approx(seconds)
    power = board.energy.active_mw + 0.66 + 9.9
    calls = ranges * board.store.access / board.hz * board.energy.active_mw
    costs = CostModel(GRAPH, board, "fram-i2c")
    assert costs.transfer_uj(float(size), float(ranges)) == pytest.approx(
        (seconds * power + calls) * 1e3
    )


def test_a_commit_on_i2c_is_its_data_its_record_and_the_record_read_back() -> None:
    costs = CostModel(GRAPH, PICO, "fram-i2c")
    fixed = costs.commit_uj(0.0, 0.0, 0.0) - costs.transfer_uj(2.0 * RECORD_BYTES, 2.0)
    assert costs.commit_uj(500.0, 3.0, 700.0) == pytest.approx(
        fixed
        + costs.transfer_uj(500.0 + 2 * RECORD_BYTES, 5.0)
        + 700 * PICO.store.live_crc * costs.uj_per_cycle
    )


def test_a_faster_bus_wants_a_smaller_capacitor_and_spi_the_smallest() -> None:
    def smallest(board: BoardProfile, nvm: str) -> float:
        return sufficient_capacitor(GRAPH, board, 5.0, 1.8, nvm, "exact")

    slow, fast, fastest = (smallest(at(hz), "fram-i2c") for hz in (100_000, 400_000, 1_000_000))
    assert slow > fast > fastest > smallest(PICO, "fram")


def test_a_blob_says_which_bus_it_was_planned_for() -> None:
    cap_f = sufficient_capacitor(GRAPH, PICO, 5.0, 1.8, "fram-i2c")
    blob = read_blob(pack(make_plan(GRAPH, PICO, Budget(cap_f, 5.0, 1.8), "fram-i2c")))
    assert blob.nvm == "fram-i2c" and blob.image[25] == 4


def test_times_on_a_harvest_are_those_of_the_bus() -> None:
    """The same plan's tiles, the same supply: the slower bus needs more charges."""
    budget = Budget(2 * sufficient_capacitor(GRAPH, PICO, 5.0, 1.8, "fram-i2c"), 5.0, 1.8)
    harvest = constant(3e-3)
    found = {
        nvm: latency(make_plan(GRAPH, PICO, budget, nvm), PICO, harvest, starts=5)
        for nvm in ("fram", "fram-i2c")
    }
    assert found["fram"].p50_s < found["fram-i2c"].p50_s < float("inf")
    slower = latency(make_plan(GRAPH, at(400_000), budget, "fram-i2c"), at(400_000), harvest,
                     starts=5)  # fmt: skip
    assert slower.p50_s > found["fram-i2c"].p50_s


def test_a_board_without_it_says_so() -> None:
    with pytest.raises(BoardError, match="RPI_PICO: this board has no fram-i2c"):
        CostModel(GRAPH, replace(PICO, fram_i2c=None), "fram-i2c")


def test_check_and_plan_tell_how_long_flash_lasts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.tflite"
    net.write_bytes(random_net(4))
    for name, erases in (("RPI_PICO", 100_000), ("PCA10056", 10_000)):
        assert main(["check", str(net), "--board", name, "--nvm", "flash", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["wear"]
        arguments = ["--board", name, "--nvm", "flash", "-o", str(tmp_path / "net.rlm")]
        assert main(["plan", str(net), *arguments, "--json"]) == 0
        planned = json.loads(capsys.readouterr().out)
        assert planned["wear"] == found
        sectors = found["inferences"] * found["erases"] / erases
        assert 3 <= round(sectors, 6) == round(sectors)
        assert planned["written_bytes"] == 256 * found["pages"]
        assert planned["segments"][0]["typical_ms"] <= planned["segments"][0]["worst_ms"]
        assert main(["check", str(net), "--board", name, "--nvm", "flash"]) == 0
        assert "years at one an hour" in capsys.readouterr().out
