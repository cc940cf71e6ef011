"""A host and a board of different versions, and NVM that another version wrote: served, or refused
in one clear line; never read as something else.

Versions of blobs: unit/test_blob_checker (C), unit/test_pack (host), pure/test_pure_engine.
"""

from __future__ import annotations

import struct
import zlib

import pytest
from relume.errors import LinkError
from relume.link.client import Board
from relume.link.frames import Decoder, encode
from relume.link.messages import Kind
from relume.link.ports import Port
from relume.link.stream import Stream

from tests.fuzz.serverboard import Flash, ServerBoard
from tests.powercut import boards
from tests.powercut.boards import finished, input_of
from tests.powercut.session import DONE, EMPTY, FLASH, FRAM, RL_DONE, RL_OK, Memory
from tests.powercut.slotflash import OK, SlotFlash
from tests.unit.fakeboard import FakeBoard, Kept
from tests.unit.fakelines import Bench, Faults
from tests.unit.test_link_drops import NEW, OLD, PATIENT

PROTOCOL_AT, MAJOR_AT, MINOR_AT = 0, 1, 2  # in a reply to HELLO


class Other(FakeBoard):
    """A board whose firmware is another one: some bytes of its HELLO differ."""

    other: dict[int, int]

    def hello(self, body: bytes) -> bytes:
        reply = bytearray(super().hello(body))
        for at, value in self.other.items():
            reply[at] = value
        return bytes(reply)


def client(other: dict[int, int], version: int = 1) -> tuple[Board, Kept]:
    """A host's view of a board, and what the board keeps."""
    kept = Kept(models={"old": OLD}, active="old")

    def made(kept: Kept) -> FakeBoard:
        board = Other(kept, version=version)
        board.other = other
        return board

    bench = Bench(kept, Faults(), made)
    stream = Stream(bench, PATIENT, clock=bench.clock, sleep=bench.sleep)
    return Board(Port("bench"), stream=stream), kept


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("where", ["frames", "hello"])
def test_another_protocol_is_refused_in_one_line(version: int, where: str) -> None:
    board, kept = (
        client({}, version=version) if where == "frames" else client({PROTOCOL_AT: version})
    )
    with pytest.raises(LinkError, match=f"link protocol {version}, this relume 1") as caught:
        board.deploy(NEW, "new")
    assert "\n" not in str(caught.value) and "relume flash" in str(caught.value)
    assert kept.models == {"old": OLD}


@pytest.mark.parametrize("major", [0, 2])
def test_a_board_that_reads_other_blobs_gets_none(major: int) -> None:
    board, kept = client({MAJOR_AT: major})
    with pytest.raises(LinkError, match=rf"reads blobs of version {major}\.0, this one is 1\.0"):
        board.deploy(NEW, "new")
    assert kept.models == {"old": OLD}


def test_a_newer_board_that_still_reads_our_blobs_is_served() -> None:
    board, kept = client({MINOR_AT: 7})
    board.deploy(NEW, "new")
    assert kept.models["new"] == NEW


def test_requests_of_another_protocol_are_dropped_by_the_board() -> None:
    """Bytes of a newer host: the older board's server answers none of them, and does nothing."""
    board = ServerBoard(Flash())
    board.feed(encode(Kind.HELLO, 5, b"", version=2))
    assert not board.out
    board.feed(encode(Kind.HELLO, 6, b""))
    assert _kinds(bytes(board.out)) == [(Kind.HELLO | 0x80, 6)]


def _kinds(wire: bytes) -> list[tuple[int, int]]:
    return [(frame.kind, frame.seq) for frame in Decoder().feed(wire)]


def of_another_version(memory: Memory) -> int:
    """Gives every record another magic, and the CRC that belongs to it; how many there were."""
    found = 0
    for at in range(0, len(memory.data) - 63, 64):
        record = bytearray(memory.data[at : at + 64])
        right = struct.pack("<I", zlib.crc32(record[:60]))
        if record[:4] == b"RLR1" and record[60:] == right:
            record[:4] = b"RLR2"
            record[60:] = struct.pack("<I", zlib.crc32(record[:60]))
            memory.data[at : at + 64] = record
            found += 1
    return found


@pytest.mark.parametrize("kind", [FRAM, FLASH])
def test_records_of_another_version_are_no_records(kind: int) -> None:
    """The store is empty, as after any other program; it never computes on what they describe."""
    memory = finished(kind).memory
    again = boards.board(kind, memory)
    assert again.open() == RL_OK and again.session.state == DONE
    assert of_another_version(memory) >= 1
    board = boards.board(kind, memory)
    assert board.open() == RL_OK and board.session.state == EMPTY
    assert board.begin(6, input_of(board)) == RL_OK
    while (status := board.step()) != RL_DONE:
        assert status >= 0
    assert board.output() == again.output()


def test_a_slot_of_another_version_is_not_listed_and_gives_way() -> None:
    slots = SlotFlash()
    assert slots.deploy("a", boards.BLOB) == OK
    image = bytearray(slots.image.raw)
    at = image.index(b"RLSL")
    image[at : at + 4] = b"RLSM"
    image[at + 60 : at + 64] = struct.pack("<I", zlib.crc32(image[at : at + 60]))
    later = SlotFlash(image=bytes(image))
    assert later.rows() == []
    assert later.deploy("b", boards.OTHER) == OK
    assert [row.name for row in later.rows()] == ["b"]
