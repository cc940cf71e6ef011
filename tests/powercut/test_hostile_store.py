"""Records, cells and pages that nobody wrote, with the right CRC: they do no harm.

SECURITY S3, S4, S5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from tests import native
from tests.powercut import session as rl
from tests.powercut.boards import BLOB, SECTORS, board, finished, input_of, memory, started
from tests.powercut.plans import random_blob
from tests.powercut.session import FLASH, FRAM, RL_OK, Board
from tests.powercut.test_recovery_edges import in_parts


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


UNITS = native.accepted(BLOB).header.tile(BLOB, 0)[2]


def halved(units: int) -> Callable[[bytes], bytes]:
    """In the middle of the first tile, which was halved once."""
    return lambda record: field(22, "<B", 1 << 2)(field(18, "<H", units)(record))


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
    ("halved more often than can be", field(22, "<B", 17 << 2), RL_OK),
    ("units that no halving gives", field(18, "<H", 1), rl.RL_E_DAMAGED),
    ("all units of the tile", halved(UNITS), rl.RL_E_DAMAGED),
    ("more units than the tile has", halved(0xFFFF), rl.RL_E_DAMAGED),
    ("units that were not computed", halved(UNITS // 2), rl.RL_E_DAMAGED),
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


def test_a_finished_inference_is_not_said_to_run() -> None:
    """All else in its record holds, but there is no tile to go on with."""
    b = finished(FRAM)
    at = 64 * (b.record.seq & 1)
    b.memory.data[at : at + 64] = sealed(field(20, "<B", rl.RUNNING)(bytes(b.record)))
    assert board(FRAM, b.memory).open() == rl.RL_E_DAMAGED


def test_units_of_a_tile_that_was_not_halved_are_damage() -> None:
    """All else in the record holds."""
    room, blob = in_parts(5)
    b = Board(room, blob)
    assert b.open() == RL_OK and b.step() == rl.RL_MORE and b.record.part != 0
    at = 64 * (b.record.seq & 1)
    room.data[at : at + 64] = sealed(field(22, "<B", b.record.flags & 3)(bytes(b.record)))
    assert Board(room, blob).open() == rl.RL_E_DAMAGED


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
    for at in (128, 200, 255):
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
    blob = random_blob(34, nvm="fram")  # 16 tiles in one segment
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
