"""A model as a UF2: a slot of the blobs region (SPEC 5) that a board's loader programs.

The loader erases a sector before the first page that it programs there. A blank page at the start
of every other sector therefore takes older models away, and what flash checkpoints they had. The
order rises, so that an older header goes before its blob, but for the new header, which comes last
(invariant F1): a copy that is cut off leaves no model that is not whole.
"""

from __future__ import annotations

import struct
import zlib

from relume.blob.reader import Blob
from relume.board.profile import BoardProfile, Region
from relume.errors import BoardError
from relume.link.uf2 import blocks, loader_of

SECTOR, PAGE = 4096, 256
NAME_BYTES = 31
MAGIC = b"RLSL"
BLANK = b"\xff" * PAGE


def model_image(blob: Blob, board: BoardProfile, name: str) -> bytes:
    """The UF2 that leaves this model alone in the board's flash. Errors: BoardError."""
    if "blobs" not in board.regions:
        raise BoardError(
            f"{board.name}: its firmware has models as files: relume deploy, or relume romfs"
        )
    check(blob, board, name)
    pages = _slot(blob, board, name)
    if blob.nvm == "flash":
        pages |= _blank(board.regions["store"], board.nvm_size("flash"))
    first = board.regions["blobs"].offset
    head = pages.pop(first)
    return blocks(dict(sorted(pages.items())) | {first: head}, loader_of(board))


def check(blob: Blob, board: BoardProfile, name: str) -> None:
    """Errors: BoardError: a model for another board, or a name that no header takes."""
    if blob.board != board.name:
        raise BoardError(f"{name}: planned for {blob.board}, not {board.name}: plan it again")
    if not 1 <= len(name.encode()) <= NAME_BYTES or "\0" in name:
        raise BoardError(f"model name {name!r}: 1 to {NAME_BYTES} bytes: rename the file")


def _slot(blob: Blob, board: BoardProfile, name: str) -> dict[int, bytes]:
    """Flash offset -> page, of the whole region."""
    region = board.regions["blobs"]
    whole = header(blob, board, name).ljust(PAGE, b"\xff") + blob.image
    if len(whole) > region.size:
        raise BoardError(f"{name}: {blob.size} bytes, the board has room for {region.size - PAGE}")
    whole += b"\xff" * (-len(whole) % PAGE)
    pages = _blank(region, region.size)
    for at in range(0, len(whole), PAGE):
        pages[region.offset + at] = whole[at : at + PAGE]
    return pages


def header(blob: Blob, board: BoardProfile, name: str) -> bytes:
    """The slot's header: the first model, its store at the beginning of its NVM."""
    room = board.nvm_size(blob.nvm)
    # A ring of flash wears the less the larger it is, and no other model is there.
    size = room if blob.nvm == "flash" else -(-(PAGE + blob.nvm_size) // PAGE) * PAGE
    if size > room:
        raise BoardError(f"{name}: {size} bytes of {blob.nvm}, models have {room} of it")
    text = name.encode().ljust(NAME_BYTES + 1, b"\0")
    fields = struct.pack("<IIII", 1, blob.size, blob.meta_crc, blob.data_crc)
    made = MAGIC + fields + text + struct.pack("<II", 0, size)
    return made + struct.pack("<I", zlib.crc32(made))


def _blank(region: Region, size: int) -> dict[int, bytes]:
    return {region.offset + at: BLANK for at in range(0, size, SECTOR)}
