"""A board with several models, served before the interpreter (early.c): every state of its NVM
that a cut in any operation would leave is kept, and lives on."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from relume.link.frames import Frame, encode
from relume.link.messages import Event, EventKind, Kind, Status, parse_event, parse_status

from tests import native
from tests.early import ERASE, READ, Nvm, turn_on
from tests.powercut.session import FLASH, FRAM, Memory
from tests.powercut.session import Board as Session
from tests.powercut.slotflash import OK, Row, SlotFlash

ROOM = 1 << 18
CHUNK = 240
FRAM_SIZE, FLASH_SIZE = 1 << 14, 32 * 4096
ROOMS = (FRAM_SIZE - FRAM_SIZE // 8, FLASH_SIZE - FLASH_SIZE // 8)
LEFT = 1
E_NVM = -9

State = tuple[bytes, bytes]  # of FRAM and flash


class ManyBoard:
    """`models` are deployed as m0, m1, ...; inference of model n has id 100 + n."""

    def __init__(self, models: Sequence[bytes]) -> None:
        self.slots = SlotFlash(32)
        for n, blob in enumerate(models):
            assert self.slots.deploy(f"m{n}", blob, ROOMS) == OK
        rows = {row.name: row for row in self.slots.rows()}
        self.rows: list[Row] = [rows[f"m{n}"] for n in range(len(models))]
        self.memories = {FRAM: bytearray(FRAM_SIZE), FLASH: bytearray(b"\xff" * FLASH_SIZE)}
        self.states: dict[State, None] | None = None
        self.writes: list[tuple[int, int, int]] = []
        self.frames: list[Frame] = []
        self.room = ROOM
        self.silent: set[int] = set()  # kinds of NVM that do not answer
        self.millivolts = 5000  # less than the interpreter's start needs

    # ---- What it computes ------------------------------------------------------

    def input(self, n: int) -> bytes:
        checked = native.accepted(self.rows[n].blob)
        size = checked.header.tensor(self.rows[n].blob, checked.header.input)[1]
        return random.Random(n).randbytes(size)

    def expected(self, n: int) -> bytes:
        checked = native.accepted(self.rows[n].blob)
        return checked.run(self.input(n))[checked.header.output]

    def model(self, n: int) -> int:
        return int(struct.unpack_from("<I", self.rows[n].blob, 16)[0])

    # ---- What the host sends ---------------------------------------------------

    def give(self, n: int) -> bytes:
        """The input of model n, in frames that name it."""
        data, wire = self.input(n), b""
        for seq, at in enumerate(range(0, len(data), CHUNK), 10):
            head = struct.pack("<III", 100 + n, len(data), at)
            tail = struct.pack("<I", self.model(n))
            wire += encode(Kind.INPUT, seq, head + data[at : at + CHUNK] + tail)
        return wire

    def ask(self, kind: Kind, n: int, *numbers: int) -> bytes:
        body = struct.pack(f"<{len(numbers) + 1}I", *numbers, self.model(n))
        return encode(kind, 200 + n, body)

    def whole(self) -> Iterator[bytes]:
        """Both inputs, and when nothing runs any more, both outputs."""
        order = range(len(self.rows))
        yield b"".join(self.give(n) for n in order)
        yield b"".join(self.ask(Kind.OUTPUT, n, 100 + n, 0) for n in order)
        yield b"".join(self.ask(Kind.STATUS, n) for n in order)

    # ---- A life ------------------------------------------------------------

    @property
    def state(self) -> State:
        return bytes(self.memories[FRAM]), bytes(self.memories[FLASH])

    @state.setter
    def state(self, state: State) -> None:
        self.memories = {FRAM: bytearray(state[0]), FLASH: bytearray(state[1])}

    def _nvm(self, kind: int) -> Nvm:
        nvm = Nvm(kind=kind, size=len(self.memories[kind]))

        def read(_nvm: Any, at: int, data: int, n: int) -> int:
            ctypes.memmove(data, bytes(self.memories[kind][at : at + n]), n)
            return 0

        def write(_nvm: Any, at: int, data: int, n: int) -> int:
            new = ctypes.string_at(data, n)
            if kind == FLASH:
                old = self.memories[kind][at : at + n]
                new = bytes(a & b for a, b in zip(old, new, strict=True))
            self._change(kind, at, new)
            return 0

        def erase(_nvm: Any, at: int) -> int:
            self._change(kind, at, b"\xff" * 4096)
            return 0

        nvm.read, nvm.write = READ(read), READ(write)
        nvm.erase = ERASE(erase if kind == FLASH else lambda _nvm, at: E_NVM)
        return nvm

    def _change(self, kind: int, at: int, new: bytes) -> None:
        """Every way in which the power may go during it, then it is done."""
        self.writes.append((kind, at, len(new)))
        memory = self.memories[kind]
        old = bytes(memory[at : at + len(new)])
        for done in (0, 1, len(new) // 2, len(new) - 1, len(new)):
            memory[at : at + len(new)] = new[:done] + old[done:]
            if self.states is not None:
                self.states[self.state] = None

    def run(
        self, script: Iterator[bytes], at_once: bytes = b"", later: Iterator[bytes] | None = None
    ) -> int:
        """One turn-on; `script` gives the next bytes whenever the board waits, `at_once` is there
        before anything runs, `later` comes step by step."""
        nvms = {kind: self._nvm(kind) for kind in (FRAM, FLASH) if kind not in self.silent}
        return turn_on(
            self.slots.memory.nvm, self.slots.image, nvms.get, script, self.frames,
            room=self.room, millivolts=lambda: self.millivolts, start_us=10**9, waits=2,
            at_once=at_once, later=later,
        )  # fmt: skip

    # ---- What it says ------------------------------------------------------

    def replies(self, kind: Kind) -> list[bytes]:
        return [f.body for f in self.frames if f.kind == kind | 0x80]

    def outputs(self) -> list[bytes]:
        """The outputs that were asked for, by model."""
        bodies = self.replies(Kind.OUTPUT)
        assert all(body[0] == 0 for body in bodies), bodies
        return [body[5:] for body in bodies]

    def statuses(self) -> list[Status]:
        return [parse_status(body[1:]) for body in self.replies(Kind.STATUS)]

    def events(self, *kinds: EventKind) -> list[Event]:
        found = [parse_event(f.body) for f in self.frames if f.kind == Kind.EVENT]
        return [event for event in found if event is not None and event.kind in kinds]

    def session(self, n: int) -> Session:
        """Model n's session over its part of the NVM, as the interpreter would open it."""
        row, kind = self.rows[n], FLASH if self.rows[n].blob[25] == FLASH else FRAM
        memory = Memory(len(self.memories[kind]), kind)
        memory.data = self.memories[kind]
        return Session(memory, row.blob, row.store_at, row.store_size)
