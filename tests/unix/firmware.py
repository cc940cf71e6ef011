"""The MicroPython unix port with the relume module, as a program and as a board on pipes."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from relume.link.frames import Decoder, Frame, encode, encode_quiet

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = ROOT / "build" / "firmware" / "unix" / "micropython"

HELLO, STATUS, PUT_BEGIN, PUT_DATA, PUT_END = 0x01, 0x02, 0x10, 0x11, 0x12
INPUT, OUTPUT, TAKE, CLEAR, MODELS, EXIT = 0x20, 0x21, 0x22, 0x23, 0x30, 0x7F
EVENT, MESSAGE, REPLY = 0x40, 0x41, 0x80

EMPTY, RUNNING, DONE, IDLE, STUCK = range(5)


def binary() -> Path:
    """The built program; skips the test, by name, when it is absent."""
    if not BINARY.is_file():
        pytest.skip("the unix firmware is not built (make unix)")
    return BINARY


@dataclass
class Machine:
    """A folder that holds a virtual board's flash image and NVM file."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RELUME_FLASH": str(self.folder / "flash.img"),
            "RELUME_NVM": str(self.folder / "nvm.bin"),
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The program with pipes for its console."""
        return subprocess.Popen(
            [str(binary()), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def script(self, source: str, *, fails: bool = False) -> str:
        """Runs Python source to its end; its standard output."""
        done = subprocess.run(
            [str(binary()), "-c", source],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout

    def value(self, source: str) -> Any:
        """What a script prints as JSON in its last line."""
        return json.loads(self.script(source).strip().splitlines()[-1])


@dataclass
class Refusal(Exception):
    """A reply with a status other than 0."""

    status: int
    text: str


@dataclass
class Board:
    """A running board and the host's end of its console."""

    machine: Machine
    process: subprocess.Popen[bytes]
    decoder: Decoder = field(default_factory=Decoder)
    events: list[tuple[int, ...]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    seq: int = 0x1000
    greeted: bool = False
    waiting: deque[Frame] = field(default_factory=deque)

    @classmethod
    def boot(cls, machine: Machine) -> Board:
        """Turns the board on: what the frozen boot code does on a Pico."""
        return cls(machine, machine.start("-m", "relume"))

    def cut(self) -> None:
        """Power off, now."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def frames(self, seconds: float) -> Iterator[Frame]:
        """Frames as they come, until the time is over or the board is gone."""
        assert self.process.stdout is not None
        stream = self.process.stdout.fileno()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            while self.waiting:
                frame = self.waiting.popleft()
                self._note(frame)
                yield frame
            if not select.select([stream], [], [], left)[0]:
                return
            data = os.read(stream, 65536)
            if not data:
                return
            self.waiting.extend(self.decoder.feed(data))

    def _note(self, frame: Frame) -> None:
        if frame.kind == EVENT:
            self.events.append(struct.unpack("<BBHIIII", frame.body))
        elif frame.kind == MESSAGE:
            self.messages.append(frame.body.decode())

    def request(self, kind: int, body: bytes = b"", *, seq: int | None = None) -> bytes:
        """The reply's body after its status. Errors: Refusal."""
        if not self.greeted and kind != HELLO:
            self.request(HELLO)
        if seq is None:
            self.seq += 1
            seq = self.seq
        if kind == HELLO:
            self.greeted = True
            self.seq, wire = encode_quiet(HELLO, seq)
            seq = self.seq
        else:
            wire = encode(kind, seq, body)
        self.write(wire)
        for frame in self.frames(10):
            if frame.kind == kind | REPLY and frame.seq == seq:
                if frame.body[0]:
                    raise Refusal(frame.body[0], frame.body[1:].decode())
                return frame.body[1:]
        raise AssertionError(f"no answer to {kind:#x}: {self.log()}")

    def log(self) -> str:
        """What the board wrote outside frames."""
        if self.process.poll() is None:
            return bytes(self.decoder.text).decode(errors="replace")
        assert self.process.stderr is not None
        return self.process.stderr.read().decode(errors="replace")

    def wait_event(self, kind: int, seconds: float = 20) -> tuple[int, ...]:
        """Waits for an EVENT of a kind that has not come yet."""
        for frame in self.frames(seconds):
            if frame.kind == EVENT and frame.body[0] == kind:
                return self.events[-1]
        raise AssertionError(f"no event {kind}: {self.events} {self.messages} {self.log()}")

    # -- what a host does

    def status(self) -> dict[str, int]:
        names = "state progress zero model inference tile tiles cycles commits nvm_bytes brownouts"
        values = struct.unpack("<BBHIIIIQIII", self.request(STATUS))
        return dict(zip(names.split(), values, strict=True))

    def put_begin(self, blob: bytes, name: str) -> int:
        meta, data = struct.unpack_from("<II", blob, 16)
        body = struct.pack("<III", len(blob), meta, data) + name.encode() + b"\0"
        return int(struct.unpack("<I", self.request(PUT_BEGIN, body))[0])

    def put_data(self, blob: bytes, at: int) -> int:
        body = struct.pack("<I", at) + blob[at : at + 240]
        return int(struct.unpack("<I", self.request(PUT_DATA, body))[0])

    def deploy(self, blob: bytes, name: str = "net") -> int:
        """Uploads a blob; the number of data frames that it took."""
        at, frames = self.put_begin(blob, name), 0
        while at < len(blob):
            at = self.put_data(blob, at)
            frames += 1
        self.request(PUT_END)
        return frames

    def give(self, number: int, data: bytes) -> None:
        """Sends an input whole."""
        at = 0
        while at < len(data):
            body = struct.pack("<III", number, len(data), at) + data[at : at + 240]
            at = struct.unpack("<I", self.request(INPUT, body))[0]

    def fetch(self, number: int) -> bytes:
        """The output of an inference that is done."""
        data, total = b"", 1
        while len(data) < total:
            reply = self.request(OUTPUT, struct.pack("<II", number, len(data)))
            total = struct.unpack_from("<I", reply)[0]
            data += reply[4:]
        return data
