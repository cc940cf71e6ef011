"""A board in Python that speaks docs/SPEC.md 6 and loses its power whenever a test wants it to.

FakeBoard is what flash, NVM and firmware do; tests/unit/fakelines.py puts it behind a line.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from relume.blob.reader import read_blob
from relume.errors import BlobError
from relume.link.frames import Decoder, Frame, encode
from relume.link.messages import REPLY, EventKind, Kind, State

SECTOR = 512  # what an upload goes on from after a power cut
QUIET_S = 3.0
STATE, SIZE, CRC, PAST_LAST, NO_MODEL = 14, 15, 4, 1, 65
PROMPT = b"\r\n>>> "
RAW = b"raw REPL; CTRL-B to exit\r\n>"


def answer_of(image: bytes, data: bytes, size: int) -> bytes:
    """The output of a fake inference: any wrong byte of model or input changes it."""
    return b"".join(
        hashlib.sha256(image + data + bytes((n,))).digest() for n in range(size // 32 + 1)
    )[:size]


class Error(Exception):
    """A request that is answered with a status."""


@dataclass
class Kept:
    """What a power cut leaves: flash and NVM."""

    models: dict[str, bytes] = field(default_factory=dict)
    active: str = ""
    upload: tuple[int, int, int, str] | None = None
    sectors: bytearray = field(default_factory=bytearray)
    state: State = State.EMPTY
    inference: int = 0
    model: int = 0
    input: bytes = b""
    tile: int = 0
    record: int = 0
    brownouts: int = 0
    commits: int = 0
    begun: int = 0  # inputs committed
    taken: list[int] = field(default_factory=list)
    queue: list[tuple[int, int, bytes]] = field(default_factory=list)


class FakeBoard:
    """The firmware between two power cuts; `kept` outlives it. Output gathers in `out`."""

    def __init__(
        self, kept: Kept, *, tiles: int = 8, output: int = 12, input: int = 300,
        mode: str = "serving", has_relume: bool = True, version: int = 1, name: str = "RPI_PICO",
    ) -> None:  # fmt: skip
        self.kept, self.tiles, self.output_size, self.input_size = kept, tiles, output, input
        self.mode, self.has_relume, self.version, self.name = mode, has_relume, version, name
        self.out = bytearray()
        self.now = 0.0
        self.heard = -10.0  # Ctrl-C is on
        self.code = bytearray()
        self.decoder = Decoder()
        self.last: tuple[int, int, bytes] | None = None
        self.upload_ready = False
        self.upload_at = 0
        self.pieces = bytearray()
        self.pieces_of = 0
        self.before = b""
        self.inside = False
        self.interrupted = 0
        if mode == "serving":
            self.boot()

    # ---- Power on ---------------------------------------------------------

    def boot(self) -> None:
        """Says what it found, as the firmware does."""
        if not self.kept.active:
            return
        if self.kept.state == State.RUNNING:
            self.kept.brownouts += 1
        self.event(EventKind.BOOTED)
        if self.kept.state == State.RUNNING:
            self.event(EventKind.RESUMED)

    def idle(self, seconds: float) -> None:
        """Time passes; a running inference does one tile."""
        self.now += seconds
        kept = self.kept
        if self.mode != "serving" or kept.state != State.RUNNING:
            return
        kept.tile += 1
        kept.record += 1
        kept.commits += 1
        if kept.tile >= self.tiles:
            kept.tile, kept.state = self.tiles, State.DONE
        self.event(EventKind.COMMITTED)
        if kept.state == State.DONE:
            self.event(EventKind.DONE)

    def event(self, kind: EventKind) -> None:
        kept = self.kept
        micros = int(self.now * 1e6) & 0xFFFFFFFF
        body = struct.pack(
            "<BBHIIII", kind, kept.state, 3300, kept.inference, kept.tile, kept.record, micros
        )
        self.out += encode(Kind.EVENT, 0, body, self.version)

    # ---- Bytes in ---------------------------------------------------------

    def feed(self, data: bytes) -> None:
        for n in range(len(data)):
            self.byte(data[n : n + 1])

    def byte(self, one: bytes) -> None:
        if self.mode != "serving":
            self.console(one)
            return
        escape = not self.inside and self.before == b"\r"
        if one == b"\x03" and (escape or self.now - self.heard > QUIET_S):
            self.mode = "repl"
            self.interrupted += not escape
            self.out += PROMPT
            return
        self.before = one
        frames = self.decoder.feed(one)
        if one == b"\0":
            self.inside = not frames
        for frame in frames:
            self.heard = self.now
            self.answer(frame)

    def console(self, one: bytes) -> None:
        """The REPL: friendly, or raw as mpremote speaks it."""
        if one == b"\x01" and self.mode == "raw" and self.code == b"\x05A":
            self.code.clear()
            self.out += b"R\x00"  # raw paste is understood, but not supported
        elif one == b"\x01":
            self.mode = "raw"
            self.code.clear()
            self.out += RAW
        elif one == b"\x02":
            self.mode = "repl"
            self.out += PROMPT
        elif one == b"\x03":
            self.code.clear()
            self.out += PROMPT if self.mode == "repl" else b""
        elif self.mode == "raw":
            self.raw(one)
        elif one >= b" ":
            self.out += one

    def raw(self, one: bytes) -> None:
        self.code += one
        if one != b"\x04":
            return
        code, text = self.code.decode("latin1"), b""
        self.code.clear()
        if "relume.link.serve" in code and self.has_relume:
            self.mode, self.decoder, self.last = "serving", Decoder(), None
            self.heard = self.now - 10
            self.out += b"OK"
            return
        if "sys.implementation" in code:
            relume = int(self.has_relume)
            machine = "Raspberry Pi Pico with RP2040"
            text = f"('micropython', '1.25.0', '{machine}', {relume})\r\n".encode()
        self.out += b"OK" + text + b"\x04\x04>"

    # ---- Requests ---------------------------------------------------------

    def answer(self, frame: Frame) -> None:
        if frame.kind & REPLY or frame.kind in (Kind.EVENT, Kind.MESSAGE):
            return
        if frame.kind != Kind.HELLO and self.last and self.last[:2] == (frame.kind, frame.seq):
            reply = self.last[2]
        else:
            reply = self.done(frame)
            self.last = (frame.kind, frame.seq, reply)
        self.out += encode(frame.kind | REPLY, frame.seq, reply, self.version)
        if frame.kind == Kind.EXIT:
            self.mode = "raw"
            self.out += b"\x04\x04>"

    def done(self, frame: Frame) -> bytes:
        commands: dict[int, Callable[[bytes], bytes]] = {
            Kind.HELLO: self.hello, Kind.STATUS: self.status, Kind.PUT_BEGIN: self.put_begin,
            Kind.PUT_DATA: self.put_data, Kind.PUT_END: self.put_end, Kind.INPUT: self.put_input,
            Kind.OUTPUT: self.output, Kind.TAKE: self.take, Kind.CLEAR: self.clear,
            Kind.MODELS: self.models, Kind.REMOVE: self.remove, Kind.RESULT: self.result,
            Kind.DROP: self.drop, Kind.EXIT: lambda body: b"",
        }  # fmt: skip
        if frame.kind == Kind.HELLO:
            self.last = None
        try:
            return b"\0" + commands[frame.kind](frame.body)
        except Error as error:
            return bytes((error.args[0],)) + str(error.args[1]).encode()

    @property
    def image(self) -> bytes:
        return self.kept.models.get(self.kept.active, b"")

    @property
    def meta_crc(self) -> int:
        return int(struct.unpack_from("<I", self.image, 16)[0]) if self.image else 0

    def hello(self, body: bytes) -> bytes:
        numbers = struct.pack(
            "<4BIIII", self.version, 1, 0, 1, 262144, 1 << 20, 180000, self.meta_crc
        )
        return numbers + "\0".join((self.name, "0.1.0", self.kept.active, "")).encode()

    def mine(self, body: bytes, own: int) -> bytes:
        """The request without the model that it may name: the only one that can run here."""
        if len(body) > own and struct.unpack("<I", body[own:])[0] != self.meta_crc:
            raise Error(NO_MODEL, "no such model on the board")
        return body[:own]

    def status(self, body: bytes) -> bytes:
        self.mine(body, 0)
        kept = self.kept
        return struct.pack(
            "<BBHIIIIQIII", kept.state, 0, 0, kept.model, kept.inference, kept.tile, self.tiles,
            1000 * kept.tile, kept.commits, 64 * kept.commits, kept.brownouts,
        )  # fmt: skip

    def put_begin(self, body: bytes) -> bytes:
        size, meta, data = struct.unpack_from("<III", body)
        wanted = (size, meta, data, body[12:-1].decode())
        kept, self.upload_ready = self.kept, True
        if kept.models.get(wanted[3]) and kept.active == wanted[3] and self.meta_crc == meta:
            self.upload_at, kept.upload, kept.sectors = size, wanted, bytearray(self.image)
        elif kept.upload != wanted:
            self.upload_at, kept.upload, kept.sectors = 0, wanted, bytearray()
        else:
            self.upload_at = len(kept.sectors) // SECTOR * SECTOR
            del kept.sectors[self.upload_at :]
        return struct.pack("<I", self.upload_at)

    def put_data(self, body: bytes) -> bytes:
        kept = self.kept
        if not self.upload_ready or kept.upload is None:
            raise Error(STATE, "not possible in this state")
        (at,), data = struct.unpack_from("<I", body), body[4:]
        if at == self.upload_at:
            kept.sectors += data
            self.upload_at += len(data)
        return struct.pack("<I", self.upload_at)

    def put_end(self, body: bytes) -> bytes:
        kept = self.kept
        if not self.upload_ready or kept.upload is None or self.upload_at != kept.upload[0]:
            raise Error(STATE, "not possible in this state")
        try:
            blob = read_blob(bytes(kept.sectors))
        except BlobError as error:
            kept.upload = None
            raise Error(CRC, "blob checksum differs") from error
        assert (blob.meta_crc, blob.data_crc) == kept.upload[1:3]
        kept.models[kept.upload[3]] = bytes(kept.sectors)
        kept.active = kept.upload[3]
        return b""

    def put_input(self, body: bytes) -> bytes:
        kept = self.kept
        number, total, at = struct.unpack_from("<III", body)
        whole = 12 + min(240, max(0, total - at))
        if len(body) == whole + 4:
            body = self.mine(body, whole)
        if not self.image:
            raise Error(NO_MODEL, "no model is deployed")
        if total != self.input_size:
            raise Error(SIZE, f"the model's input has {self.input_size} bytes, not {total}")
        if kept.state in (State.RUNNING, State.DONE) and kept.inference == number:
            return struct.pack("<I", total)
        if kept.state in (State.RUNNING, State.STUCK):
            raise Error(STATE, "not possible in this state")
        if kept.state == State.DONE:
            output = answer_of(self.image, kept.input, self.output_size)
            kept.queue.append((kept.model, kept.inference, output))
            kept.state = State.IDLE
        if self.pieces_of != number:
            self.pieces, self.pieces_of = bytearray(), number
        if at == len(self.pieces):
            self.pieces += body[12:]
        reached = len(self.pieces)
        if reached == total:
            self.begin(number, bytes(self.pieces))
        return struct.pack("<I", reached)

    def begin(self, number: int, data: bytes) -> None:
        kept = self.kept
        self.pieces_of = 0
        kept.state, kept.inference, kept.model = State.RUNNING, number, self.meta_crc
        kept.input, kept.tile, kept.brownouts, kept.commits = data, 0, 0, 1
        kept.record += 1
        kept.begun += 1
        self.event(EventKind.COMMITTED)

    def output(self, body: bytes) -> bytes:
        number, at = struct.unpack("<II", self.mine(body, 8))
        if self.kept.state != State.DONE or number != self.kept.inference:
            raise Error(STATE, f"inference {number} is not done")
        output = answer_of(self.image, self.kept.input, self.output_size)
        return struct.pack("<I", len(output)) + output[at : at + 240]

    def take(self, body: bytes) -> bytes:
        (number,) = struct.unpack("<I", self.mine(body, 4))
        if self.kept.state == State.DONE and self.kept.inference == number:
            self.kept.state = State.IDLE
            self.kept.taken.append(number)
        return b""

    def clear(self, body: bytes) -> bytes:
        self.mine(body, 0)
        self.kept.state = State.IDLE
        return b""

    def models(self, body: bytes) -> bytes:
        (index,) = struct.unpack("<H", body)
        if index >= len(self.kept.models):
            raise Error(PAST_LAST, "no more models")
        name, image = list(self.kept.models.items())[index]
        crc = struct.unpack_from("<I", image, 16)[0]
        place = 1024 * index
        numbers = struct.pack(
            "<IIBBII", len(image), crc, name == self.kept.active, 1, place, 1024
        )
        return b"".join((numbers, name.encode(), b"\0"))

    def remove(self, body: bytes) -> bytes:
        name = body[:-1].decode()
        self.kept.models.pop(name, None)
        if self.kept.active == name:
            self.kept.active = next(reversed(self.kept.models), "")
        return b""

    def result(self, body: bytes) -> bytes:
        index, at = struct.unpack("<HI", body)
        if index >= len(self.kept.queue):
            raise Error(PAST_LAST, "no more results")
        model, inference, data = self.kept.queue[index]
        return struct.pack("<III", model, inference, len(data)) + data[at : at + 240]

    def drop(self, body: bytes) -> bytes:
        ids = struct.unpack("<II", body)
        self.kept.queue = [item for item in self.kept.queue if item[:2] != ids]
        return b""
