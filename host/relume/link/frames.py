"""COBS frames with CRC-32 (docs/SPEC.md 6): the host's twin of native_modules/relume/frame.c."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

PROTOCOL = 1
MAX_BODY = 256
MAX_PAYLOAD = MAX_BODY + 8
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


def encode(kind: int, seq: int, body: bytes = b"", version: int = PROTOCOL) -> bytes:
    """A frame's bytes on the wire. Errors: ValueError if body is longer than 256 bytes."""
    if len(body) > MAX_BODY:
        raise ValueError(f"frame body of {len(body)} bytes: at most {MAX_BODY}")
    head = struct.pack("<BBH", kind, version, seq) + body
    return b"\0" + cobs_encode(head + struct.pack("<I", zlib.crc32(head))) + b"\0"


def next_seq(seq: int) -> int:
    """The number after seq; 0 belongs to unasked frames."""
    return seq % 0xFFFF + 1


def encode_quiet(
    kind: int, seq: int, body: bytes = b"", avoid: frozenset[int] = frozenset((CTRL_C,))
) -> tuple[int, bytes]:
    """The first frame from seq on that holds none of the bytes `avoid`.

    Returns (seq, wire). When the body itself stands in the way, the frame with seq as given.
    """
    first, plain = seq, encode(kind, seq, body)
    if not avoid.isdisjoint(body):
        return first, plain
    wire = plain
    for _ in range(256):
        if avoid.isdisjoint(wire):
            return seq, wire
        seq = next_seq(seq)
        wire = encode(kind, seq, body)
    return first, plain


@dataclass
class Decoder:
    """Takes the wire's bytes in any pieces, gives the good frames.

    `text` holds the last bytes that belonged to no good frame: what the console printed.
    """

    text: bytearray = field(default_factory=bytearray)
    _payload: bytearray = field(default_factory=bytearray)
    _raw: bytearray = field(default_factory=bytearray)  # of the frame that may be under way
    _inside: bool = False
    _dropping: bool = False
    _code: int = 0  # bytes left in the COBS block
    _full: bool = True  # the block was 254 bytes: no zero follows

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in data."""
        frames = []
        for byte in data:
            if byte == 0:
                frame = self._finish()
                if frame is not None:
                    frames.append(frame)
            elif not self._inside:
                self._keep(bytes((byte,)))
            else:
                self._raw.append(byte)
                self._take(byte)
        return frames

    def _take(self, byte: int) -> None:
        if self._dropping:
            if len(self._raw) > _TEXT_KEPT:
                self._keep(bytes(self._raw))
                self._raw.clear()
            return
        if self._code > 0:
            self._code -= 1
            self._append(byte)
            return
        if not self._full:
            self._append(0)
        self._code = byte - 1
        self._full = byte == _BLOCK

    def _append(self, byte: int) -> None:
        if len(self._payload) == MAX_PAYLOAD:
            self._dropping = True
            return
        self._payload.append(byte)

    def _finish(self) -> Frame | None:
        """At a zero: the frame, if it is good. One that ends no frame may start the next."""
        frame = self._check() if self._inside else None
        if frame is None:
            self._keep(bytes(self._raw))
        self._payload.clear()
        self._raw.clear()
        self._inside = frame is None
        self._dropping = False
        self._code, self._full = 0, True
        return frame

    def _check(self) -> Frame | None:
        payload = bytes(self._payload)
        if self._dropping or self._code or len(payload) < 8:
            return None
        if zlib.crc32(payload[:-4]) != int.from_bytes(payload[-4:], "little"):
            return None
        kind, version, seq = struct.unpack_from("<BBH", payload)
        return Frame(kind, seq, payload[4:-4], version)

    def _keep(self, data: bytes) -> None:
        self.text += data
        if len(self.text) > 2 * _TEXT_KEPT:
            del self.text[:-_TEXT_KEPT]
