"""The store and the session answer every call, sensible or not, with the right status.

SECURITY S1.
"""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Callable

import pytest

from tests.powercut import session as rl
from tests.powercut.boards import (
    BLOB,
    FLASH_BLOB,
    OTHER,
    SECTORS,
    board,
    finished,
    input_of,
    memory,
    started,
    store_call,
)
from tests.powercut.plans import random_blob
from tests.powercut.session import FILE, FLASH, FRAM, RL_OK, Board, Memory

KINDS = pytest.mark.parametrize("kind", [FRAM, FLASH, FILE])


@KINDS
def test_an_empty_store_waits_for_an_input(kind: int) -> None:
    b = board(kind)
    assert b.open() == RL_OK
    assert b.session.state == rl.EMPTY
    assert b.step() == rl.RL_E_STATE
    assert b.take(5) == rl.RL_E_STATE
    assert b.clear() == RL_OK
    assert b.call("output", None, None) == rl.RL_E_STATE
    assert b.begin(5, input_of(b)[1:]) == rl.RL_E_SIZE
    assert b.begin(5, input_of(b)) == RL_OK


@KINDS
def test_a_running_inference_takes_no_other_input(kind: int) -> None:
    b = started(kind)
    seq = b.record.seq
    assert b.begin(5, input_of(b)) == RL_OK
    assert b.begin(6, input_of(b)) == rl.RL_E_STATE
    assert b.take(5) == rl.RL_E_STATE
    assert b.record.seq == seq


@KINDS
def test_an_output_is_kept_until_it_is_taken(kind: int) -> None:
    b = finished(kind)
    output = b.output()
    again = board(kind, b.memory)
    assert again.open() == RL_OK
    assert (again.session.state, again.output()) == (rl.DONE, output)
    assert again.step() == rl.RL_DONE
    assert again.begin(5, input_of(b)) == RL_OK
    assert again.take(6) == rl.RL_E_STATE
    assert again.take(5) == RL_OK
    assert again.take(5) == RL_OK
    assert again.call("output", None, None) == rl.RL_E_STATE
    assert board(kind, b.memory).open() == RL_OK
    assert again.take(6) == rl.RL_E_STATE


@KINDS
def test_an_output_that_nobody_took_is_given_up_by_the_next_input(kind: int) -> None:
    b = finished(kind)
    assert b.begin(6, input_of(b)) == RL_OK
    assert (b.record.inference, b.record.commits, b.record.brownouts) == (6, 1, 0)


@KINDS
def test_the_record_counts_boots_commits_and_bytes(kind: int) -> None:
    b = started(kind)
    for boots in range(1, 4):
        b = board(kind, b.memory)
        assert b.open() == RL_OK
        assert b.store.attempts == boots
    assert b.step() == rl.RL_MORE
    assert (b.record.brownouts, b.record.commits) == (3, 2)
    b = board(kind, b.memory)
    assert b.open() == RL_OK
    assert b.store.attempts == 1
    while b.step() != rl.RL_DONE:
        pass
    assert b.record.brownouts == 4
    assert b.record.tile == b.checked.header.n_tiles


@KINDS
def test_a_store_of_another_model_must_be_cleared_first(kind: int) -> None:
    b = started(kind)
    other = Board(b.memory, random_blob(1, nvm="flash" if kind == FLASH else "fram"))
    assert other.open() == rl.RL_E_MODEL
    assert other.begin(5, input_of(other)) == rl.RL_E_STATE
    assert other.step() == rl.RL_E_STATE
    assert other.clear() == RL_OK
    assert other.session.state == rl.IDLE
    seq = other.record.seq
    assert other.clear() == RL_OK
    assert other.record.seq == seq
    assert other.begin(5, input_of(other)) == RL_OK
    assert board(kind, b.memory).open() == rl.RL_E_MODEL


def test_an_idle_store_of_another_model_is_free() -> None:
    b = finished(FRAM)
    assert b.take(5) == RL_OK
    other = Board(b.memory, OTHER)
    assert other.open() == RL_OK
    assert other.session.state == rl.IDLE
    assert other.take(5) == rl.RL_E_STATE


def test_a_plan_for_another_kind_of_nvm_is_refused() -> None:
    assert Board(memory(FLASH), BLOB).open() == rl.RL_E_NVM_KIND
    assert Board(memory(FRAM), FLASH_BLOB).open() == rl.RL_E_NVM_KIND
    assert Board(memory(FILE), BLOB).open() == RL_OK
    for kind in (0, 4, 255):
        assert Board(Memory(1024, kind), BLOB).open() == rl.RL_E_NVM_KIND


def test_an_nvm_that_is_too_small_is_refused() -> None:
    assert Board(Memory(255, FRAM), BLOB).open() == rl.RL_E_NVM_SIZE
    assert Board(Memory(300, FRAM), BLOB).open() == rl.RL_E_NVM_SIZE
    assert Board(Memory(2 * 4096, FLASH), FLASH_BLOB).open() == rl.RL_E_NVM_SIZE
    assert Board(Memory(4 * 4096, FLASH), FLASH_BLOB, base=256).open() == rl.RL_E_NVM_SIZE
    assert Board(Memory(4 * 4096, FLASH), FLASH_BLOB, size=13000).open() == rl.RL_E_NVM_SIZE
    large = random_blob(31, nvm="flash", scale=10)
    assert Board(Memory(3 * 4096, FLASH), large).open() == rl.RL_E_NVM_SIZE
    assert Board(memory(FRAM), BLOB, base=1025, size=0).open() == rl.RL_E_NVM_SIZE
    assert Board(memory(FRAM), BLOB, base=1000, size=100).open() == rl.RL_E_NVM_SIZE


def test_a_chip_that_is_smaller_than_it_is_said_to_be_is_found() -> None:
    class Small(Memory):
        """512 bytes that answer at every address of 4096."""

        def _note(self, what: str, at: int, n: int) -> bool:
            done = super()._note(what, at, n)
            if what == "read":
                for place in range(at, at + n):
                    self.data[place] = self.data[place % 512]
            return done

    assert Board(Small(4096, FRAM), BLOB).open() == rl.RL_E_NVM_SIZE


def refuse_each_call(nvm: Memory, life: Callable[[], int]) -> int:
    """Runs life() with every single call to the NVM refused; returns how many there are."""
    was = bytes(nvm.data)
    refused = -1
    status = rl.RL_E_NVM
    while status == rl.RL_E_NVM:
        refused += 1
        countdown = [refused]

        def spoil(what: str, at: int, n: int, left: list[int] = countdown) -> bool:
            left[0] -= 1
            return left[0] == -1

        nvm.data[:] = was
        nvm.spoil = spoil
        status = life()
    nvm.spoil = lambda what, at, n: False
    assert countdown[0] >= 0, f"call {refused} was refused and nobody noticed: {status}"
    return refused


@KINDS
def test_any_refused_call_of_a_restore_is_noticed(kind: int) -> None:
    b = started(kind)
    assert b.step() == rl.RL_MORE
    assert refuse_each_call(b.memory, lambda: board(kind, b.memory).open()) > 8


@KINDS
def test_any_refused_call_of_giving_up_is_noticed(kind: int) -> None:
    b = started(kind)
    for _ in range(40):  # tiles and units are halved before
        assert board(kind, b.memory).open() == RL_OK
    again = board(kind, b.memory)

    def life() -> int:
        status = again.open()
        return again.step() if status == RL_OK else status

    assert refuse_each_call(b.memory, life) > 8
    assert again.session.state == rl.STUCK


def test_any_refused_call_of_the_mirror_probe_is_noticed() -> None:
    # What lies above looks like the probe cell once, and is no mirror of it.
    b = board(FRAM)
    assert b.open() == RL_OK
    pattern = bytes(byte ^ 0xFF for byte in b.memory.data[160:176])
    b.memory.data[160 + 256 : 176 + 256] = pattern
    assert refuse_each_call(b.memory, lambda: board(FRAM, b.memory).open()) > 6
    assert board(FRAM, b.memory).open() == RL_OK


@pytest.mark.parametrize("floating", [0x00, 0xFF])
def test_an_nvm_that_is_not_there_is_found(floating: int) -> None:
    class Absent(Memory):
        """A bus that floats."""

        def _write(self, nvm: int, at: int, data: int, n: int) -> int:
            return RL_OK

    assert Board(Absent(1024, FRAM, floating), BLOB).open() == rl.RL_E_NVM


@KINDS
def test_store_calls_out_of_order_are_refused(kind: int) -> None:
    b = board(kind)
    assert b.open() == RL_OK
    record = rl.Record()
    data = bytes(10)
    u32 = ctypes.c_uint32
    assert store_call(b, "attempt") == rl.RL_E_STATE
    assert store_call(b, "put", u32(0), data, u32(10), u32(0)) == rl.RL_E_STATE
    assert store_call(b, "end", ctypes.byref(record)) == rl.RL_E_STATE
    while store_call(b, "room", u32(10)) == rl.RL_ERASED:
        pass
    assert store_call(b, "begin", u32(10)) == RL_OK
    assert store_call(b, "put", u32(0), data, u32(11), u32(0)) == rl.RL_E_ARG
    assert store_call(b, "put", u32(0), data, u32(5), u32(6)) == rl.RL_E_ARG
    assert store_call(b, "put", u32(0), data, u32(5), u32(5)) == RL_OK
    assert store_call(b, "end", ctypes.byref(record)) == rl.RL_E_ARG
    assert store_call(b, "put", u32(5), data, u32(5), u32(0)) == RL_OK
    assert store_call(b, "end", ctypes.byref(record)) == rl.RL_E_ARG
    record.live_bytes, record.state = 10, rl.DONE
    assert store_call(b, "end", ctypes.byref(record)) == RL_OK
    if kind != FLASH:
        for home, n in ((765, 10), (2000, 1)):
            assert store_call(b, "begin", u32(10)) == RL_OK
            assert store_call(b, "put", u32(home), data, u32(n), u32(0)) == rl.RL_E_NVM_SIZE
            buffer = ctypes.create_string_buffer(16)
            got = store_call(b, "get", u32(home), u32(0), buffer, u32(n))
            assert got == rl.RL_E_NVM_SIZE


def test_flash_without_room_refuses_a_commit() -> None:
    b = board(FLASH)
    assert b.open() == RL_OK
    u32 = ctypes.c_uint32
    assert store_call(b, "begin", u32(10)) == rl.RL_E_FULL
    statuses = [store_call(b, "room", u32(255 * 15 * SECTORS)) for _ in range(SECTORS + 1)]
    assert statuses == [rl.RL_ERASED] * SECTORS + [rl.RL_E_NVM_SIZE]
    buffer = ctypes.create_string_buffer(16)
    for n in (0, 1):
        assert store_call(b, "get", u32(0), u32(0), buffer, u32(n)) == rl.RL_E_DAMAGED, "no record"


def test_making_room_never_erases_the_newest_record() -> None:
    b = started(FLASH)
    huge = ctypes.c_uint32(255 * 15 * SECTORS)
    statuses = [store_call(b, "room", huge) for _ in range(SECTORS + 1)]
    assert statuses.count(rl.RL_ERASED) == SECTORS - 1, "all but its own"
    assert statuses[-1] == rl.RL_E_NVM_SIZE
    again = board(FLASH, b.memory)
    assert again.open() == RL_OK
    assert again.session.state == rl.RUNNING


def test_a_damaged_output_is_not_given_out() -> None:
    b = finished(FRAM)
    for place in range(256, 1024):
        b.memory.data[place] ^= 1
    again = board(FRAM, b.memory)
    assert again.open() == rl.RL_E_DAMAGED
    assert again.session.state == rl.DONE
    assert again.call("output", None, None) == again.step() == rl.RL_E_STATE
    assert again.begin(5, input_of(b)) == again.begin(6, input_of(b)) == rl.RL_E_STATE
    assert again.clear() == RL_OK


def test_flash_reads_nothing_behind_its_live_bytes() -> None:
    b = started(FLASH)
    u32, buffer = ctypes.c_uint32, ctypes.create_string_buffer(4096)
    live = b.record.live_bytes
    assert store_call(b, "get", u32(0), u32(0), buffer, u32(live)) == RL_OK
    assert buffer.raw[:live] == input_of(b)
    assert store_call(b, "get", u32(0), u32(live - 1), buffer, u32(1)) == RL_OK
    assert store_call(b, "get", u32(0), u32(live), buffer, u32(0)) == RL_OK
    for order, n in ((0, live + 1), (live, 1), (live + 1, 0)):
        assert store_call(b, "get", u32(0), u32(order), buffer, u32(n)) == rl.RL_E_DAMAGED


def test_a_sector_that_does_not_erase_is_found() -> None:
    class Worn(Memory):
        def _erase(self, nvm: int, at: int) -> int:
            super()._erase(nvm, at)
            self.data[at + 3000] = 0xFE
            return RL_OK

    b = Board(Worn(SECTORS * 4096, FLASH), FLASH_BLOB)
    assert b.open() == RL_OK
    assert b.begin(5, input_of(b)) == rl.RL_E_NVM
    assert b.begin(5, input_of(b)) == rl.RL_E_NVM


def test_an_erase_count_at_its_end_stays_there() -> None:
    b = board(FLASH)
    head = struct.pack("<II", 0x31534C52, 0xFFFFFFFF)
    header = head + zlib.crc32(head).to_bytes(4, "little")
    b.memory.data[0:16] = header + bytes(4)
    assert b.open() == RL_OK
    assert store_call(b, "room", ctypes.c_uint32(1)) == rl.RL_ERASED
    assert b.memory.data[0:16] == header + b"\xff" * 4


@KINDS
def test_mounting_reads_each_byte_at_most_twice(kind: int) -> None:
    b = finished(kind)
    fresh = board(kind, b.memory)
    b.memory.log.clear()
    assert fresh.mount() == RL_OK
    count = [0] * len(b.memory.data)
    for what, at, n in b.memory.log:
        for place in range(at, at + n if what == "read" else at):
            count[place] += 1
    if kind != FLASH:
        for place in (160, *(160 + (1 << n) for n in range(8, 10))):
            assert max(count[place : place + 16]) <= 4
            count[place : place + 16] = [0] * 16
    assert max(count) <= 2
