"""The store and the session answer everything, sensible or not, with the right status."""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Callable

import pytest

from tests.powercut import session as rl
from tests.powercut.plans import random_blob
from tests.powercut.session import FILE, FLASH, FRAM, RL_OK, Board, Memory

BLOB = random_blob(0, nvm="fram")
OTHER = random_blob(1, nvm="fram")
FLASH_BLOB = random_blob(0, nvm="flash")
SECTORS = 6


def memory(kind: int) -> Memory:
    """A new NVM of a kind."""
    return Memory(SECTORS * 4096 if kind == FLASH else 1024, kind)


def board(kind: int, of: Memory | None = None) -> Board:
    """A board on a new NVM, or on one that was used."""
    return Board(of or memory(kind), FLASH_BLOB if kind == FLASH else BLOB)


def input_of(b: Board) -> bytes:
    """Some input of the right size."""
    return bytes(range(b.checked.header.tensor(b.checked.blob, b.checked.header.input)[1]))


def started(kind: int) -> Board:
    """A board with inference 5 committed."""
    b = board(kind)
    assert b.open() == RL_OK
    assert b.begin(5, input_of(b)) == RL_OK
    return b


def finished(kind: int) -> Board:
    """A board with the output of inference 5."""
    b = started(kind)
    while b.step() != rl.RL_DONE:
        pass
    return b


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
    for _ in range(rl_attempts := 10):
        assert board(kind, b.memory).open() == RL_OK
    again = board(kind, b.memory)

    def life() -> int:
        status = again.open()
        return again.step() if status == RL_OK else status

    assert rl_attempts > 8
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


def sealed(record: bytes) -> bytes:
    """The record with the right CRC."""
    return record[:60] + zlib.crc32(record[:60]).to_bytes(4, "little")


def field(at: int, layout: str, value: int) -> Callable[[bytes], bytes]:
    """Sets one field of a record."""

    def edit(record: bytes) -> bytes:
        new = bytearray(record)
        struct.pack_into(layout, new, at, value)
        return bytes(new)

    return edit


HOSTILE = [
    ("the tile is behind the plan", field(16, "<I", 0xFFFFFFFF), rl.RL_E_DAMAGED),
    ("the tile is the end", field(16, "<I", 13), rl.RL_E_DAMAGED),
    ("done in the middle", field(20, "<B", rl.DONE), rl.RL_E_DAMAGED),
    ("the live bytes are others", field(28, "<I", 3), rl.RL_E_DAMAGED),
    ("the live CRC is another", field(24, "<I", 3), rl.RL_E_DAMAGED),
    ("the model is another", field(8, "<I", 3), rl.RL_E_MODEL),
    ("the state is unknown", field(20, "<B", 5), RL_OK),
    ("the state is 0", field(20, "<B", 0), RL_OK),
    ("the kind is another", field(21, "<B", 9), RL_OK),
    ("a reserved field is set", field(22, "<H", 1), RL_OK),
    ("the other reserved field is set", field(56, "<I", 1), RL_OK),
    ("the magic is another", field(0, "<I", 1), RL_OK),
    ("the slot is the wrong one", field(4, "<I", 2), RL_OK),
    ("the home is not 0", field(52, "<I", 256), RL_OK),
]


@pytest.mark.parametrize(("edit", "status"), [case[1:] for case in HOSTILE],
                         ids=[case[0] for case in HOSTILE])  # fmt: skip
def test_a_hostile_record_with_the_right_crc_does_no_harm(
    edit: Callable[[bytes], bytes], status: int
) -> None:
    b = started(FRAM)
    assert b.record.seq == 1
    b.memory.data[64:128] = sealed(edit(bytes(b.memory.data[64:128])))
    again = board(FRAM, b.memory)
    assert again.open() == status
    if status == RL_OK:
        assert again.session.state == rl.EMPTY
    else:
        assert again.begin(5, input_of(b)) == again.step() == rl.RL_E_STATE
        assert again.clear() == RL_OK
    assert again.begin(5, input_of(b)) == RL_OK


def flash_edit(b: Board, at: int, layout: str, value: int) -> None:
    """Sets a field of the newest record page."""
    pages = -(-b.record.live_bytes // 255)
    page = b.record.home + 256 * pages
    record = bytes(b.memory.data[page : page + 64])
    b.memory.data[page : page + 64] = sealed(field(at, layout, value)(record))


@pytest.mark.parametrize("home", [0, 255, 257, 4096, SECTORS * 4096, SECTORS * 4096 - 256, 768])
def test_a_flash_record_that_names_other_pages_is_passed_over(home: int) -> None:
    b = started(FLASH)
    flash_edit(b, 52, "<I", home)
    again = board(FLASH, b.memory)
    assert again.open() == RL_OK
    assert again.session.state == rl.EMPTY
    assert again.begin(5, input_of(b)) == RL_OK


def test_a_flash_record_with_too_many_live_bytes_is_passed_over() -> None:
    b = started(FLASH)
    flash_edit(b, 28, "<I", 0xFFFFFFFF)
    again = board(FLASH, b.memory)
    assert again.open() == RL_OK
    assert again.session.state == rl.EMPTY


def test_a_flash_page_with_anything_behind_the_record_is_no_record() -> None:
    b = started(FLASH)
    page = b.record.home + 256 * -(-b.record.live_bytes // 255)
    for at in (96, 200, 255):
        b.memory.data[page + at] ^= 1
        again = board(FLASH, b.memory)
        assert again.open() == RL_OK
        assert again.session.state == rl.EMPTY
        b.memory.data[page + at] ^= 1
    assert board(FLASH, b.memory).open() == RL_OK


def test_flash_attempts_stop_at_their_last_mark() -> None:
    b = started(FLASH)
    page = b.record.home + 256 * -(-b.record.live_bytes // 255)
    b.memory.data[page + 64 : page + 96] = bytes(32)
    again = board(FLASH, b.memory)
    assert again.open() == RL_OK
    assert again.store.attempts == 256
    assert again.step() == rl.RL_E_STUCK
    assert again.session.state == rl.STUCK


def test_fram_attempts_stop_at_their_largest_count() -> None:
    b = started(FRAM)
    cell = struct.pack("<III", b.record.seq, 0xFFFFFFFF, 0)
    b.memory.data[144:160] = cell + zlib.crc32(cell).to_bytes(4, "little")
    again = board(FRAM, b.memory)
    assert again.open() == RL_OK
    assert again.store.attempts == 0xFFFFFFFF
    assert again.begin(5, input_of(b)) == RL_OK, "the host may send its input again"
    assert again.step() == rl.RL_E_STUCK


def test_a_new_record_does_not_inherit_the_attempts_of_a_lost_one() -> None:
    b = board(FRAM)
    cell = struct.pack("<III", 1, 200, 0)
    b.memory.data[128:144] = cell + zlib.crc32(cell).to_bytes(4, "little")
    assert b.open() == RL_OK
    assert b.begin(5, input_of(b)) == RL_OK
    again = board(FRAM, b.memory)
    assert again.open() == RL_OK
    assert again.store.attempts == 1


@pytest.mark.parametrize("attempts", [2, 3, 40, 0x7FFFFFFF])
def test_a_count_of_attempts_makes_the_parts_small_but_never_none(attempts: int) -> None:
    blob = random_blob(17, nvm="fram")  # 16 tiles in one segment
    b = Board(memory(FRAM), blob)
    assert b.open() == RL_OK
    assert b.begin(5, input_of(b)) == RL_OK
    cell = struct.pack("<III", b.record.seq, attempts - 1, 0)
    at = 128 + 16 * ((attempts - 1) & 1)
    b.memory.data[at : at + 16] = cell + zlib.crc32(cell).to_bytes(4, "little")
    again = Board(b.memory, blob)
    assert again.open() == RL_OK
    assert again.store.attempts == attempts
    if attempts > 12:
        assert again.step() == rl.RL_E_STUCK
        return
    parts = 1
    while again.step() == rl.RL_MORE:
        parts += 1
    assert parts == 2 ** (attempts - 1)


def test_the_sequence_goes_on_over_its_wrap() -> None:
    b = started(FRAM)
    record = field(4, "<I", 0xFFFFFFFE)(bytes(b.memory.data[64:128]))
    b.memory.data[0:64] = sealed(record)
    b.memory.data[64:128] = bytes(64)
    again = board(FRAM, b.memory)
    assert again.open() == RL_OK
    seqs = [again.record.seq]
    while again.step() != rl.RL_DONE:
        seqs.append(again.record.seq)
        fresh = Board(again.memory, BLOB)
        assert fresh.mount() == RL_OK
        assert fresh.record.seq == seqs[-1]
    assert seqs[:4] == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]


def store_call(b: Board, name: str, *arguments: object) -> int:
    """A function of store.h."""
    return int(getattr(b.library, f"rl_store_{name}")(ctypes.byref(b.store), *arguments))


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
    assert store_call(b, "get", u32(0), u32(0), buffer, u32(1)) == rl.RL_E_DAMAGED


def test_making_room_never_erases_the_newest_record() -> None:
    b = started(FLASH)
    huge = ctypes.c_uint32(255 * 15 * SECTORS)
    statuses = [store_call(b, "room", huge) for _ in range(SECTORS + 1)]
    assert statuses.count(rl.RL_ERASED) == SECTORS - 2, "all but its own, and one that was empty"
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
