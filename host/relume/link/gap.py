"""A model in the flash gap of a board with MicroPython's own firmware (docs/SPEC.md 5.1).

Between the image of a stock RP2040 and its filesystem lies flash that nobody uses and every
program reads in place. A UF2 puts a slot at the top of it, labels behind the blob. The header
comes last, so that a copy that is cut off leaves no model.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from relume.blob.reader import Blob
from relume.board.profile import BoardProfile, Gap
from relume.errors import BoardError, LinkError
from relume.link import stock
from relume.link.model_uf2 import BLANK, MAGIC, PAGE, SECTOR, check, header
from relume.link.stock import Opener
from relume.link.uf2 import blocks, loader_of

_LABELS = b"RLLB"
_LABELS_AT = 64  # in the header's page
_HEADER = struct.Struct("<4sIIII32sIII")
_HEAD_BYTES = 76  # of header and labels' record
_MOST = 16 << 20  # of flash: what a board may say of itself

_PROBE = f"""
import sys, os
try:
 import _relume
 _r = 1
except ImportError:
 _r = 0
_e, _x, _u, _s = 0, 0x10000000, [], []
try:
 import rp2
 from uctypes import addressof, bytearray_at
 _e = addressof(rp2.Flash()) - _x
 try:
  import vfs
  _e = min(_e, addressof(vfs.rom_ioctl(2, 0)) - _x)
 except (ImportError, AttributeError, TypeError):
  pass
except (ImportError, TypeError):
 pass
_b = b"\\xff" * {SECTOR}
for _n in range(_e // {SECTOR}):
 _p = bytearray_at(_x + _n * {SECTOR}, {SECTOR})
 _u.append("0" if _p == _b else "1")
 if _p[:4] == {MAGIC!r}:
  _s.append((_n * {SECTOR}, bytes(_p[:{_HEAD_BYTES}])))
print(repr((os.uname()[4] if hasattr(os, "uname") else sys.platform, _r, _e, "".join(_u), _s)))
"""


@dataclass(frozen=True)
class Lying:
    """A model in the gap: its slot is at [at, end) of the flash, whole sectors."""

    name: str
    at: int
    end: int
    meta_crc: int
    data_crc: int


@dataclass(frozen=True)
class Found:
    """The flash below a running board's filesystem, which begins at end; 0: the firmware does not
    say. used: one flag a sector; models: the topmost first."""

    machine: str
    relume: bool
    end: int
    used: tuple[bool, ...]
    models: tuple[Lying, ...]

    @property
    def free_from(self) -> int:
        """From here to the end all is blank or a model of ours."""
        ours = {at for one in self.models for at in range(one.at, one.end, SECTOR)}
        at = self.end
        while at >= SECTOR and (not self.used[at // SECTOR - 1] or at - SECTOR in ours):
            at -= SECTOR
        return at


# ---- what lies there -------------------------------------------------------


def look(opener: Opener, patience: float = 30.0) -> Found:
    """Asks a running board, behind a soft reset. Errors: LinkError."""
    answer = stock.ask(opener, _PROBE, patience)
    try:
        return _found(*answer)
    except (TypeError, ValueError) as error:
        raise LinkError(f"{opener.name}: the board misstates its flash ({error})") from error


def _found(machine: str, relume: int, end: int, used: str, heads: list[Any]) -> Found:
    if not 0 <= end <= _MOST or end % SECTOR or len(used) != end // SECTOR or set(used) - {*"01"}:
        raise ValueError(f"its filesystem begins at {end}")
    if not machine.isprintable():
        raise ValueError("its name is no text")
    models = [one for at, head in heads if (one := _lying(int(at), bytes(head), end)) is not None]
    models.sort(key=lambda one: -one.at)
    return Found(machine, bool(relume), end, tuple(flag == "1" for flag in used), tuple(models))


def _lying(at: int, head: bytes, end: int) -> Lying | None:
    """The model whose header's page begins with `head`, None if it is none."""
    if len(head) != _HEAD_BYTES or zlib.crc32(head[:60]) != _HEADER.unpack_from(head)[-1]:
        return None
    _, _, size, meta_crc, data_crc, name, _, _, _ = _HEADER.unpack_from(head)
    mark, more, _ = struct.unpack_from("<4sII", head, _LABELS_AT)
    whole = PAGE + size + (more if mark == _LABELS else 0)
    last = at + -(-whole // SECTOR) * SECTOR
    text = name.rstrip(b"\0").decode("utf-8", "replace")
    return Lying(text, at, last, meta_crc, data_crc) if at >= 0 and last <= end else None


def held(opener: Opener, blob: Blob, patience: float = 30.0) -> str:
    """The name under which a board's gap holds this very model, empty if it does not: the
    topmost one counts. Errors: LinkError."""
    for one in look(opener, patience).models[:1]:
        if (one.meta_crc, one.data_crc) == (blob.meta_crc, blob.data_crc):
            return one.name
    return ""


def room_on(port: str, found: Found, board: BoardProfile, force: bool) -> Gap:
    """Where a running board takes a model. force: what is no model of ours there may be lost.

    Errors: BoardError: another board or firmware, or something else lies in the gap.
    """
    if found.relume:
        raise BoardError(f"{port}: relume's firmware runs there: relume deploy, without --stock")
    gap = gap_of(board)
    if board.mcu not in found.machine or found.end == 0:
        raise BoardError(
            f"{port}: {found.machine} does not say where its filesystem begins: {board.title} with"
            " MicroPython 1.25 or newer does"
        )
    if force:
        return Gap(min(gap.first, found.end - SECTOR), found.end)
    if found.free_from == found.end:
        raise BoardError(
            f"{port}: flash {found.end - SECTOR:#x} holds something that is no relume model:"
            " --erase-models writes over it, if it is none of the firmware's"
        )
    return Gap(found.free_from, found.end)


def gap_of(board: BoardProfile) -> Gap:
    """Errors: BoardError for a board without one."""
    if board.gap is None:
        raise BoardError(
            f"{board.name}: its stock firmware has no flash gap that relume knows: relume deploy,"
            " or relume romfs"
        )
    return board.gap


# ---- the UF2 ----------------------------------------------------------------


def gap_image(blob: Blob, board: BoardProfile, name: str, labels: bytes, room: Gap) -> bytes:
    """The UF2 that leaves this model alone in `room`. labels: text, may be empty.

    Errors: BoardError.
    """
    check(blob, board, name)
    if blob.nvm == "flash":
        raise BoardError(
            f"{name}: planned to commit to flash, which is the filesystem's without our firmware:"
            " relume plan --nvm fram (or fram-i2c)"
        )
    mark = struct.pack("<4sII", _LABELS, len(labels), zlib.crc32(labels)) if labels else b""
    whole = (header(blob, board, name) + mark).ljust(PAGE, b"\xff") + blob.image + labels
    if len(whole) > room.end - room.first:
        raise BoardError(
            f"{name}: {len(whole):,} bytes with header and labels, the flash gap of {board.title}"
            f" has {room.end - room.first:,} ({room.first:#x} to {room.end:#x})"
        )
    first = (room.end - len(whole)) // SECTOR * SECTOR
    pages = {at: BLANK for at in range(room.first, room.end, SECTOR)} | _pages(whole, first)
    head = pages.pop(first)
    return blocks(dict(sorted(pages.items())) | {first: head}, loader_of(board))


def _pages(whole: bytes, first: int) -> dict[int, bytes]:
    return {
        first + at: whole[at : at + PAGE].ljust(PAGE, b"\xff") for at in range(0, len(whole), PAGE)
    }
