"""Model slots: what is no slot, uploads that are taken up, and every refusal of the flash.

SECURITY B5, F3, F6.
"""

from __future__ import annotations

import ctypes
import zlib

import pytest
from relume.model.graph import Kind

from tests.powercut.plans import random_blob
from tests.powercut.session import _READ
from tests.powercut.slotflash import (
    DATA,
    E_FULL,
    E_NVM,
    E_NVM_SIZE,
    NOWHERE,
    OK,
    SECTOR,
    Slot,
    SlotFlash,
    wanted,
)
from tests.unit import blob_edit
from tests.unit.raw_blob import raw

E_TRUNCATED, E_CRC, E_STATE, E_SIZE, E_ARG = -1, -4, -14, -15, -18
HEADER, DRAFT, MARKS = int.from_bytes(b"RLSL", "little"), int.from_bytes(b"RLSD", "little"), 128
LISTED, MARKS_MAX = 10, 1024
FIRST = SECTOR - DATA  # bytes of a blob in its first sector
I2C = 4
SMALL = random_blob(1)
COPY = [{"kind": Kind.RESHAPE}]
LARGE = raw([(1, 1, 2)] * 2, COPY, data=bytes(n * 31 & 255 for n in range(2 * SECTOR)), scratch=0)
OTHER = raw([(1, 1, 3)] * 2, COPY, data=bytes(n * 37 & 255 for n in range(2 * SECTOR)), scratch=0)


def sealed(slot: Slot) -> bytes:
    """A header or a draft with its CRC."""
    slot.crc = zlib.crc32(bytes(slot)[:60])
    return bytes(slot)


def header(blob: bytes, name: str = "a", seq: int = 1, **fields: int) -> bytes:
    """The header of a blob's slot, fields changed, CRC right."""
    slot = wanted(name, blob)
    slot.magic, slot.seq, slot.store_size = HEADER, seq, 512
    for key, value in fields.items():
        setattr(slot, key, value)
    return sealed(slot)


def holding(*slots: tuple[int, bytes], sectors: int = 16) -> SlotFlash:
    """A region with these bytes at these sectors."""
    image = bytearray(b"\xff" * sectors * SECTOR)
    for sector, data in slots:
        image[sector * SECTOR : sector * SECTOR + len(data)] = data
    return SlotFlash(sectors, bytes(image))


def slot_of(blob: bytes, name: str, seq: int, **fields: int) -> bytes:
    """A whole slot."""
    return header(blob, name, seq, **fields).ljust(DATA, b"\xff") + blob


# ----------------------------------------------------------------------- what is found


@pytest.mark.parametrize("wrong", [
    {"size": 127}, {"size": 0}, {"size": 0xFFFFFFFF}, {"size": 15 * SECTOR - DATA + 1},
    {"magic": HEADER + 1},
])  # fmt: skip
def test_a_header_that_breaks_a_rule_is_no_slot(wrong: dict[str, int]) -> None:
    assert [row.name for row in holding((1, header(SMALL))).rows()] == ["a"]
    assert holding((1, header(SMALL, **wrong))).rows() == []
    assert len(holding((1, header(SMALL, size=15 * SECTOR - DATA))).rows()) == 1


def test_a_header_whose_name_or_crc_is_wrong_is_no_slot() -> None:
    whole = header(SMALL)
    assert holding((0, whole[:63] + bytes([whole[63] ^ 1]))).rows() == []
    long = whole[:20] + b"n" * 32 + whole[52:60]
    assert holding((0, long + zlib.crc32(long).to_bytes(4, "little"))).rows() == []


def test_a_region_that_ends_inside_a_sector_has_no_slot_there() -> None:
    flash = holding((2, header(SMALL, size=128)), sectors=3)
    assert len(flash.rows()) == 1
    flash.memory.nvm.size = 2 * SECTOR + DATA
    assert flash.rows() == []
    status, _ = flash.begin_as(Slot(0, 0, 2 * SECTOR, 1, 1, b"a"))
    assert status == E_FULL, "its last sector would not be whole"


def test_ten_slots_are_listed_at_most_whatever_the_flash_holds() -> None:
    blobs = [(n, header(SMALL, f"m{n}", n + 1, meta_crc=n)) for n in range(LISTED + 3)]
    for n in (LISTED - 1, LISTED, LISTED + 1, LISTED + 3):
        names = [row.name for row in holding(*blobs[:n]).rows()]
        assert names == [f"m{i}" for i in range(min(n, LISTED))]


# ---------------------------------------------------------------------------- uploads


def test_an_upload_is_taken_up_behind_its_last_whole_sector() -> None:
    second = FIRST + SECTOR
    for sent, after in ((0, 0), (FIRST - 1, 0), (FIRST, FIRST), (second - 1, FIRST),
                        (second, second), (len(LARGE), second)):  # fmt: skip
        flash = SlotFlash()
        assert flash.begin("a", LARGE) == (OK, 0)
        assert flash.upload(LARGE, 0, sent) == OK
        again = SlotFlash(image=flash.image.raw)
        assert again.begin("a", LARGE) == (OK, after)
        assert again.upload(LARGE, after) == OK
        assert again.end() == (OK, 0)
        assert [(row.name, row.blob) for row in again.rows()] == [("a", LARGE)]


def test_an_upload_of_anything_else_begins_anew() -> None:
    for name, blob in (("b", LARGE), ("a", OTHER)):
        flash = SlotFlash()
        assert flash.begin("a", LARGE) == (OK, 0) and flash.upload(LARGE, 0, FIRST) == OK
        assert flash.begin(name, blob) == (OK, 0)
        assert flash.upload(blob, 0) == OK and flash.end() == (OK, 0)


def test_marks_beyond_the_blobs_end_are_not_believed() -> None:
    draft = wanted("a", LARGE)
    draft.magic = DRAFT
    page = b"\xff" * 64 + sealed(draft) + bytes(DATA - MARKS)
    assert len(page) == DATA
    flash = holding((0, page + LARGE))
    assert flash.begin("a", LARGE) == (OK, len(LARGE))
    assert flash.end() == (OK, 0)
    torn = holding((0, page + LARGE[:-300]))
    assert torn.begin("a", LARGE) == (OK, len(LARGE))
    assert torn.end()[0] == E_CRC and torn.rows() == []
    assert torn.deploy("a", LARGE) == OK


def test_of_two_drafts_of_one_upload_one_is_kept() -> None:
    draft = wanted("a", LARGE)
    draft.magic = DRAFT
    page = (b"\xff" * 64 + sealed(draft)).ljust(DATA, b"\xff")
    flash = holding((2, page), (8, page))
    assert flash.begin("a", LARGE) == (OK, 0)
    assert flash.slots.at == 2 * SECTOR
    raw_bytes = flash.image.raw
    assert raw_bytes[8 * SECTOR : 8 * SECTOR + DATA] == b"\xff" * DATA
    assert flash.upload(LARGE, 0) == OK and flash.end() == (OK, 0)


def test_what_can_be_no_upload_is_refused() -> None:
    flash = SlotFlash()
    for slot, status in (
        (Slot(0, 0, 1000, 1, 1, b""), E_ARG), (Slot(0, 0, 127, 1, 1, b"a"), E_TRUNCATED),
        (Slot(0, 0, 16 * SECTOR - DATA + 1, 1, 1, b"a"), E_FULL),
    ):  # fmt: skip
        assert flash.begin_as(slot)[0] == status
        assert flash.write(0, b"x")[0] == flash.end()[0] == E_STATE
    long = Slot(0, 0, 1000, 1, 1)
    ctypes.memset(ctypes.addressof(long) + Slot.name.offset, 0x61, 32)
    assert flash.begin_as(long)[0] == E_ARG
    assert flash.begin_as(Slot(0, 0, 16 * SECTOR - DATA, 1, 1, b"a")) == (OK, 0)


def test_a_blob_has_no_more_sectors_than_there_are_marks() -> None:
    flash = SlotFlash(sectors=MARKS_MAX + 1)
    assert flash.begin_as(Slot(0, 0, MARKS_MAX * SECTOR, 1, 1, b"a"))[0] == E_FULL
    assert flash.begin_as(Slot(0, 0, MARKS_MAX * SECTOR - DATA, 1, 1, b"a")) == (OK, 0)


def test_bytes_that_do_not_continue_an_upload_are_not_taken() -> None:
    flash = SlotFlash()
    assert flash.begin("a", SMALL) == (OK, 0)
    assert flash.write(0, SMALL[:100]) == (OK, 100)
    for at in (0, 99, 101, NOWHERE):
        assert flash.write(at, SMALL[at : at + 10]) == (OK, 100)
    assert flash.write(100, SMALL[100:] + b"x") == (E_SIZE, 100)
    assert flash.end() == (E_STATE, 0), "not all is there"
    assert flash.upload(SMALL, 100) == OK and flash.end() == (OK, 0)
    assert flash.rows()[0].blob == SMALL


@pytest.mark.parametrize("field", ["meta_crc", "data_crc"])
def test_another_blob_than_was_announced_is_given_up(field: str) -> None:
    flash = SlotFlash()
    assert flash.deploy("b", OTHER) == OK
    said = wanted("a", LARGE)
    setattr(said, field, getattr(said, field) ^ 1)
    assert flash.begin_as(said) == (OK, 0) and flash.upload(LARGE, 0) == OK
    status, fault = flash.end()
    assert status == E_CRC and fault != 0
    assert [row.name for row in flash.rows()] == ["b"]
    assert flash.end()[0] == E_STATE


# --------------------------------------------------------------------------- refusals


def crowded() -> SlotFlash:
    """An older slot of the name, one of another, and an upload that was given up."""
    draft = wanted("d", OTHER)
    draft.magic = DRAFT
    page = (b"\xff" * 64 + sealed(draft)).ljust(DATA, b"\xff")
    return holding(
        (0, slot_of(SMALL, "a", 1)), (2, slot_of(random_blob(2), "a", 2)),
        (4, slot_of(random_blob(3), "b", 3)), (6, page), sectors=24,
    )  # fmt: skip


def names(flash: SlotFlash) -> list[str]:
    return sorted(row.name for row in flash.rows())


def deploys(flash: SlotFlash, said: Slot, blob: bytes) -> int:
    """The first status that is none of RL_OK."""
    status, at = flash.begin_as(said)
    status = status or flash.upload(blob, at)
    return status or flash.end()[0]


@pytest.mark.parametrize("sound", [True, False])
def test_any_refused_call_of_a_deploy_is_told_and_leaves_the_old_table_or_the_new(
    sound: bool,
) -> None:
    """Also where the blob is another than announced, so that it is given up."""
    said = wanted("c", LARGE)
    said.data_crc ^= not sound
    done = OK if sound else E_CRC
    after = ["a", "b", "c"] if sound else ["a", "b"]
    refused, seen = -1, set()
    while True:
        refused += 1
        flash, left = crowded(), [refused]

        def spoil(what: str, at: int, n: int, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == -1

        flash.memory.spoil = spoil
        status = deploys(flash, said, LARGE)
        if left[0] >= 0:
            break
        assert status == E_NVM
        seen.add(tuple(names(flash)))
        assert names(flash) in (["a", "b"], after)
        flash.memory.spoil = lambda what, at, n: False
        assert deploys(flash, said, LARGE) == done and names(flash) == after
    assert status == done and refused > 35 and ("a", "b") in seen


def test_a_refused_erase_of_a_removal_is_told() -> None:
    flash = crowded()
    flash.slots.at = NOWHERE
    slot = wanted("a", SMALL)
    for refused in (True, False):
        flash.memory.spoil = lambda what, at, n, refused=refused: refused
        status = flash.librelume.rl_slots_remove(ctypes.byref(flash.slots), ctypes.byref(slot))
        assert status == (E_NVM if refused else OK)
        assert names(flash) == (["a", "b"] if refused else ["b"])


def test_a_header_that_does_not_read_back_is_told() -> None:
    flash = SlotFlash()
    assert flash.begin("a", SMALL) == (OK, 0) and flash.upload(SMALL, 0) == OK
    nothing = _READ(lambda nvm, at, data, n: OK)
    flash.memory.nvm.write = nothing
    assert flash.end() == (E_NVM, 0)
    assert flash.rows() == []


# ------------------------------------------------------------------------------- room


def kind(blob: bytes, nvm_kind: int, **header_fields: int) -> bytes:
    """The blob for another memory."""
    changes = {f"header.{key}": value for key, value in header_fields.items()}
    return blob_edit.put(blob, {"header.nvm_kind": nvm_kind, **changes})


def test_a_model_gets_room_in_the_memory_of_its_kind() -> None:
    on_i2c = kind(SMALL, I2C)
    for rooms, status in (((1 << 16, 1 << 16, 0), E_NVM_SIZE), ((0, 0, 1 << 16), OK)):
        flash = SlotFlash()
        assert flash.begin("a", on_i2c) == (OK, 0) and flash.upload(on_i2c, 0) == OK
        assert flash.end(rooms) == (status, 0)


def test_what_is_byte_writable_gets_the_first_gap_that_is_large_enough() -> None:
    full = SlotFlash()
    for n, name in enumerate("abc"):
        assert full.deploy(name, random_blob(n)) == OK
    for n, gone in enumerate("abc"):
        flash = SlotFlash(image=full.image.raw)
        (part,) = ((r.store_at, r.store_size) for r in flash.rows() if r.name == gone)
        flash.remove(gone)
        assert flash.deploy("d", random_blob(n, paced=1)) == OK
        (row,) = (row for row in flash.rows() if row.name == "d")
        assert (row.store_at, row.store_size) == part, "and there is one at the end"


def test_a_ring_of_flash_gets_what_it_needs_where_half_of_the_gap_is_less() -> None:
    flash = SlotFlash()
    assert flash.deploy("a", random_blob(10, nvm="flash"), (0, 5 * SECTOR)) == OK
    (row,) = flash.rows()
    assert (row.store_at, row.store_size) == (0, 3 * SECTOR)


def test_a_ring_of_flash_gets_half_of_the_largest_gap_wherever_that_is() -> None:
    rooms = (1 << 16, 64 * SECTOR)
    blobs = {f"f{n}": random_blob(n, nvm="flash") for n in range(10, 15)}

    def parts(flash: SlotFlash) -> dict[str, tuple[int, int]]:
        return {r.name: (r.store_at // SECTOR, r.store_size // SECTOR) for r in flash.rows()}

    first = SlotFlash(32)
    for name in ("f10", "f11", "f12"):
        assert first.deploy(name, blobs[name], rooms) == OK
    assert parts(first) == {"f10": (0, 32), "f11": (32, 16), "f12": (48, 8)}
    last = SlotFlash(32, first.image.raw)
    first.remove("f10")
    assert first.deploy("f13", blobs["f13"], rooms) == OK and parts(first)["f13"] == (0, 16)
    last.remove("f11")
    assert last.deploy("f14", blobs["f14"], rooms) == OK and parts(last)["f14"] == (32, 8)
    small = [(n, slot_of(blobs[name], name, n + 1, store_at=8 * n * SECTOR, store_size=4 * SECTOR))
             for n, name in enumerate(("f10", "f11"))]  # fmt: skip
    grown = holding(*small, sectors=32)
    assert grown.deploy("f12", blobs["f12"], rooms) == OK and parts(grown)["f12"] == (12, 26)
