"""What tiles take of their worst case is measured, kept in NVM, and says when to commit.

SECURITY S6.
"""

from __future__ import annotations

import ctypes
import dataclasses
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.plan.types import OpPace, Plan

from tests import native
from tests.powercut.plans import random_plan
from tests.powercut.session import (
    _READING,
    DONE,
    FLASH,
    QUANTILES,
    RL_DONE,
    RL_E_NVM,
    RL_E_STATE,
    RL_MORE,
    RL_OK,
    Board,
    Memory,
)
from tests.powercut.supplied import RL_RAN, Supplied, millivolts_for, paced, steps
from tests.powercut.test_supply_rule import staged

SHARES = 76


class Quantiles(ctypes.Structure):
    _fields_ = [
        ("crc", ctypes.c_uint32), ("share", ctypes.c_uint8 * SHARES), ("changed", ctypes.c_uint8),
    ]  # fmt: skip


class Table:
    """rl_quantiles of a model of so many tiles, all unknown."""

    def __init__(self, tiles: int = 3) -> None:
        self.of = Quantiles()
        self._header = ctypes.create_string_buffer(128)
        struct.pack_into("<I", self._header, 44, tiles)  # SPEC 2.1
        self._blob = (ctypes.c_void_p * 6)(0, ctypes.addressof(self._header))  # base, header

    def ran(self, tile: int, took: int, worst: int) -> None:
        native.librelume().rl_quantiles_ran(
            ctypes.byref(self.of), ctypes.byref(self._blob), ctypes.c_uint32(tile),
            ctypes.c_uint64(took), ctypes.c_uint64(worst),
        )  # fmt: skip

    def share(self, tile: int) -> int:
        ask = native.librelume().rl_quantiles_share
        ask.restype = ctypes.c_uint8
        view = ctypes.byref(self._blob)
        return int(ask(ctypes.byref(self.of), view, ctypes.c_uint32(tile)))


@given(st.integers(0, 1 << 34), st.integers(1, 1 << 33))
@settings(deadline=None, max_examples=300)
def test_a_share_covers_what_the_tile_took_and_no_256th_more(took: int, worst: int) -> None:
    table = Table()
    table.ran(1, took, worst)
    share = table.share(1)
    assert 1 <= share <= 255
    assert worst * share >> 8 >= took or share == 255
    assert share == 1 or worst * (share - 1) >> 8 < took
    assert table.share(0) == table.share(2) == 0


def test_more_counts_at_once_and_less_by_an_eighth() -> None:
    table = Table()
    table.ran(0, 100, 256)
    table.ran(0, 200, 256)
    assert table.share(0) == 200
    table.ran(0, 120, 256)
    assert table.share(0) == 190
    table.of.changed = 0
    table.ran(0, 174, 256)  # within a sixteenth of the worst
    assert table.share(0) == 190 and not table.of.changed


@pytest.mark.parametrize(("tiles", "together"), [(76, 1), (77, 2), (152, 2), (153, 4)])
def test_of_more_tiles_neighbours_have_one_share(tiles: int, together: int) -> None:
    for ran in (0, tiles - 1):
        table = Table(tiles)
        table.ran(ran, 100, 256)
        known = [tile for tile in range(tiles) if table.share(tile)]
        assert known == [tile for tile in range(tiles) if tile // together == ran // together]


PLAN = paced(5, commit=10, byte=0, access=0, crc=0)
TILES = len(PLAN.tiles)


class Measured(Supplied):
    """A board whose tiles take `took` cycles each of 1000 at worst, with charges of so many; one
    is full again behind each commit."""

    def __init__(
        self, charge: int, took: int, memory: Memory | None = None, plan: Plan = PLAN
    ) -> None:
        self.charge, self.took, self.plan, self.begun, self._time = charge, took, plan, 0, 0
        super().__init__(plan, self._volts, memory)
        self.begun = self.session.tile
        self.clock(self._now)

    def _now(self) -> int:
        """Looked at before and behind a tile, and elsewhere."""
        self._time += self.took
        return self._time

    def _volts(self, tile: int) -> int:
        left = self.charge - self.took * (tile - self.begun)
        return millivolts_for(max(left, 1), self.plan.pace)

    def again(self, number: int) -> None:
        """Another inference; the charge is full."""
        if self.session.state == DONE:
            assert self.take(number - 1) == RL_OK
        header = self.checked.header
        size = header.tensor(self.checked.blob, header.input)[1]
        self.begun = 0
        assert self.begin(number, bytes(size)) == RL_OK

    @property
    def shares(self) -> list[int]:
        return list(self.session.shares)

    def finish(self) -> int:
        """Commits of the inference that runs."""
        while (status := self.step()) != RL_DONE:
            assert status in (RL_RAN, RL_MORE)
            if status == RL_MORE:
                self.begun = self.session.tile
        return int(self.record.commits)


def crc_of(shares: bytes, board: Board) -> int:
    """SPEC 4.2."""
    meta_crc = board.checked.blob[16:20]
    return zlib.crc32(shares, zlib.crc32(meta_crc))


def rounded(tiles: int, n: int) -> int:
    return -(-tiles // n)


def test_the_second_inference_commits_by_what_the_first_one_took() -> None:
    """A charge of 1700 cycles feeds three tiles of 250 with a fourth at worst, or six."""
    board = Measured(1700, 250)
    board.start()
    assert board.finish() == 1 + rounded(TILES, 3)
    board.again(2)
    assert board.finish() == 1 + rounded(TILES, 6)


def test_what_was_measured_outlives_the_power() -> None:
    board = Measured(1700, 250)
    board.start()
    board.finish()
    after = Measured(1700, 250, board.memory)
    assert after.shares == board.shares and any(after.shares)
    after.again(2)
    assert after.finish() == 1 + rounded(TILES, 6)


def test_a_tile_that_takes_longer_than_measured_is_known_in_the_same_life() -> None:
    board = Measured(1700, 250)
    board.start()
    board.finish()
    board.took = 600
    board.again(2)
    board.finish()
    assert min(board.shares[:TILES]) == 154  # 600 of 1000, in 1 / 256


@pytest.mark.parametrize(("took", "share"), [(620, 154), (501, 2), (500, 1), (400, 1)])
def test_the_copy_of_constants_before_a_tile_is_taken_off_at_its_worst(
    took: int, share: int
) -> None:
    """500 cycles of it, before a kernel of 200."""
    plan = staged(PLAN)
    pace = dataclasses.replace(plan.pace, ops=(OpPace(200, 0, 500),) * len(plan.graph.ops))
    board = Measured(100_000, took, plan=dataclasses.replace(plan, pace=pace))
    board.start()
    board.finish()
    ops = [tile.op for tile in plan.tiles]
    copying = {ops.index(op) for op in plan.stages}
    assert copying
    for tile in range(TILES):
        assert board.shares[tile] == (share if tile in copying else 255)


@given(at=st.integers(0, 79), bit=st.integers(0, 7))
@settings(deadline=None, max_examples=40)
def test_bytes_that_are_not_whole_say_nothing(at: int, bit: int) -> None:
    board = Measured(1700, 250)
    board.start()
    board.finish()
    board.memory.data[QUANTILES + at] ^= 1 << bit
    assert Measured(1700, 250, board.memory).shares == [0] * SHARES


def test_another_model_knows_nothing_of_them() -> None:
    board = Measured(1700, 250)
    board.start()
    board.finish()
    board.take(1)
    other = paced(6, commit=10, byte=0, access=0, crc=0)
    room = Memory(max(len(board.memory.data), 256 + other.nvm_size))
    room.data[: len(board.memory.data)] = board.memory.data
    assert Measured(1700, 250, room, other).shares == [0] * SHARES


@given(st.binary(min_size=SHARES, max_size=SHARES), st.sampled_from([400, 700, 1000]))
@settings(deadline=None, max_examples=40)
def test_shares_that_lie_cost_lives_and_nothing_else(shares: bytes, took: int) -> None:
    """A charge carries one tile; whatever is said of them, no life but the first at a record
    passes a planned end, and the output is what it should be."""
    board = Measured(1100, took)
    board.start()
    good = Measured(1100, took)
    good.start()
    good.finish()
    crc = crc_of(shares, board).to_bytes(4, "little")
    board.memory.data[QUANTILES : QUANTILES + 80] = crc + shares
    for _ in range(4 * TILES):
        life = Measured(1100, took, board.memory)
        assert life.shares == list(shares) or life.record.commits > 1
        if live_out(life, 1100 // took):
            assert life.output() == good.output()
            return
    raise AssertionError("it does not end")


def live_out(life: Measured, tiles: int) -> bool:
    """Steps until the charge of so many tiles is spent without a commit; True: it is done."""
    spent = 0
    while spent < tiles:
        before = life.session.tile
        if (status := life.step()) == RL_DONE:
            return True
        spent += life.session.tile - before
        if status == RL_MORE:
            return False
    return False


def test_the_bytes_are_written_behind_the_record_and_only_when_they_change() -> None:
    board = Measured(1700, 250)
    board.memory.log.clear()
    board.start()
    places = [at for at, _ in board.memory.writes()]
    assert QUANTILES not in places
    while board.step() != RL_DONE:
        board.begun = board.session.tile
    writes = [at for at, _ in board.memory.writes()]
    found = [n for n, at in enumerate(writes) if at == QUANTILES]
    assert found and all(writes[n - 1] in (0, 64) for n in found)
    board.again(2)
    board.finish()
    assert QUANTILES not in [at for at, _ in board.memory.writes()]


@pytest.mark.parametrize("what", ["no reading", "no figures"])
def test_without_a_reading_nothing_is_kept(what: str) -> None:
    plan = PLAN
    if what == "no figures":
        plan = dataclasses.replace(PLAN, pace=dataclasses.replace(PLAN.pace, mv2=0))
    board = Measured(1700, 250, plan=plan)
    if what == "no reading":
        board.session.millivolts = _READING()
    board.start()
    assert set(steps(board)) == {RL_MORE, RL_DONE}
    assert QUANTILES not in [at for at, _ in board.memory.writes()]


@pytest.mark.parametrize("nvm", ["flash", "fram"])
def test_neither_flash_nor_a_plan_without_figures_has_a_place_for_them(nvm: str) -> None:
    """What lies in RAM is not taken for what an NVM holds, good CRC or not."""
    plan = random_plan(3, nvm=nvm)
    room = Memory(8 * 4096, FLASH) if nvm == "flash" else Memory(256 + plan.nvm_size)
    pace = PLAN.pace if nvm == "flash" else dataclasses.replace(PLAN.pace, mv2=0)
    ops = (PLAN.pace.ops[0],) * len(plan.graph.ops)
    plan = dataclasses.replace(plan, pace=dataclasses.replace(pace, ops=ops))
    board = Board(room, pack(plan))
    shares = bytes(range(1, 1 + SHARES))
    assert board.mount() == RL_OK
    board.session.shares[:] = shares
    board.session.quantiles_crc = crc_of(shares, board)
    board.memory.log.clear()
    assert board.call("open") == RL_OK
    assert ("read", QUANTILES, 4 + SHARES) not in board.memory.log
    assert list(board.session.shares) == [0] * SHARES


def test_the_step_that_cannot_keep_them_says_so_and_nothing_is_committed_behind_it() -> None:
    """Before the next open, though the NVM takes bytes again."""
    board = Measured(1700, 250)
    board.start()
    board.memory.spoil = lambda kind, at, n: kind == "write" and at == QUANTILES
    status = RL_OK
    while ("write", QUANTILES, 4 + SHARES) not in board.memory.log:
        status = board.step()
    assert status == RL_E_NVM
    board.memory.spoil = lambda kind, at, n: False
    while (status := board.step()) == RL_RAN:
        pass
    assert status == RL_E_NVM


@pytest.mark.parametrize("what", ["read", "write"])
def test_an_nvm_that_does_not_take_them_is_not_gone_on_with(what: str) -> None:
    board = Measured(1700, 250)
    board.start()
    board.memory.spoil = lambda kind, at, n: kind == what and at == QUANTILES
    if what == "read":
        assert board.call("open") == RL_E_NVM
    else:
        while (status := board.step()) in (RL_RAN, RL_MORE):
            pass
        assert status == RL_E_NVM
    assert board.take(1) in (RL_E_NVM, RL_E_STATE)
    board.memory.spoil = lambda kind, at, n: False
    after = Measured(1700, 250, board.memory)
    assert after.finish() >= 1 and after.session.state == DONE
