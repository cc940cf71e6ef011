"""UF2 images and the drives that take them: loaders of RP2040, RP2350 and Adafruit's of nRF."""

from __future__ import annotations

import os
import string
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relume.board.profile import BoardProfile, Flashing
from relume.errors import BoardError

BLOCK = 512
INFO = "INFO_UF2.TXT"
_HEAD = struct.Struct("<8I")
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_FAMILY_GIVEN = 0x2000
_NOT_FLASH = 0x0001
_PAYLOAD = 256


@dataclass(frozen=True)
class Drive:
    """A mounted drive with an INFO_UF2.TXT."""

    path: Path
    board_id: str
    model: str


@dataclass(frozen=True)
class Image:
    """A checked UF2. data: the file; first, end: flash offsets that it covers."""

    data: bytes
    first: int
    end: int


def loader_of(board: BoardProfile) -> Flashing:
    """Errors: BoardError for a board without UF2 loader."""
    if board.flashing is None or "uf2" not in board.flashing.ways:
        raise BoardError(f"{board.name}: {board.mcu} has no UF2 loader that relume knows")
    return board.flashing


def room_of(board: BoardProfile) -> tuple[int, int, str]:
    """(first, end) of the flash that an image may cover, and what that is."""
    region = board.regions.get("firmware")
    if region is None:
        loader = loader_of(board)
        return loader.first, loader.end, f"the flash of {board.name} that its loader writes"
    return region.offset, region.offset + region.size, f"the firmware region of {board.name}"


def read_image(path: Path, board: BoardProfile) -> Image:
    """A UF2 for this board that stays inside its firmware region. Errors: BoardError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror or error}") from error
    if not data or len(data) % BLOCK:
        raise BoardError(f"{path}: {len(data)} bytes is no UF2 image (512-byte blocks)")
    loader, count = loader_of(board), len(data) // BLOCK
    places = [
        _block(path, data[n * BLOCK :][:BLOCK], n, count, loader) - loader.base
        for n in range(count)
    ]
    lowest, highest, room = room_of(board)
    first, end = min(places), max(places) + _PAYLOAD
    if first < lowest or end > highest:
        raise BoardError(
            f"{path}: covers flash {first:#x} to {end:#x}, {room} is"
            f" {lowest:#x} to {highest:#x}: not an image of this layout"
        )
    if len(set(places)) != count:
        raise BoardError(f"{path}: two blocks for one address: the file is damaged")
    return Image(data, first, end)


def _block(path: Path, block: bytes, number: int, count: int, loader: Flashing) -> int:
    """Checks one block and returns its address."""
    head = _HEAD.unpack_from(block)
    magic, flags, address, payload, index, blocks, family = head[:2], *head[2:]

    def fail(text: str) -> BoardError:
        return BoardError(f"{path}: block {number} (offset {number * BLOCK}): {text}")

    if magic != _MAGIC or struct.unpack_from("<I", block, BLOCK - 4)[0] != _MAGIC_END:
        raise fail("no UF2 marks")
    if not flags & _FAMILY_GIVEN or family != loader.family:
        raise fail(f"made for family {family:#010x}, this chip is {loader.family:#010x}")
    if flags & _NOT_FLASH or payload != _PAYLOAD or address % _PAYLOAD:
        raise fail(f"{payload} bytes for {address:#010x}: not a flash page")
    if index != number or blocks != count:
        raise fail(f"says {index} of {blocks}, is {number} of {count}: the file is damaged")
    return int(address)


def blocks(pages: Mapping[int, bytes], loader: Flashing) -> bytes:
    """The UF2 of pages of 256 bytes by their flash offsets, in the order given."""
    made = bytearray()
    for number, (offset, page) in enumerate(pages.items()):
        place = (loader.base + offset, _PAYLOAD, number, len(pages))
        head = _HEAD.pack(*_MAGIC, _FAMILY_GIVEN, *place, loader.family)
        made += (head + page).ljust(BLOCK - 4, b"\0") + struct.pack("<I", _MAGIC_END)
    return bytes(made)


def find_drives(folder: Path | None = None) -> list[Drive]:
    """Drives with an INFO_UF2.TXT among the mounted volumes, or the one folder given."""
    found = []
    for path in _volumes() if folder is None else [folder]:
        drive = _drive(path)
        if drive is not None:
            found.append(drive)
    return found


def _volumes() -> Iterable[Path]:
    if os.name == "nt":
        return [Path(f"{letter}:/") for letter in string.ascii_uppercase]
    patterns = (("/media", "*"), ("/media", "*/*"), ("/run/media", "*/*"), ("/Volumes", "*"))
    mounts = (Path(root).glob(pattern) for root, pattern in patterns if Path(root).is_dir())
    return sorted({path for group in mounts for path in _readable(group)})


def _readable(paths: Iterable[Path]) -> Iterable[Path]:
    try:
        yield from paths
    except OSError:
        return


def _drive(path: Path) -> Drive | None:
    try:
        text = (path / INFO).read_text("ascii", "replace")
    except OSError:
        return None
    pairs = dict(line.partition(":")[::2] for line in text.splitlines() if ":" in line)
    board_id = pairs.get("Board-ID", "").strip()
    return Drive(path, board_id, pairs.get("Model", "").strip()) if board_id else None
