"""Which slots a scan finds: every sector in its turn, and none inside what is being uploaded.

The board looks at one word of a sector, and at drafts only before a header; here is what that is
to come to (SPEC 5), sector by sector.

SECURITY B5.
"""

from __future__ import annotations

import ctypes
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.powercut.slotflash import DATA, OK, SECTOR, Slot, SlotFlash

HEADER, DRAFT = int.from_bytes(b"RLSL", "little"), int.from_bytes(b"RLSD", "little")
DRAFT_AT = 64
LEAST = 128  # bytes of a blob's header
SECTORS = 10


def entry(magic: int, size: int, seq: int, sound: bool) -> bytes:
    """A header or a draft; not sound: its CRC is wrong."""
    slot = Slot(magic, seq, size, 1, 1, b"a")
    slot.crc = zlib.crc32(bytes(slot)[:60]) ^ (not sound)
    return bytes(slot)


def is_one(image: bytes, at: int, where: int, magic: int) -> int:
    """Its blob's size, if a header or a draft stands there; else 0."""
    slot = Slot.from_buffer_copy(image, at + where)
    sound = slot.crc == zlib.crc32(bytes(slot)[:60]) and slot.magic == magic
    fits = slot.size >= LEAST and DATA + slot.size <= len(image) - at
    return slot.size if sound and fits else 0


def expected(image: bytes) -> list[int]:
    """The slots' places, each sector looked at in its turn."""
    found, at = [], 0
    while at < len(image):
        size = is_one(image, at, 0, HEADER)
        if size:
            found.append(at)
        size = size or is_one(image, at, DRAFT_AT, DRAFT)
        at += -(-(DATA + size) // SECTOR) * SECTOR if size else SECTOR
    return found


def scanned(image: bytes) -> list[int]:
    """As rl_slots_next finds them."""
    flash = SlotFlash(len(image) // SECTOR, image)
    at, where, slot = ctypes.c_uint32(), ctypes.c_uint32(), Slot()
    found = []
    while (
        flash.librelume.rl_slots_next(
            ctypes.byref(flash.slots), ctypes.byref(at), ctypes.byref(slot), ctypes.byref(where)
        )
        == OK
    ):
        assert bytes(slot) == image[where.value : where.value + 64]
        found.append(where.value)
    assert flash.image.raw == image
    return found


sizes = st.one_of(
    st.integers(0, 3 * SECTOR),
    st.integers(1, SECTORS).flatmap(
        lambda n: st.integers(-1, 1).map(lambda d: n * SECTOR - DATA + d)
    ),
)
entries = st.none() | st.tuples(sizes, st.sampled_from([True, True, True, False]))
sectors = st.tuples(entries, entries)


@settings(deadline=None, max_examples=400)
@given(st.lists(sectors, min_size=1, max_size=SECTORS))
def test_a_scan_finds_the_slots_of_every_sector_but_those_inside_uploads(
    content: list[tuple[tuple[int, bool] | None, tuple[int, bool] | None]],
) -> None:
    image = bytearray(b"\xff" * len(content) * SECTOR)
    for number, pair in enumerate(content):
        for where, magic, one in zip((0, DRAFT_AT), (HEADER, DRAFT), pair, strict=True):
            if one is not None:
                at = number * SECTOR + where
                image[at : at + 64] = entry(magic, one[0], number, one[1])
    assert scanned(bytes(image)) == expected(bytes(image))


def test_a_header_inside_an_upload_is_passed_over_and_one_behind_it_is_found() -> None:
    image = bytearray(b"\xff" * 6 * SECTOR)
    image[SECTOR + DRAFT_AT : SECTOR + DRAFT_AT + 64] = entry(DRAFT, 2 * SECTOR, 0, True)
    for sector in (3, 5):
        image[sector * SECTOR : sector * SECTOR + 64] = entry(HEADER, LEAST, sector, True)
    assert scanned(bytes(image)) == expected(bytes(image)) == [5 * SECTOR]
    image[SECTOR + DRAFT_AT] ^= 1  # no draft, then
    assert scanned(bytes(image)) == [3 * SECTOR, 5 * SECTOR]
