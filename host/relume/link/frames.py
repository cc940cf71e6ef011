"""COBS frames with CRC-32 (docs/SPEC.md 6): the host's twin of native_modules/relume/frame.c."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

PROTOCOL = 1
MAX_BODY = 256
MAX_PAYLOAD = MAX_BODY + 8
_MAX_WIRE = MAX_PAYLOAD + MAX_PAYLOAD // 254 + 1
CTRL_C = 0x03

# What a console that is no stream would act on: Ctrl-B to Ctrl-E and the ends of a line.
CONSOLE_KEYS = frozenset((0x02, CTRL_C, 0x04, 0x05, 0x0A, 0x0D))

_BLOCK = 0xFF  # COBS code of 254 bytes with no zero after them
_TEXT_KEPT = 4096


@dataclass(frozen=True)
class Frame:
    """One frame with a right CRC. kind: u8, seq: u16, version: of the protocol."""

    kind: int
    seq: int
    body: bytes
    version: int = PROTOCOL


def cobs_encode(payload: bytes) -> bytes:
    """Payload without zero bytes, one code byte for each zero or 254 bytes."""
    out = bytearray()
    pieces = payload.split(b"\0")
    for number, piece in enumerate(pieces):
        while len(piece) >= _BLOCK - 1:
            if len(piece) == _BLOCK - 1 and number == len(pieces) - 1:
                break
            out.append(_BLOCK)
            out += piece[: _BLOCK - 1]
            piece = piece[_BLOCK - 1 :]
        out.append(len(piece) + 1)
        out += piece
    return bytes(out)


def cobs_decode(wire: bytes) -> bytes | None:
    """The payload of bytes without zeros; None if a block runs over their end."""
    out = bytearray()
    at, full = 0, True
    while at < len(wire):
        code = wire[at]
        if not full:
            out.append(0)
        if at + code > len(wire):
            return None
        out += wire[at + 1 : at + code]
        at += code
        full = code == _BLOCK
    return bytes(out)


def encode(kind: int, seq: int, body: bytes = b"", version: int = PROTOCOL) -> bytes:
    """A frame's bytes on the wire. Errors: ValueError if body is longer than 256 bytes."""
    if len(body) > MAX_BODY:
        raise ValueError(f"frame body of {len(body)} bytes: at most {MAX_BODY}")
    head = struct.pack("<BBH", kind, version, seq) + body
    return b"\0" + cobs_encode(head + struct.pack("<I", zlib.crc32(head))) + b"\0"


def next_seq(seq: int, step: int = 1) -> int:
    """The number after seq; 0 belongs to unasked frames."""
    return (seq + step - 1) % 0xFFFF + 1


def encode_quiet(
    kind: int, seq: int, body: bytes = b"", avoid: frozenset[int] = frozenset((CTRL_C,))
) -> tuple[int, bytes]:
    """A frame that holds none of the bytes `avoid`, numbered seq if that will do.

    Returns (seq, wire). When the body itself stands in the way, the frame with seq as given.
    """
    first, plain = seq, encode(kind, seq, body)
    if not avoid.isdisjoint(body):
        return first, plain
    wire = plain
    for _ in range(256):
        if avoid.isdisjoint(wire):
            return seq, wire
        seq = next_seq(seq, 257)  # both bytes change: one of them may be the trouble
        wire = encode(kind, seq, body)
    return first, plain


@dataclass
class Decoder:
    """Takes the wire's bytes in any pieces, gives the good frames.

    What lies between two zeros and has a right checksum is a frame: the zero that ends one may
    also be the one that starts the next. All else is what the console printed.
    """

    _text: bytearray = field(default_factory=bytearray)
    _raw: bytearray = field(default_factory=bytearray)  # since the last zero

    @property
    def text(self) -> bytes:
        """The last bytes that belonged to no good frame."""
        return bytes(self._text + self._raw)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in data."""
        frames = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._raw += piece
            frame = _parse(bytes(self._raw))
            if frame is None:
                self._keep(bytes(self._raw))
            else:
                frames.append(frame)
            self._raw.clear()
        self._raw += rest
        if len(self._raw) > 2 * _TEXT_KEPT:  # no frame is so long
            self._keep(bytes(self._raw[:-_TEXT_KEPT]))
            del self._raw[:-_TEXT_KEPT]
        return frames

    def _keep(self, data: bytes) -> None:
        self._text += data
        if len(self._text) > 2 * _TEXT_KEPT:
            del self._text[:-_TEXT_KEPT]


def _parse(wire: bytes) -> Frame | None:
    """A frame from the bytes between two zeros, if they are one."""
    if not 9 <= len(wire) <= _MAX_WIRE:
        return None
    payload = cobs_decode(wire)
    if payload is None or not 8 <= len(payload) <= MAX_PAYLOAD:
        return None
    if zlib.crc32(payload[:-4]) != int.from_bytes(payload[-4:], "little"):
        return None
    kind, version, seq = struct.unpack_from("<BBH", payload)
    return Frame(kind, seq, payload[4:-4], version)
