"""The cells of the byte-writable store: probe and attempts, seen at every call of the NVM.

SECURITY S1, S3.
"""

from __future__ import annotations

import ctypes
import struct
import zlib

import pytest

from tests.powercut import session as rl
from tests.powercut.boards import BLOB, board, input_of, started, store_call
from tests.powercut.session import FILE, FRAM, RL_OK, Board, Memory

PROBE, CELLS = 160, (128, 144)
KINDS = pytest.mark.parametrize("kind", [FRAM, FILE])


def cell(seq: int, attempts: int, zero: int = 0) -> bytes:
    """SPEC 4.2."""
    head = struct.pack("<III", seq, attempts, zero)
    return head + struct.pack("<I", zlib.crc32(head))


@KINDS
def test_a_mount_writes_the_complement_of_the_whole_probe_cell(kind: int) -> None:
    b = board(kind)
    b.memory.data[PROBE : PROBE + 16] = bytes(range(16))
    for expected in (bytes(255 - n for n in range(16)), bytes(range(16))):
        assert b.mount() == RL_OK
        assert bytes(b.memory.data[PROBE : PROBE + 16]) == expected
        assert b.memory.writes() == [(PROBE, 16)]


@KINDS
@pytest.mark.parametrize("place", range(16))
def test_a_bit_of_the_probe_cell_that_cannot_be_written_is_found(kind: int, place: int) -> None:
    b = board(kind)
    b.memory.data[PROBE : PROBE + 16] = bytes(16)
    write = b.memory._write

    def stuck(nvm: int, at: int, data: int, n: int) -> int:
        status = write(nvm, at, data, n)
        b.memory.data[PROBE + place] &= 0x7F
        return status

    b.memory.nvm.write = rl._READ(stuck)
    assert b.mount() == rl.RL_E_NVM


@KINDS
def test_attempts_alternate_between_two_cells_and_each_names_its_record(kind: int) -> None:
    b = started(kind)
    seq = b.record.seq
    for attempts in (1, 2, 3, 4):
        again = board(kind, b.memory)
        assert again.mount() == RL_OK and again.store.attempts == attempts - 1
        again.memory.writes()
        assert store_call(again, "attempt") == RL_OK
        assert again.memory.writes() == [(CELLS[attempts & 1], 16)]
        at = CELLS[attempts & 1]
        assert bytes(b.memory.data[at : at + 16]) == cell(seq, attempts)


@KINDS
@pytest.mark.parametrize(
    ("wrong", "place"),
    [(cell(1, 5, zero=1), 1), (cell(1, 4), 1), (cell(1, 5), 0), (cell(1, 5)[:12] + bytes(4), 1),
     (cell(2, 5), 1), (cell(0, 5), 1)],
)  # fmt: skip
def test_a_cell_that_breaks_a_rule_does_not_count(kind: int, wrong: bytes, place: int) -> None:
    b = started(kind)
    assert b.record.seq == 1
    b.memory.data[CELLS[place] : CELLS[place] + 16] = wrong
    again = board(kind, b.memory)
    assert again.mount() == RL_OK
    assert again.store.attempts == 0


@KINDS
def test_the_higher_count_of_two_cells_is_taken_and_none_while_nothing_runs(kind: int) -> None:
    b = started(kind)
    for low, high in ((2, 3), (4, 3)):
        for count in (low, high):
            b.memory.data[CELLS[count & 1] : CELLS[count & 1] + 16] = cell(1, count)
        again = board(kind, b.memory)
        assert again.mount() == RL_OK and again.store.attempts == max(low, high)
    assert again.open() == RL_OK
    assert again.clear() == RL_OK
    b.memory.data[CELLS[1] : CELLS[1] + 16] = cell(again.record.seq, 7)
    last = board(kind, b.memory)
    assert last.mount() == RL_OK and last.store.attempts == 0


@KINDS
def test_an_empty_store_goes_on_behind_the_highest_number_that_a_cell_names(kind: int) -> None:
    for numbers, expected in (((7, 6), 8), ((6, 7), 8), ((0xFFFF_FFFF, 1), 2)):
        b = board(kind)
        for place, seq in enumerate(numbers):
            b.memory.data[CELLS[place] : CELLS[place] + 16] = cell(seq, place)
        assert b.open() == RL_OK and b.begin(5, input_of(b)) == RL_OK
        assert b.record.seq == expected and b.store.attempts == 0


@KINDS
def test_a_refused_call_of_a_mount_an_attempt_or_a_commit_is_told_and_ends_it(kind: int) -> None:
    for call in ("mount", "attempt", "commit"):
        total = _refuse(kind, call, None)
        for number in range(total):
            assert _refuse(kind, call, number) == number + 1, "nothing is done after a failure"


def _refuse(kind: int, call: str, number: int | None) -> int:
    """Calls of the NVM in all, the one with the number refused."""
    b = started(kind)
    again, calls = board(kind, b.memory), 0
    assert call == "mount" or again.open() == RL_OK

    def spoil(what: str, at: int, n: int) -> bool:
        nonlocal calls
        calls += 1
        return calls - 1 == number

    b.memory.spoil = spoil
    if call == "mount":
        status = again.mount()
    elif call == "attempt":
        status = store_call(again, "attempt")
    else:
        assert store_call(again, "begin", ctypes.c_uint32(0)) == RL_OK
        record = rl.Record()
        record.state = rl.IDLE
        status = store_call(again, "end", ctypes.byref(record))
    assert status == (RL_OK if number is None else rl.RL_E_NVM)
    return calls


@KINDS
@pytest.mark.parametrize("real", [512, 1024, 2048])
def test_a_chip_smaller_than_it_is_said_to_be_is_found(kind: int, real: int) -> None:
    """Its address lines beyond are missing, so that its bytes show again at `real`."""
    b = Board(Memory(4096, kind), BLOB)
    read, write = b.memory._read, b.memory._write
    b.memory.nvm.read = rl._READ(lambda nvm, at, data, n: read(nvm, at % real, data, n))
    b.memory.nvm.write = rl._READ(lambda nvm, at, data, n: write(nvm, at % real, data, n))
    assert b.mount() == rl.RL_E_NVM_SIZE
    assert Board(Memory(real, kind), BLOB).mount() == RL_OK


@KINDS
def test_a_probe_cell_that_shows_again_in_the_last_bytes_is_found(kind: int) -> None:
    """Of 256 bytes that are said to be 512, in a region that begins at 80."""
    b = Board(Memory(512, kind), BLOB, base=80)
    read, write = b.memory._read, b.memory._write
    b.memory.nvm.read = rl._READ(lambda nvm, at, data, n: read(nvm, at % 256, data, n))
    b.memory.nvm.write = rl._READ(lambda nvm, at, data, n: write(nvm, at % 256, data, n))
    assert b.mount() == rl.RL_E_NVM_SIZE


@KINDS
def test_the_probe_looks_at_nothing_behind_the_end(kind: int) -> None:
    for base in range(257):
        assert Board(Memory(512, kind), BLOB, base=base, size=256).mount() == RL_OK


@KINDS
def test_a_region_may_hold_nothing_but_records(kind: int) -> None:
    b = Board(Memory(256, kind), BLOB)
    assert b.mount() == RL_OK
    assert Board(Memory(255, kind), BLOB).mount() == rl.RL_E_NVM_SIZE
    assert store_call(b, "fits", ctypes.c_uint32(0)) == RL_OK
    assert store_call(b, "fits", ctypes.c_uint32(1)) == rl.RL_E_NVM_SIZE
    zero, data = ctypes.c_uint32(0), ctypes.create_string_buffer(4)
    assert store_call(b, "begin", zero) == RL_OK
    assert store_call(b, "put", zero, data, zero, zero) == RL_OK
    assert store_call(b, "get", zero, zero, data, zero) == RL_OK
