"""The flash gap of a stock RP2040 as the engine in Python reads it: what a UF2 put there is found
whole, anything else is no model or one line.

SECURITY B5.
"""

from __future__ import annotations

import functools
import importlib
import struct
import sys
import zlib
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.reader import Blob, read_blob
from relume.board.profile import Gap, load_board
from relume.link.gap import gap_image
from relume_boards.virtual.figures import uf2_blocks

from tests.pure.twin import engine
from tests.unix.nets import planned

BOARD = load_board("RPI_PICO")
XIP, SECTOR, END = 0x10000000, 4096, 0xA0000
ROOM = Gap(END - 16 * SECTOR, END)
LABELS = b"yes\nno\n"


@functools.cache
def made(seed: int) -> Blob:
    return read_blob(planned(seed, core="portable").blob)


def image(seed: int = 4, labels: bytes = LABELS) -> dict[int, bytes]:
    """Pages of the UF2, the header last."""
    return dict(uf2_blocks(gap_image(made(seed), BOARD, "net", labels, ROOM)))


class Chip:
    """What a program on the board sees of its flash."""

    def __init__(self) -> None:
        self.flash = bytearray(b"\xff" * END)

    def put(self, pages: dict[int, bytes]) -> None:
        for at, page in pages.items():
            self.flash[at : at + len(page)] = page

    def bytearray_at(self, address: int, size: int) -> bytearray:
        at = address - XIP
        assert 0 <= at <= at + size <= END, f"{size} bytes at {address:#x} were read"
        return self.flash[at : at + size]

    def __getitem__(self, address: int) -> int:
        return int(struct.unpack_from("<H", self.flash, address - XIP)[0])


@functools.cache
def chip_and_gap() -> tuple[Chip, ModuleType]:
    """relume_pure.gap as it is on the board."""
    chip, before = Chip(), dict(sys.modules)
    engine()
    fakes: dict[str, Any] = {
        "machine": SimpleNamespace(mem16=chip),
        "rp2": SimpleNamespace(Flash=lambda: "the filesystem"),
        "uctypes": SimpleNamespace(
            addressof=lambda thing: XIP + END, bytearray_at=chip.bytearray_at
        ),
    }
    sys.modules.update(fakes)
    try:
        return chip, importlib.import_module("relume_pure.gap")
    finally:
        for name in fakes:
            sys.modules.pop(name, None)
            if name in before:
                sys.modules[name] = before[name]


@pytest.fixture
def chip() -> Iterator[Chip]:
    yield fresh()
    fresh()


def fresh() -> Chip:
    """Blank, and behind a turn-on."""
    chip, _ = chip_and_gap()
    chip.flash[:] = b"\xff" * END
    turn_on()
    return chip


def turn_on() -> None:
    _, gap = chip_and_gap()
    gap._known.clear()
    gap._checked.clear()


def model() -> Any:
    return chip_and_gap()[1].blob()


def refusal() -> str:
    with pytest.raises(engine().BlobError) as caught:
        model()
    line = str(caught.value)
    assert line.startswith("flash at 0x") and "\n" not in line
    assert line.endswith("relume flash --model NET.rlm --stock again")
    return line


def header_at(pages: dict[int, bytes]) -> int:
    return list(pages)[-1]


def edited(page: bytes, at: int, value: int) -> bytes:
    """A header with another field and the right CRC."""
    head = bytearray(page)
    struct.pack_into("<I", head, at, value)
    struct.pack_into("<I", head, 60, zlib.crc32(head[:60]))
    return bytes(head)


@pytest.mark.parametrize("labels", [LABELS, b""])
def test_a_model_is_found_in_place_with_its_labels(chip: Chip, labels: bytes) -> None:
    chip.put(image(4, labels))
    gap = chip_and_gap()[1]
    assert bytes(model()) == made(4).image
    name, size, meta_crc, data_crc, _, active, *_ = gap.find()[1]
    assert (name, size, active) == ("net", made(4).size, True)
    assert (meta_crc, data_crc) == (made(4).meta_crc, made(4).data_crc)
    assert gap.labels(meta_crc) == (labels.decode() or None) and gap.labels(1) is None


def test_a_blank_gap_and_noise_hold_no_model(chip: Chip) -> None:
    assert model() is None
    for noise in (b"\0", b"\x55", b"RLSL"[::-1]):
        chip.flash[:] = (noise * END)[:END]
        turn_on()
        assert model() is None


def test_a_copy_that_is_cut_off_anywhere_leaves_no_model(chip: Chip) -> None:
    pages = image()
    for at in list(pages)[:-1]:
        chip.put({at: pages[at]})
        turn_on()
        assert model() is None
    chip.put(pages)
    turn_on()
    assert model() is not None


def test_a_torn_blob_and_a_flipped_bit_are_one_line(chip: Chip) -> None:
    pages = image()
    head = header_at(pages)
    for at in range(head + 256, head + 256 + made(4).size - 256, 512):
        for wrong in (b"\xff" * 256, bytes([pages.get(at, b"\0")[0] ^ 4])):
            chip.put(pages)
            if chip.flash[at : at + len(wrong)] == wrong:
                continue
            chip.put({at: wrong})
            turn_on()
            assert refusal()


def test_a_damaged_header_is_one_line_unless_a_whole_one_lies_below(chip: Chip) -> None:
    pages = image()
    head = header_at(pages)
    chip.put(pages)
    chip.flash[head + 30] ^= 1
    turn_on()
    assert "header of a model is damaged" in refusal()
    low = gap_image(made(4), BOARD, "low", b"", Gap(ROOM.first - 32 * SECTOR, ROOM.first))
    chip.put(dict(uf2_blocks(low)))
    turn_on()
    assert bytes(model()) == made(4).image


@pytest.mark.parametrize("field", [8, 12, 16])
def test_a_header_that_does_not_fit_its_blob_is_no_model(chip: Chip, field: int) -> None:
    """size, meta_crc and data_crc, each with a header CRC that is right."""
    pages = image()
    head = header_at(pages)
    for value in (0, 1, 127, 1 << 20, 0xFFFFFFFF, made(4).size - 16):
        chip.put(pages)
        chip.put({head: edited(pages[head], field, value)})
        turn_on()
        assert refusal()


def test_labels_that_are_damaged_are_none_and_the_model_is_there(chip: Chip) -> None:
    pages = image()
    head, gap = header_at(pages), chip_and_gap()[1]
    for at in (head + 256 + made(4).size, head + 68, head + 72):
        chip.put(pages)
        chip.flash[at] ^= 0x80
        turn_on()
        assert gap.labels(made(4).meta_crc) is None and bytes(model()) == made(4).image


@settings(max_examples=120, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 16 * SECTOR - 1), st.binary(min_size=1, max_size=300)),
       min_size=1, max_size=6), st.booleans())  # fmt: skip
def test_whatever_lies_in_the_gap_is_the_model_no_model_or_one_line(
    splinters: list[tuple[int, bytes]], near: bool
) -> None:
    chip, pages = fresh(), image()
    chip.put(pages)
    for offset, data in splinters:
        at = header_at(pages) + offset % 512 if near else ROOM.first + offset
        chip.flash[at : at + len(data)] = data[: END - at]
    turn_on()
    try:
        found = model()
    except engine().BlobError as error:
        assert "\n" not in str(error) and str(error).startswith("flash at 0x")
    else:
        assert found is None or bytes(found) == made(4).image


def test_firmware_that_does_not_say_where_its_filesystem_is_has_no_gap(
    chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip.put(image())
    gap = chip_and_gap()[1]

    def none(thing: object) -> int:
        raise TypeError("object with buffer protocol required")

    monkeypatch.setattr(gap, "addressof", none)
    assert gap.find() is None and model() is None


def test_elsewhere_nothing_is_looked_for() -> None:
    pure = engine()
    assert pure.slots() == [] and pure.slot_blob(None) is None and pure.slot_labels(1) is None
