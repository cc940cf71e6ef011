"""Constants in SRAM: the same bytes, never a higher peak, nothing hostile let through.

SECURITY B4.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import replace

import pytest
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Graph
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan, smallest_capacitor
from relume.plan.staging import SMALL
from relume.plan.types import Plan

from tests import native
from tests.kernels import netgen, oracle
from tests.shared import model_file
from tests.unit import blob_edit

SEEDS = range(24)
CORES = ("portable", "m0plus", "m4")


@functools.cache
def graph(seed: int) -> Graph:
    return read_tflite(netgen.random_net(seed))


@functools.cache
def plan(seed: int, core: str, staging: bool = True) -> Plan:
    """The plan for a capacitor that wants several segments."""
    board = replace(load_board("RPI_PICO"), core=core)
    cap = 1.05 * smallest_capacitor(graph(seed), board, 5.0, 1.8)
    return make_plan(graph(seed), board, Budget(cap, 5.0, 1.8), staging=staging)


def staged_outputs(blob: bytes, data: bytes) -> bytes:
    """All tensors that the engine computes with constants in SRAM, sanitizers watching."""
    (outcome,) = native.run_program(native.runners()[0], [(blob, data)], staged=True)
    assert outcome.status == "RL_OK"
    return outcome.data


@pytest.mark.parametrize("core", CORES)
def test_constants_in_sram_give_the_same_bytes(core: str) -> None:
    plans = [plan(seed, core) for seed in SEEDS]
    assert sum(len(one.stages) for one in plans) > len(plans)
    cases = [
        (pack(one), oracle.random_input(one.graph.tensors[one.graph.input].size, seed))
        for seed, one in enumerate(plans)
    ]
    for program in native.runners():
        staged = native.run_program(program, cases, staged=True)
        assert staged == native.run_program(program, cases)


@pytest.mark.parametrize("core", CORES)
def test_staging_never_raises_the_peak_above_a_small_models(core: str) -> None:
    for seed in SEEDS:
        with_it, without = plan(seed, core), plan(seed, core, staging=False)
        peak = without.arena_size + without.scratch_size
        assert with_it.arena_size + with_it.scratch_size <= max(peak, SMALL)


@pytest.mark.parametrize("name", ["ic", "vww"])
def test_a_real_model_keeps_its_peak(name: str) -> None:
    large, board = read_tflite(model_file(name)), load_board("RPI_PICO")
    staged = make_plan(large, board, Budget(0.01, 5.0, 1.8))
    plain = make_plan(large, board, Budget(0.01, 5.0, 1.8), staging=False)
    assert staged.stages
    assert staged.arena_size + staged.scratch_size == plain.arena_size + plain.scratch_size
    assert staged.worst_cycles < plain.worst_cycles


def test_a_board_without_bursts_stages_nothing() -> None:
    board = load_board("RPI_PICO")
    slow = replace(board, xip=replace(board.xip, word_cycles=0))
    assert make_plan(graph(1), slow, Budget(1.0, 5.0, 1.8)).stages == {}


class _Stage(ctypes.Structure):
    _fields_ = (("fetch", ctypes.c_void_p * 2), ("op", ctypes.c_uint32))


def run_with(checked: native.Checked, data: bytes, before: Callable[[_Stage, int], None]) -> bytes:
    """The output when `before` may change what the engine believes to be in SRAM."""
    stage = _Stage((None, None), 0)
    return checked.run_staged(data, ctypes.byref(stage), lambda tile: before(stage, tile))


Case = tuple[native.Checked, Plan, bytes]


@functools.cache
def staged_cases() -> list[Case]:
    """Nets whose first op has its constants in SRAM."""
    plans = [plan(seed, "m0plus") for seed in SEEDS]
    return [
        (
            native.accepted(pack(one)), one,
            oracle.random_input(one.graph.tensors[one.graph.input].size, 1),
        )
        for one in plans if 0 in one.stages
    ]  # fmt: skip


def staged_case() -> Case:
    return staged_cases()[0]


def test_forgetting_between_any_two_tiles_changes_nothing() -> None:
    checked, _, data = staged_case()

    def forget(stage: _Stage, _tile: int) -> None:
        stage.op = 0

    assert run_with(checked, data, forget) == run_with(checked, data, lambda stage, tile: None)


def test_a_copy_that_a_brown_out_took_and_nobody_forgot_is_caught() -> None:
    def believe(stage: _Stage, tile: int) -> None:
        if tile == 0:
            stage.op = 1

    wrong = [
        run_with(checked, data, believe) != run_with(checked, data, lambda stage, tile: None)
        for checked, _, data in staged_cases()
    ]
    assert sum(wrong) >= len(wrong) / 2


def test_hostile_places_are_refused_by_name() -> None:
    checked, one, _ = staged_case()
    blob, header = checked.blob, checked.header
    off, size = one.stages[0].off, one.stages[0].size
    end = header.arena_size + header.scratch_size
    hostile: list[tuple[dict[str, int], str]] = [
        ({"op[0].stage_off": off + 2}, "stage_off"),
        ({"op[0].stage_off": end - size + 4}, "stage_off"),
        ({"op[0].stage_off": 0xFFFFFFFC}, "stage_off"),
        ({"op[0].stage_size": size // 8 * 4}, "outside the stage"),
        ({"op[0].stage_size": size + 2}, "stage_size"),
        ({"op[0].stage_size": 0xFFFFFFFC}, "stage_size"),
        ({"op[0].stage_size": 0}, "stage_off"),
        ({"op[0].stage_size": 4}, "outside the stage"),
    ]
    for changes, what in hostile:
        status, fault, _ = native.check(blob_edit.put(blob, changes))
        assert status == "RL_E_BOUNDS" and what in fault.what, changes


def test_a_copy_over_what_a_tile_uses_is_refused_by_name() -> None:
    seen = set()
    for checked, one, _ in staged_cases():
        blob, header, op = checked.blob, checked.header, one.graph.ops[0]
        size, scratch = one.stages[0].size, header.scratch(blob, 0)
        end = header.tensor(blob, op.output)[0] + one.tiles[0].count * one.graph.unit_bytes(op)
        places = [
            (scratch, "over scratch"),
            (header.tensor(blob, op.inputs[0])[0], "over a tensor"),
            (end // 4 * 4 - 4, "over a tensor"),
            (end // 4 * 4 - size, "over a tensor"),
        ]
        for place, what in places:
            outside = not 0 <= place <= header.arena_size + header.scratch_size - size
            beside = place < scratch + checked.scratch(0) and scratch < place + size
            if outside or beside != (what == "over scratch"):
                continue
            status, fault, _ = native.check(blob_edit.put(blob, {"op[0].stage_off": place}))
            assert status == "RL_E_PLAN" and what in fault.what, place
            seen.add(what)
    assert seen == {"over scratch", "over a tensor"}
