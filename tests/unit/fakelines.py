"""Lines to a FakeBoard: Bench with faults in virtual time, TcpBoard on a real TCP port."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from relume.link.frames import Decoder
from relume.link.ports import PortAbsent
from relume.link.transport import Gone, Wire

from tests.unit.fakeboard import FakeBoard, Kept

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
            with client, contextlib.suppress(OSError):
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
