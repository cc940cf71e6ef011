"""A board in Python that speaks docs/SPEC.md 6 and loses its power whenever a test wants it to.

FakeBoard is what flash, NVM and firmware do; Bench puts it behind a line with faults, in virtual
time; TcpBoard behind a real TCP port.
"""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from relume.blob.reader import read_blob
from relume.errors import BlobError
from relume.link.frames import Decoder, Frame, encode
from relume.link.messages import REPLY, EventKind, Kind, State
from relume.link.ports import PortAbsent
from relume.link.transport import Gone, Wire

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
        outside = not self.decoder._raw or self.before == b"\r"
        if one == b"\x03" and ((outside and self.before == b"\r") or self.ctrl_c()):
            self.mode = "repl"
            self.out += PROMPT
            return
        self.before = one
        for frame in self.decoder.feed(one):
            self.heard = self.now
            self.answer(frame)

    def ctrl_c(self) -> bool:
        return self.now - self.heard > QUIET_S

    def console(self, one: bytes) -> None:
        """The REPL: friendly, or raw as mpremote speaks it."""
        if one == b"\x01":
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
        if self.code == b"\x05A":
            self.code.clear()
            self.out += b"R\x00"
            self.paste = True
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
            Kind.MODELS: self.models, Kind.EXIT: lambda body: b"",
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

    def status(self, body: bytes) -> bytes:
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
        if not self.image:
            raise Error(NO_MODEL, "no model is deployed")
        if total != self.input_size:
            raise Error(SIZE, f"the model's input has {self.input_size} bytes, not {total}")
        if kept.state in (State.RUNNING, State.DONE) and kept.inference == number:
            return struct.pack("<I", total)
        if kept.state in (State.RUNNING, State.STUCK):
            raise Error(STATE, "not possible in this state")
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
        number, at = struct.unpack("<II", body)
        if self.kept.state != State.DONE or number != self.kept.inference:
            raise Error(STATE, f"inference {number} is not done")
        output = answer_of(self.image, self.kept.input, self.output_size)
        return struct.pack("<I", len(output)) + output[at : at + 240]

    def take(self, body: bytes) -> bytes:
        (number,) = struct.unpack("<I", body)
        if self.kept.state == State.DONE and self.kept.inference == number:
            self.kept.state = State.IDLE
            self.kept.taken.append(number)
        return b""

    def clear(self, body: bytes) -> bytes:
        self.kept.state = State.IDLE
        return b""

    def models(self, body: bytes) -> bytes:
        (index,) = struct.unpack("<H", body)
        if index >= len(self.kept.models):
            raise Error(PAST_LAST, "no more models")
        name, image = list(self.kept.models.items())[index]
        crc = struct.unpack_from("<I", image, 16)[0]
        numbers = struct.pack("<IIB", len(image), crc, name == self.kept.active)
        return numbers + name.encode() + b"\0"


# ---- A line with faults, in virtual time -------------------------------------


@dataclass
class Faults:
    """cuts: bytes over the line (both ways) between power cuts. flips, repeats: chance for each
    write to lose a bit or come twice. keep_open: the line survives a cut and is only silent."""

    cuts: list[int] = field(default_factory=list)
    flips: float = 0.0
    repeats: float = 0.0
    keep_open: bool = False
    off_s: float = 0.4
    limit: int = 1_000_000  # no more flips and repeats after so many writes
    seed: int = 0


class Bench:
    """An Opener whose board obeys `faults`; `clock` and `sleep` are virtual."""

    name = "bench"

    def __init__(self, kept: Kept, faults: Faults, make: Callable[[Kept], FakeBoard]) -> None:
        self.kept, self.faults, self.make = kept, faults, make
        self.now = 0.0
        self.random = random.Random(faults.seed)
        self.cuts = list(faults.cuts)
        self.left = self.cuts.pop(0) if self.cuts else -1
        self.board: FakeBoard | None = make(kept)
        self.back_at = 0.0
        self.charge = 0
        self.writes = 0
        self.cut_count = 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.power()

    def open(self) -> Wire:
        self.power()
        if self.board is None and not self.faults.keep_open:
            self.now += 0.01
            raise PortAbsent("bench: no such port")
        return _BenchWire(self)

    def power(self) -> None:
        if self.board is None and self.now >= self.back_at:
            self.board = self.make(self.kept)

    def cut(self) -> None:
        self.board = None
        self.back_at = self.now + self.faults.off_s
        self.charge += 1
        self.cut_count += 1
        self.left = self.cuts.pop(0) if self.cuts else -1

    def carried(self, wanted: int) -> int:
        """How many of these bytes pass before the power goes."""
        if self.left < 0:
            return wanted
        passed = min(wanted, self.left)
        self.left -= passed
        return passed

    def spoiled(self, data: bytes) -> bytes:
        self.writes += 1
        if self.writes > self.faults.limit:
            return data
        if self.random.random() < self.faults.repeats:
            data += data
        if data and self.random.random() < self.faults.flips:
            at = self.random.randrange(len(data))
            flipped = data[at] ^ 1 << self.random.randrange(8)
            data = data[:at] + bytes((flipped,)) + data[at + 1 :]
        return data


class _BenchWire:
    def __init__(self, bench: Bench) -> None:
        self.bench, self.charge = bench, bench.charge
        self.closed = False

    def _check(self) -> None:
        bench = self.bench
        bench.power()
        if self.charge != bench.charge and not bench.faults.keep_open:
            raise Gone("bench: gone")

    def write(self, data: bytes) -> None:
        self._check()
        bench, board = self.bench, self.bench.board
        data = bench.spoiled(data)
        passed = bench.carried(len(data))
        if board is not None:
            board.feed(data[:passed])
        if passed < len(data):
            bench.cut()
        self._check()

    def read(self, timeout: float) -> bytes:
        self._check()
        bench, end = self.bench, self.bench.now + timeout
        while True:
            bench.power()
            board = bench.board
            if board is not None and board.out:
                return self._take(board)
            if bench.now >= end:
                return b""
            step = min(0.05, max(end - bench.now, 0.001))
            bench.now += step
            if board is not None:
                board.idle(step)

    def _take(self, board: FakeBoard) -> bytes:
        bench = self.bench
        size = bench.random.randint(1, len(board.out))
        passed = bench.carried(size)
        data = bytes(board.out[:passed])
        del board.out[:passed]
        if passed < size:
            bench.cut()
        return bench.spoiled(data)

    def serve(self) -> None:
        self._check()
        board = self.bench.board
        if board is not None:
            board.mode, board.decoder, board.last = "serving", Decoder(), None

    def leave_repl(self) -> None:
        self._check()

    def close(self) -> None:
        self.closed = True


# ---- A real TCP port -----------------------------------------------------------


class TcpBoard:
    """The board behind 127.0.0.1; `cut()` closes the connection for a while."""

    def __init__(self, kept: Kept, make: Callable[[Kept], FakeBoard]) -> None:
        self.kept, self.make = kept, make
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.tcp_port = int(self.listener.getsockname()[1])
        self.board = make(kept)
        self.run = None
        self.log: list[str] = []
        self.cut_after = -1  # bytes from the host
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self.tcp_port}"

    def plug(self) -> None:
        self.log.append("plug")

    def unplug(self) -> None:
        self.log.append("unplug")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self.listener.close()

    def _serve(self) -> None:
        self.listener.settimeout(0.05)
        while not self._stop.is_set():
            try:
                client, _ = self.listener.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(0.01)
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                data = client.recv(4096)
                if not data:
                    return
            except TimeoutError:
                data = b""
            except OSError:
                return
            if not self._pass(data):
                self.board = self.make(self.kept)
                return
            client.sendall(bytes(self.board.out))
            self.board.out.clear()

    def _pass(self, data: bytes) -> bool:
        """False when the power goes within these bytes."""
        if 0 <= self.cut_after < len(data):
            self.board.feed(data[: self.cut_after])
            self.cut_after = -1
            return False
        self.cut_after -= len(data) if self.cut_after >= 0 else 0
        self.board.feed(data)
        self.board.idle(0.01)
        return True


def grown(image: bytes, extra: int, seed: int = 1) -> bytes:
    """A blob with `extra` more bytes of constants (a multiple of 16), its checksums right."""
    made = bytearray(image + random.Random(seed).randbytes(extra))
    struct.pack_into("<I", made, 8, len(made))
    (meta_size,) = struct.unpack_from("<I", made, 12)
    struct.pack_into("<II", made, 16, 0, zlib.crc32(made[meta_size:]))
    struct.pack_into("<I", made, 16, zlib.crc32(made[:meta_size]))
    return bytes(made)


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """True as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
