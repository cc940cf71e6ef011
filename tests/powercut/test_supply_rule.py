"""What the scheduler makes of a reading of the supply's voltage: commits, what is left, the drain
(SPEC 2.9, 4.6).

SECURITY S6.
"""

from __future__ import annotations

import ctypes
import dataclasses
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.plan.live import LiveMap
from relume.plan.staging import run_bytes
from relume.plan.types import OpPace, Plan, Stage

from tests import native
from tests.powercut.boards import store_call
from tests.powercut.plans import random_plan
from tests.powercut.session import (
    _READING,
    FLASH,
    RL_DONE,
    RL_E_NVM,
    RL_ERASED,
    RL_MORE,
    RL_OK,
    Memory,
)
from tests.powercut.supplied import (
    FULL_MV,
    RL_RAN,
    Supplied,
    cycles_of,
    millivolts_for,
    paced,
    steps,
)
from tests.powercut.test_live import tile_by_tile

EXPECTED = 1  # a record's flag: the next brown-out is no surprise


def test_a_strong_supply_passes_every_planned_commit() -> None:
    board = Supplied(plan := paced(3), lambda tile: FULL_MV)
    board.start()
    assert steps(board) == [RL_RAN] * (len(plan.tiles) - 1) + [RL_DONE]
    assert board.record.commits == 2


@pytest.mark.parametrize("reading", [None, 0])
def test_without_a_reading_every_segment_ends_with_a_commit(reading: int | None) -> None:
    board = Supplied(plan := paced(3), lambda tile: 0)
    if reading is None:
        board.session.millivolts = _READING()
    board.start()
    for _ in plan.tiles[:-1]:
        assert board.step() == RL_MORE and board.record.flags == EXPECTED
    assert board.step() == RL_DONE and board.record.flags == 0  # nothing is left to lose
    assert board.record.commits == len(plan.tiles) + 1


def test_a_plan_without_figures_follows_no_reading() -> None:
    board = Supplied(plan := paced(3, mv2=0), lambda tile: FULL_MV)
    board.start()
    assert steps(board) == [RL_MORE] * (len(plan.tiles) - 1) + [RL_DONE]


def test_obligatory_commits_are_made_however_much_is_left() -> None:
    plan = paced(3)
    segments = tuple(
        dataclasses.replace(s, obligatory=number % 2 == 1)
        for number, s in enumerate(plan.segments)
    )
    board = Supplied(dataclasses.replace(plan, segments=segments), lambda tile: FULL_MV)
    board.start()
    marked = [RL_MORE if s.obligatory else RL_RAN for s in segments[:-1]]
    assert steps(board) == [*marked, RL_DONE]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_a_commit_comes_before_the_tile_that_does_not_fit(seed: int, tiles: int) -> None:
    """Every tile takes what it takes at worst: a charge of so many tiles runs just so many."""
    plan = paced(seed, commit=10, byte=0, access=0, crc=0)
    begun = [0]

    def volts(tile: int) -> int:
        return millivolts_for(1000 * (tiles - (tile - begun[0])) + 50, plan.pace)

    board = Supplied(plan, volts)
    board.start()
    while (status := board.step()) != RL_DONE:
        if status == RL_MORE:
            assert board.session.tile - begun[0] == tiles
            assert board.record.flags == EXPECTED
            begun[0] = board.session.tile  # the next charge
    assert board.record.commits == 1 + -(-len(plan.tiles) // tiles)


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_commit_behind_a_tile_is_counted_with_its_dirty_and_live_bytes(
    seed: int, restored: bool
) -> None:
    """What fits exactly is run, and one cycle less is not; behind a restore, too."""
    plan = tile_by_tile(random_plan(seed))
    live = LiveMap(plan.graph, plan.tiles)
    dirty = live.dirty(0, 2)
    n = sum(end - lo for _, lo, end in dirty)
    pace = paced(seed).pace
    need = 1000 + 100 + 2 * n + 10 * len(dirty) + int(live.live_bytes[2])
    plan = dataclasses.replace(plan, pace=pace)
    mv = millivolts_for(need, pace)
    for reading, want in ((mv, 2), (mv - 2, 1)):
        before = Supplied(plan, lambda tile: 0)  # by its record no end of a life is a surprise
        before.start()
        memory = before.memory if restored else None
        board = Supplied(plan, lambda tile, seen=reading: seen if tile < 2 else 1900, memory)
        board.start()
        while board.step() != RL_MORE:
            pass
        assert board.record.tile == want


def staged(plan: Plan) -> Plan:
    """Constants are copied to SRAM behind all else; 500 cycles a copy."""
    sizes = run_bytes(plan.graph, plan.core)
    room = -(-plan.scratch_size // 16) * 16
    pace = dataclasses.replace(plan.pace, ops=(OpPace(1000, 0, 500),) * len(plan.graph.ops))
    return dataclasses.replace(
        plan, scratch_size=room + -(-max(sizes) // 16) * 16, pace=pace,
        stages={op: Stage(plan.arena_size + room, size) for op, size in enumerate(sizes) if size},
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_tile_that_begins_with_a_copy_of_constants_needs_more(seed: int) -> None:
    """A charge that always feeds one more tile, and no copy, ends before each copy alone."""
    plan = staged(paced(seed, commit=10, byte=0, access=0, crc=0))
    board = Supplied(plan, lambda tile: millivolts_for(1200, plan.pace))
    board.start()
    copying = {
        tile for tile in range(1, len(plan.tiles))
        if plan.tiles[tile].op in plan.stages and plan.tiles[tile].op != plan.tiles[tile - 1].op
    }  # fmt: skip
    committed = set()
    while (status := board.step()) != RL_DONE:
        if status == RL_MORE:
            committed.add(board.record.tile)
    assert committed == copying != set()


# --------------------------------------------------------------------- energy


class PaceView(ctypes.Structure):
    """rl_pace."""

    _fields_ = (
        ("millivolts", _READING),
        *((name, ctypes.c_uint32) for name in (
            "drain", "live", "dirty", "ranges", "next_live", "next_dirty", "next_ranges", "left",
            "spent", "rest_cycles", "rest_ms", "rested", "begun")),
        *((name, ctypes.c_uint8) for name in ("on", "hope", "vain")),
    )  # fmt: skip


def left(plan: Plan, reading: int) -> int:
    """rl_pace_left."""
    pace = PaceView(_READING(lambda ctx: reading))
    function = native.librelume().rl_pace_left
    function.restype = ctypes.c_uint32
    view = ctypes.byref(native.accepted(pack(plan))._view)
    return int(function(ctypes.byref(pace), view, None))


@settings(deadline=None, max_examples=60)
@given(reading=st.integers(1, 70_000), mv2=st.integers(1, 0xFFFFFFFF))
def test_energy_left_is_the_capacitors_less_the_margin(reading: int, mv2: int) -> None:
    plan = paced(0, mv2=mv2)
    assert left(plan, reading) == cycles_of(reading, mv2)


def test_no_reading_is_told_from_an_empty_capacitor() -> None:
    assert left(paced(0), 0) == 0xFFFFFFFF
    assert left(paced(0), 1) == 0


@given(drain=st.integers(0, 0xFFFF), failures=st.integers(0, 100))
def test_the_drain_rises_by_a_quarter_a_failure_and_is_bounded(drain: int, failures: int) -> None:
    want = min(max(drain, 256), 2048)
    for _ in range(failures):
        want = min(want + want // 4, 2048)
    assert native.librelume().rl_pace_raised(drain, failures) == want


def drains(readings: Sequence[int], start: int) -> list[int]:
    """The record's drain behind each commit of a run with these readings per tile."""
    plan = paced(3)
    board = Supplied(plan, lambda tile: readings[min(tile, len(readings) - 1)])
    board.session.drain = start
    board.start()
    found = []
    while board.step() != RL_DONE:
        found.append(board.record.drain)
    return found


def test_the_drain_falls_while_more_is_left_than_was_to_be_expected() -> None:
    found = drains([2010] * 100, 1000)
    assert found[-1] < found[0] < 1000
    assert found == sorted(found, reverse=True)


def test_the_drain_stays_while_less_is_left() -> None:
    assert set(drains(list(range(5000, 3000, -130)), 1000)) == {1000}


def test_a_brownout_where_none_was_expected_raises_the_drain() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: FULL_MV)
    board.start()
    assert board.record.flags == 0
    drain = [256]
    for _ in range(3):
        board = Supplied(plan, lambda tile: FULL_MV, board.memory)
        drain.append(board.session.drain)
    assert drain == [256, 320, 400, 500]


def test_the_raised_drain_is_kept_when_the_inference_is_given_up() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: FULL_MV)
    board.start()
    assert board.step() == RL_RAN
    board = Supplied(plan, lambda tile: FULL_MV, board.memory)
    raised = board.session.drain
    assert raised > 256 == board.record.drain
    assert board.clear() == RL_OK and board.record.drain == raised


def test_a_brownout_that_was_expected_does_not() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: 1900)
    board.start()
    assert board.step() == RL_MORE and board.record.flags == EXPECTED
    board = Supplied(plan, lambda tile: FULL_MV, board.memory)
    assert board.session.drain == 256
    board = Supplied(plan, lambda tile: FULL_MV, board.memory)
    assert board.session.drain == 320


def test_power_lost_in_or_behind_an_erase_is_no_surprise() -> None:
    pace = paced(3).pace
    plan = dataclasses.replace(tile_by_tile(random_plan(3, nvm="flash")), pace=pace)
    memory = Memory(6 * 4096, FLASH)

    def life() -> Supplied:
        return Supplied(plan, lambda tile: FULL_MV, memory)

    (board := life()).start()
    rest = board.store.at // 15 * 4096 + (board.store.at % 15 + 2) * 256
    memory.data[rest : rest // 4096 * 4096 + 4096] = bytes(-rest % 4096)
    for spoil in (True, True, True, False):  # of the boot that wrote the record, too
        memory.spoil = lambda what, at, n, spoil=spoil: what == "erase" and spoil
        assert board.call("step") == (RL_E_NVM if spoil else RL_ERASED)
        board = life()
        assert board.session.drain == 256
    assert [life().session.drain for _ in range(2)] == [320, 400]


def test_brownouts_say_nothing_without_a_reading() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: 0)
    board.start()
    for _ in range(3):
        board = Supplied(plan, lambda tile: 0, board.memory)
        assert board.session.drain == 256


def test_the_ports_crc_is_used_for_live_data() -> None:
    called: list[int] = []
    crc = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
    real = native.librelume().rl_crc32
    real.restype = ctypes.c_uint32

    def port(start: int, data: int, n: int) -> int:
        called.append(n)
        return int(real(ctypes.c_uint32(start), ctypes.c_void_p(data), ctypes.c_uint32(n)))

    keep = crc(port)
    board = Supplied(paced(3), lambda tile: 0)
    board.store.crc = ctypes.cast(keep, ctypes.c_void_p).value
    data = random.Random(1).randbytes(board.checked.header.tensor(
        board.checked.blob, board.checked.header.input)[1])  # fmt: skip
    assert board.begin(1, data) == RL_OK
    assert sum(called) == len(data)


# ---------------------------------------------------------------------- flash


def flash_pages(live: int) -> int:
    """Of a commit of so many bytes, its record's page too."""
    return -(-live // 255) + 1


@pytest.mark.parametrize("seed", [7, 37])
def test_flash_has_room_for_a_commit_behind_any_tile_where_the_voltage_decides(seed: int) -> None:
    """Also where less is live at the segment's end."""
    plan = random_plan(seed, nvm="flash", scale=4, paced=1)
    live = LiveMap(plan.graph, plan.tiles).live_bytes
    draw, early = random.Random(seed), 0
    board = Supplied(plan, lambda tile: draw.choice((FULL_MV, 1900)), Memory(8 * 4096, FLASH))
    data = bytes(plan.graph.tensors[plan.graph.input].size)
    for number in range(1, 9):
        assert board.begin(number, data) == RL_OK
        while (status := board.step()) != RL_DONE:
            assert status in (RL_MORE, RL_RAN)
            tile = board.session.tile
            end = next(s.end for s in plan.segments if s.end >= tile)
            early += status == RL_MORE and flash_pages(live[tile]) > flash_pages(live[end])
        assert board.take(number) == RL_OK
    assert early > 3


@pytest.mark.parametrize("seed", [7, 37])
def test_without_a_reading_flash_is_erased_only_for_the_commit_at_the_segments_end(
    seed: int,
) -> None:
    plan = random_plan(seed, nvm="flash", scale=4)
    live = LiveMap(plan.graph, plan.tiles).live_bytes
    board = Supplied(plan, lambda tile: 0, Memory(8 * 4096, FLASH))
    data, fitted = bytes(plan.graph.tensors[plan.graph.input].size), set()
    for number in range(1, 9):
        assert board.begin(number, data) == RL_OK
        status = RL_MORE
        while status != RL_DONE:
            end = next(s.end for s in plan.segments if s.end > board.session.tile)
            fits = store_call(board, "begin", ctypes.c_uint32(int(live[end]))) == RL_OK
            most = store_call(board, "begin", ctypes.c_uint32(plan.nvm_size)) == RL_OK
            status = board.call("step")
            assert (status == RL_ERASED) == (not fits)
            fitted.add((fits, most))
        assert board.take(number) == RL_OK
    assert fitted == {(False, False), (True, False), (True, True)}
