"""The nRF52840's power-fail comparator says when to commit, never what: on a model of its
registers, with a supply that ends in any tile.

SECURITY S6.
"""

from __future__ import annotations

import functools
import importlib
import struct
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.board.profile import Boot, load_board
from relume.errors import RelumeError
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import make_plan
from relume.power.capacitor import E6, Budget

from tests.kernels.netgen import NetGenerator
from tests.pure.pofcon import POFCON, Chip, Fram
from tests.pure.twin import PowerCut, engine, turned_on
from tests.unix.nets import Net, _made

MOST_CHARGES = 200


@functools.cache
def planned(seed: int) -> Net:
    """A net for an nRF52840 that boots in no time, on the smallest capacitor."""
    pytest.importorskip("ai_edge_litert")
    board = load_board("PCA10056")
    swift = replace(board.store, step=1e3, resume=1e3, survey_op=10.0, survey_tensor=10.0,
                    access=100.0)
    board = replace(board, boot=Boot(0.01, 0.01), store=swift, core="portable")
    graph = read_tflite(NetGenerator(seed).generate())
    for power in range(-8, 0):
        for step in E6:
            try:
                plan = make_plan(graph, board, Budget(step * 10.0**power, 3.3, 2.0), "fram")
            except RelumeError:
                continue
            return _made(pack(plan), None, seed)
    raise AssertionError("no capacitor does")


def warning() -> ModuleType:
    engine()
    return importlib.import_module("relume_pure.warning")


class Board:
    """Lives of one board. watch: "warned", "plan" (no comparator) or "deaf"."""

    def __init__(self, net: Net, watch: str, share: float, harvest: float = 0.0) -> None:
        self.net, self.watch, self.tiles = net, watch, 0
        self.chip = Chip(net.blob, share, harvest)
        self.chip.deaf = watch == "deaf"
        (self.byte,) = struct.unpack_from("<H", net.blob, 120)
        self.fram = Fram(self.chip, self.byte)
        self.commits = 0

    def compute(self, blob: Any, arena: Any, start: int, end: int) -> None:
        """run_tiles, which takes the board's energy: a tile whose energy is not there is lost."""
        for number in range(start, end):
            op, _, count = blob.tile(number)
            fixed, unit, stage = struct.unpack_from("<III", blob.data, blob.ops[op].at + 112)
            self.tiles += 1
            self.chip.draw((fixed + unit * count + stage) * self.chip.share)
            engine().engine.run_tiles(blob, arena, number, number + 1)

    def life(self) -> bytes | None:
        """From a turn-on to the output, None where the power went."""
        pure = engine()
        turned_on()
        self.chip.turn_on()
        try:
            run = pure.Session(self.net.blob, self.fram)
            run.warning = None if self.watch == "plan" else warning().PowerFail(run.blob)
            if run.open() == 2:
                return bytes(run.output())
            if run.state != 1:
                run.begin(1, self.net.input)
            while run.step() != pure.DONE:
                pass
            self.commits = run.commits
            return bytes(run.output())
        except PowerCut:
            return None


def result(net: Net, watch: str, share: float, monkeypatch: pytest.MonkeyPatch,
           harvest: float = 0.0) -> Board:  # fmt: skip
    """The board behind its output, which is right."""
    board = Board(net, watch, share, harvest)
    monkeypatch.setattr(warning(), "mem32", board.chip)
    monkeypatch.setattr(warning(), "sleep_us", board.chip.sleep_us)
    monkeypatch.setattr(engine().session, "run_tiles", board.compute)
    for _ in range(MOST_CHARGES):
        output = board.life()
        if output is not None:
            assert output == net.output
            return board
    raise AssertionError("no output")


SHARES = (0.3, 0.5, 0.7, 0.9)


@pytest.mark.parametrize("seed", [4, 16, 20, 21])
def test_with_the_warning_nothing_is_done_again_and_ignoring_it_is_seen(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = planned(seed)
    assert net.segments > 1
    boards = {
        watch: [result(net, watch, share, monkeypatch) for share in SHARES]
        for watch in ("warned", "plan", "deaf")
    }
    again = {
        watch: sum(board.tiles - net.tiles for board in lived) for watch, lived in boards.items()
    }
    assert again["warned"] == 0 < again["plan"]
    assert again["warned"] < again["deaf"]
    for warned, plan in zip(boards["warned"], boards["plan"], strict=True):
        assert warned.chip.charges <= plan.chip.charges and warned.commits < plan.commits


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.sampled_from([4, 5, 8, 15, 20, 21]), st.floats(0.2, 1.0), st.floats(0.0, 100.0),
       st.booleans())  # fmt: skip
def test_whatever_the_supply_does_the_output_is_right(
    seed: int, share: float, harvest: float, deaf: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        result(planned(seed), "deaf" if deaf else "warned", share, patch, harvest)


def test_a_supply_that_comes_back_is_waited_for_and_the_charge_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = planned(16)
    assert result(net, "warned", 0.9, monkeypatch).chip.charges > 1
    board = result(net, "warned", 0.9, monkeypatch, harvest=1000.0)
    assert board.chip.charges == 1 and board.chip.waited_us > 0


def test_the_comparator_is_off_outside_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it warns the chip writes no flash, so no file either. Fram looks in each commit."""
    board = result(planned(8), "warned", 0.6, monkeypatch)
    assert board.chip.pofcon >> 1 and not board.chip.pofcon & 1


def test_under_a_running_softdevice_the_plan_is_executed_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = planned(4)
    plan = result(net, "plan", 0.7, monkeypatch)
    ble = SimpleNamespace(enabled=lambda: 1)
    monkeypatch.setitem(sys.modules, "ble", ble)
    restricted = result(net, "warned", 0.7, monkeypatch)
    assert restricted.chip.pofcon == 0
    assert (restricted.tiles, restricted.commits) == (plan.tiles, plan.commits)
    ble.enabled = lambda: 0
    assert result(net, "warned", 0.7, monkeypatch).commits < plan.commits


@pytest.mark.parametrize("seed", [4, 8, 15, 18, 21])
def test_above_the_threshold_a_tile_and_its_commit_fit(seed: int) -> None:
    blob = engine().blob.Blob(planned(seed).blob)
    chip, need = Chip(planned(seed).blob, 1.0), warning().need(blob)
    code = warning().threshold(blob, need)
    mv = (1700 + 100 * (code - 4)) / 1.05
    left = (mv**2 - chip.voff**2) * chip.mv2 / 65536
    assert 4 <= code <= 15
    assert left >= need or code == 15
    lower = (mv - 100 / 1.05) ** 2 - chip.voff**2
    assert code == 4 or lower * chip.mv2 / 65536 < need


def test_an_obligatory_end_is_not_passed() -> None:
    ends, flags = [3, 5, 9, 12], [0, 0, 1, 0]
    table = b"".join(struct.pack("<6I", end, 0, 0, 0, 0, flag)
                     for end, flag in zip(ends, flags, strict=True))  # fmt: skip
    blob = SimpleNamespace(
        data=table, segments=0, n_segments=4, n_tiles=12, end_of=lambda i: ends[i]
    )
    watcher = object.__new__(warning().PowerFail)
    watcher.blob = blob
    assert [watcher._obligatory(end) for end in ends] == [9, 9, 9, 12]


def test_only_this_chip_has_it_and_flash_keeps_to_the_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pure, net = engine(), planned(8)
    assert pure.Session(net.blob, bytearray(65536)).warning is None
    chip = SimpleNamespace(_machine="nRF52840-DK with NRF52840")
    monkeypatch.setattr(pure.session, "implementation", chip)
    assert pure.Session(net.blob, bytearray(65536)).warning is None, "no machine.mem32"
    monkeypatch.setattr(warning(), "mem32", {POFCON: 0})
    assert pure.Session(net.blob, bytearray(65536)).warning is not None
    assert warning().made(pure.blob.Blob(net.blob), 2) is None
