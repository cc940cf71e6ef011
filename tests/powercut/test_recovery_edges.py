"""What only some boards bring to store and session: writes in the background that fail, a CRC of
the port's, cycles of each op, a second opening in one life, tiles of very many units.

SECURITY S1, S2, S7.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import zlib

import pytest
from relume.blob.pack import pack
from relume.model.graph import Kind
from relume.plan.types import OpPace, Pace, Plan, Segment

from tests.powercut import session as rl
from tests.powercut.boards import board, finished, input_of, started, store_call
from tests.powercut.plans import random_plan
from tests.powercut.session import FLASH, FRAM, RL_OK, Board, Memory
from tests.powercut.supplied import RL_RAN, Supplied, paced
from tests.powercut.test_behind import HOME, Looker, Streaming, larger
from tests.powercut.test_live import tile_by_tile
from tests.unit.raw_blob import raw

u32 = ctypes.c_uint32
_CRC = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)


class Sending(Streaming):
    """FRAM whose background writes arrive at once; calls of start and finish can be refused."""

    def _start(self, nvm: int, at: int, data: int, n: int) -> int:
        super()._start(nvm, at, data, n)
        return self._write(nvm, at, data, n)

    def _busy(self, nvm: int) -> int:
        return 1

    def _finish(self, nvm: int) -> int:
        self.finished += 1
        return rl.RL_E_NVM if self.spoil("finish", 0, 0) else RL_OK


def streaming(seed: int) -> Plan:
    """A plan that passes ends of segments and writes behind its tiles."""
    plan = larger(seed)
    pace = Pace(64, 100, 2, 10, 1, (OpPace(1000, 0, 0),) * len(plan.graph.ops))
    return dataclasses.replace(plan, pace=pace)


# -------------------------------------------------------- writes in the background


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_a_background_write_that_fails_anywhere_is_told_and_the_next_life_ends_right(
    seed: int,
) -> None:
    """Found by a look, by a segment's end that is passed, or by a commit."""
    plan = streaming(seed)
    expected, refused, told = b"", -1, set()
    while True:
        refused += 1
        memory, left = Sending(HOME + plan.nvm_size), [refused]

        def spoil(what: str, at: int, n: int, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == -1

        b = Supplied(plan, lambda tile: 5000 if tile % 3 else 2300, memory)
        b.start()
        memory.spoil = spoil
        status = RL_RAN
        while status in (RL_RAN, rl.RL_MORE):
            status = b.step()
        if left[0] >= 0:
            break
        told.add(status)
        assert b.step() == rl.RL_E_STATE and b.call("output", None, None) == rl.RL_E_STATE
        memory.spoil = lambda what, at, n: False
        again = Supplied(plan, lambda tile: 5000, memory)
        while again.step() != rl.RL_DONE:
            pass
        expected = expected or again.output()
        assert again.output() == expected, f"call {refused} was refused"
    assert told == {rl.RL_E_NVM} and refused > 10 and memory.sent
    assert b.output() == expected


def test_a_failed_store_begins_and_ends_no_write_in_the_background() -> None:
    looker = Looker(larger(3))
    b, memory = looker.board, looker.memory
    data = ctypes.create_string_buffer(16)
    assert store_call(b, "start", u32(0), data, u32(16)) == RL_OK
    memory.ends = rl.RL_E_NVM
    assert store_call(b, "begin", u32(0)) == rl.RL_E_NVM, "which ends it first"
    calls = memory.finished
    memory.ends = RL_OK
    assert store_call(b, "start", u32(0), data, u32(16)) == rl.RL_E_NVM
    assert store_call(b, "finish") == rl.RL_E_NVM
    assert (memory.finished, len(memory.sent)) == (calls, 1)


def test_a_background_write_stays_in_the_home_area() -> None:
    looker = Looker(larger(3))
    room = looker.board.size - HOME
    data = ctypes.create_string_buffer(room + 1)
    for at, n in ((0, room + 1), (room, 1), (room + 1, 0)):
        status = store_call(looker.board, "start", u32(at), data, u32(n))
        assert status == rl.RL_E_NVM_SIZE and looker.memory.sent == []
    assert store_call(looker.board, "start", u32(0), data, u32(room)) == RL_OK
    assert looker.memory.sent == [(HOME, data.raw[:room])]


@pytest.mark.parametrize("seed", range(12))
def test_the_span_of_a_tensor_is_what_the_survey_finds(seed: int) -> None:
    """At each boundary; the input's and the output's, too."""
    looker = Looker(larger(seed))
    n = len(looker.plan.graph.tensors)
    for tile in range(len(looker.plan.tiles) + 1):
        if tile:
            looker.call("rl_live_finish", ctypes.byref(looker.live), u32(tile - 1), u32(tile))
        looker.call("rl_live_survey", ctypes.byref(looker.live))
        ends = (u32 * n).from_address(looker.live.end)
        los = (u32 * n).from_address(looker.live.lo)
        for tensor in range(n):
            lo, end = u32(), u32()
            looker.call(
                "rl_live_span", ctypes.byref(looker.live), u32(tensor), ctypes.byref(lo),
                ctypes.byref(end),
            )  # fmt: skip
            assert (lo.value, end.value) == (los[tensor], ends[tensor])


# ------------------------------------------------------------------ the port's part


@pytest.mark.parametrize("kind", [FRAM, FLASH])
def test_the_live_datas_crc_may_be_the_ports(kind: int) -> None:
    asked = []

    def crc(start: int, data: int, n: int) -> int:
        asked.append(n)
        return zlib.crc32(ctypes.string_at(data, n), start)

    b = board(kind)
    assert b.open() == RL_OK
    port = _CRC(crc)
    b.store.crc = ctypes.cast(port, ctypes.c_void_p)
    assert b.begin(5, input_of(b)) == RL_OK
    assert sum(asked) == b.record.live_bytes
    while b.step() != rl.RL_DONE:
        pass
    again = board(kind, b.memory)
    assert again.open() == RL_OK, "the software's says the same"
    assert again.output() == b.output() == finished(kind).output()


def test_a_session_that_is_opened_again_in_one_life_counts_no_attempt() -> None:
    b = started(FRAM)
    for boots in (1, 2):
        b = board(FRAM, b.memory)
        assert b.open() == RL_OK and b.store.attempts == boots
        again = board(FRAM, b.memory)
        again.session.same_boot = 1
        again.memory.log.clear()
        assert again.open() == RL_OK and again.store.attempts == boots
        assert {at for what, at, _ in again.memory.log if what == "write"} == {160}, "the probe"
    while again.step() != rl.RL_DONE:
        pass
    assert again.output() == finished(FRAM).output()


def test_the_cycles_of_each_ops_tiles_are_counted_from_the_input_on() -> None:
    """By a clock that goes on by one whenever it is read, so by one a tile."""
    plan = paced(3)
    b = Supplied(plan, lambda tile: 0)
    times = (u32 * (len(plan.graph.ops) + 1))(*[0x5A] * (len(plan.graph.ops) + 1))
    now = [0]

    def clock() -> int:
        now[0] += 1
        return now[0]

    b.clock(clock)
    b.session.times = ctypes.cast(times, ctypes.c_void_p)
    b.start()
    assert list(times) == [*[0] * len(plan.graph.ops), 0x5A]
    while b.step() != rl.RL_DONE:
        pass
    tiles = [sum(tile.op == op for tile in plan.tiles) for op in range(len(plan.graph.ops))]
    assert list(times) == [*tiles, 0x5A]


# ---------------------------------------------------------------- very large tiles


@pytest.mark.parametrize("units", [65535, 65536, 131073])
def test_a_tile_of_more_units_than_a_record_counts_is_divided_in_grains(units: int) -> None:
    """SPEC 4.8: below 65536 grains, of a power of two of units each."""
    grain = 0
    while units >> grain >= 65536:
        grain += 1
    height = next(h for h in range(1, units) if units % h == 0 and units // h < 65536)
    shape = (height, units // height, 1)
    blob = raw([shape, shape], [{"kind": Kind.RESHAPE}], scratch=0)
    b = Board(Memory(HOME + 2 * units + 64, FRAM), blob)
    assert b.open() == RL_OK
    data = bytes(n * 7 & 255 for n in range(units))
    assert b.begin(5, data) == RL_OK
    for halved in (1, 2):
        for _ in range(2):
            b = Board(b.memory, blob)
            assert b.open() == RL_OK
        assert b.session.halved == halved
        part = ((units - 1 >> grain + b.session.halved) + 1) << grain
        before = b.session.units
        assert b.step() == rl.RL_MORE
        assert b.session.units == before + part
        assert b.record.part == b.session.units >> grain
    b = Board(b.memory, blob)
    assert b.open() == RL_OK
    while b.step() != rl.RL_DONE:
        pass
    assert b.output() == data


# ---------------------------------------------------------------- parts that grow


def in_parts(failed: int) -> tuple[Memory, bytes]:
    """An inference of three tiles in one segment whose input's record so many lives have failed
    at; its blob."""
    shape = (16, 16, 1)
    tiles = [(0, 0, 100), (0, 100, 100), (0, 200, 56)]
    blob = raw([shape, shape], [{"kind": Kind.RESHAPE}], scratch=0, tiles=tiles)
    b = Board(Memory(1024, FRAM), blob)
    assert b.open() == RL_OK and b.begin(5, bytes(range(256))) == RL_OK
    for _ in range(failed):
        assert Board(b.memory, blob).open() == RL_OK
    return b.memory, blob


def units_done(b: Board) -> int:
    """By the newest record."""
    return (0, 100, 200, 256)[b.record.tile] + int(b.record.part)


@pytest.mark.parametrize(
    ("failed", "parts"),
    [(0, [256]), (1, [200, 56]), (2, [100, 100, 56]), (3, [50, 50, 50, 50, 28, 28]),
     (4, [25, 25, 50, 50, 50, 28, 28]), (5, [13, 13, 25, 25, 24, 50, 50, 28, 28])],
)  # fmt: skip
def test_two_parts_in_one_life_make_the_next_twice_as_large_up_to_half_a_tile(
    failed: int, parts: list[int]
) -> None:
    """SPEC 4.8."""
    memory, blob = in_parts(failed)
    b = Board(memory, blob)
    assert b.open() == RL_OK
    found = []
    while sum(found) < 256:
        before = units_done(b)
        assert b.step() in (rl.RL_MORE, rl.RL_DONE)
        found.append(units_done(b) - before)
    assert found == parts and b.output() == bytes(range(256))


def test_parts_stay_as_they_are_where_each_life_gets_one_through() -> None:
    memory, blob = in_parts(5)
    for done in (13, 26, 39, 52, 65, 78, 91, 100):
        b = Board(memory, blob)
        assert b.open() == RL_OK and b.step() == rl.RL_MORE
        assert units_done(b) == done


@pytest.mark.parametrize(("failed", "first", "again"), [(2, 100, 100), (5, 13, 7)])
def test_what_fails_behind_a_commit_is_divided_as_what_is_left(
    failed: int, first: int, again: int
) -> None:
    """Two tiles of the segment; or a tile that is in parts already."""
    memory, blob = in_parts(failed)
    for lives, units in ((1, first), (2, again)):
        for _ in range(lives):
            b = Board(memory, blob)
            assert b.open() == RL_OK
        before = units_done(b)
        assert b.step() == rl.RL_MORE and units_done(b) == before + units


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("failed", range(7))
def test_an_inference_that_is_given_up_leaves_the_next_one_no_parts(
    failed: int, damaged: bool
) -> None:
    memory, blob = in_parts(failed)
    for _ in range(2 if failed > 2 else 0):  # lives with a part of a tile each
        b = Board(memory, blob)
        assert b.open() == RL_OK and b.step() == rl.RL_MORE
    for at in range(HOME, len(memory.data) if damaged else HOME):
        memory.data[at] ^= 1
    b = Board(memory, blob)
    assert b.open() == (rl.RL_E_DAMAGED if damaged else RL_OK)
    assert b.clear() == RL_OK
    data = bytes(range(255, -1, -1))
    assert b.begin(6, data) == RL_OK and b.record.part == 0
    assert b.step() == rl.RL_DONE and b.output() == data


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("failed", range(1, 6))
def test_the_segment_behind_one_that_was_divided_is_tried_whole(failed: int, first: int) -> None:
    plan = tile_by_tile(random_plan(3))
    ends = (0, first, len(plan.tiles))
    segments = tuple(Segment(a, b, 1, 1, 1.0, 0, 0.0) for a, b in itertools.pairwise(ends))
    blob = pack(dataclasses.replace(plan, segments=segments))
    memory = Memory(HOME + plan.nvm_size, FRAM)
    b = Board(memory, blob)
    assert b.open() == RL_OK and b.begin(5, input_of(b)) == RL_OK
    for _ in range(failed + 1):
        b = Board(memory, blob)
        assert b.open() == RL_OK
    steps = 0
    while b.record.tile < first:
        assert b.step() == rl.RL_MORE
        steps += 1
    assert steps > 1 and b.step() == rl.RL_DONE


def test_the_record_of_an_output_names_no_tile_and_is_read_without_one() -> None:
    memory, blob = in_parts(0)
    b = Board(memory, blob)
    assert b.open() == RL_OK and b.step() == rl.RL_DONE
    again = Board(memory, blob)
    assert again.open() == RL_OK and again.output() == b.output()


def test_a_record_whose_part_is_its_whole_tile_is_damaged() -> None:
    memory, blob = in_parts(2)
    b = Board(memory, blob)
    assert b.open() == RL_OK and b.step() == rl.RL_MORE
    at = (b.record.seq & 1) * 64
    for part, live_crc in ((0, b.record.live_crc), (100, b.record.live_crc), (101, 0), (100, 0)):
        forged = rl.Record.from_buffer_copy(bytes(b.record))
        if part:  # the same bytes are live, said in another way
            forged.tile, forged.part, forged.flags = 0, part, forged.flags | 1 << 2
        forged.live_crc = live_crc
        forged.crc = zlib.crc32(bytes(forged)[:-4])
        memory.data[at : at + 64] = bytes(forged)
        assert Board(memory, blob).open() == (rl.RL_E_DAMAGED if part else RL_OK)
