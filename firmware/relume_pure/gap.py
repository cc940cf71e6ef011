"""A model in the flash gap of a stock RP2040 (docs/SPEC.md 5.1), read in place.

The gap lies between MicroPython's image and its filesystem; relume flash --stock puts a slot with
its labels at the top of it. What lies there may be anything: a header counts by its CRC, and the
blob is checked whole when it is first asked for.
"""

import struct

from .blob import Blob
from .status import CRC, BlobError, crc32, text

try:
    from machine import mem16
    from rp2 import Flash
    from uctypes import addressof, bytearray_at
except ImportError:
    Flash = None

_XIP, _SECTOR, _PAGE = 0x10000000, 4096, 256
_HEADER, _LEAST = "<4sIIII32sIII", 128
_LABELS, _LABELS_AT = b"RLLB", 64
_known = []  # what was found; a program that runs changes nothing there
_checked = []


def _end():
    """Where ROMFS or filesystem begin, 0 if the firmware does not say (MicroPython before 1.25)."""
    if Flash is None:
        return 0
    try:
        end = addressof(Flash())
    except TypeError:
        return 0
    try:
        from vfs import rom_ioctl

        return min(end, addressof(rom_ioctl(2, 0)))
    except (ImportError, TypeError):
        return end


def _slot(at, end):
    """(address of the blob, slot as _relume.slots() has it, bytes of labels) or None."""
    page = bytes(bytearray_at(at, _PAGE))
    _, seq, size, meta, data, name, base, room, crc = struct.unpack_from(_HEADER, page)
    rest = end - at - _PAGE - size
    if crc != crc32(page[:60], 0) & 0xFFFFFFFF or name[31] or size < _LEAST or rest < 0:
        return None
    try:
        name = str(name.rstrip(b"\0"), "utf-8")
    except UnicodeError:
        return None
    mark, more, sum = struct.unpack_from("<4sII", page, _LABELS_AT)
    if mark != _LABELS or more > rest or (
            crc32(bytearray_at(at + _PAGE + size, more), 0) & 0xFFFFFFFF != sum):  # fmt: skip
        more = 0
    return at + _PAGE, (name, size, meta, data, seq, True, base, room), more


def find():
    """The topmost slot as _slot() gives it, None if there is none."""
    if not _known:
        at = end = _end()
        found = damaged = None
        while at > _XIP + _SECTOR and not found:
            at -= _SECTOR
            if mem16[at] == 0x4C52 and mem16[at + 2] == 0x4C53:  # RLSL
                found = _slot(at, end)
                damaged = damaged or at
        _known.append((found, 0 if found else damaged))
    return _known[0][0]


def blob():
    """The model's bytes in place, checked whole, None if there is none. Errors: BlobError."""
    found = find()
    if not found:
        if _known[0][1]:
            _refuse(_known[0][1], "header of a model is damaged")
        return None
    at, slot, _ = found
    data = bytearray_at(at, slot[1])
    if not _checked:
        try:
            made = Blob(data)
        except BlobError as error:
            _refuse(at, error.args[0])
        if (made.total, made.meta_crc, made.data_crc) != slot[1:4]:
            _refuse(at, text(CRC))
        _checked.append(True)
    return data


def _refuse(at, what):
    line = "flash at %#x: %s: relume flash --model NET.rlm --stock again"
    raise BlobError(line % (at - _XIP, what), CRC)


def labels(meta_crc):
    """Text of the labels behind the blob of this model, None if there are none."""
    found = find()
    if not found or found[1][2] != meta_crc or not found[2]:
        return None
    at, slot, size = found
    return str(bytes(bytearray_at(at + slot[1], size)), "utf-8")
