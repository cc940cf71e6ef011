"""A node for days of emulated time: models served before the interpreter (early.c, session, store,
slots on the host), a capacitor that a harvest trace fills, a host that comes and goes.

Time is skipped to the next event: an input, the host's next visit, the capacitor full again.
Power dies where the charge ends, also inside a write, a program or an erase.
"""

from __future__ import annotations

import ctypes
import random
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from relume.link.frames import Decoder, encode
from relume.link.messages import CHUNK, REPLY, Kind
from relume.power.trace import Trace

from tests import early, native
from tests.early import ERASE, READ, Nvm
from tests.powercut.session import FLASH, FRAM
from tests.powercut.slotflash import OK, SlotFlash

PERIOD_S = 60.0
VON, VOFF = 5.0, 1.8
BOOT_J, LOOK_J, BYTE_J, PAGE_J, ERASE_J = 1e-3, 1e-4, 3e-6, 2e-4, 1.5e-3
LOOK_S, HZ, IDLE_W = 2e-3, 125_000_000, 6e-3
SECTORS, FRAM_SIZE, ROOM = 16, 1 << 14, 1 << 17
SIZES = {FRAM: FRAM_SIZE, FLASH: SECTORS * 4096}
ROOMS = (FRAM_SIZE - FRAM_SIZE // 8, SIZES[FLASH] - SIZES[FLASH] // 8)
E_NVM = -9
HOPELESS = 200  # charges
EXIT = b"\0" + encode(Kind.EXIT, 1, b"")


class Node:
    """models: blobs for one NVM, deployed in turn under one name. charge_j: a full capacitor's."""

    def __init__(self, models: Sequence[bytes], trace: Trace, charge_j: float, seed: int) -> None:
        self.models, self.trace, self.charge_j = models, trace, charge_j
        self.kind = FLASH if models[0][25] == FLASH else FRAM
        self.random = random.Random(seed)
        self.t = self.on_at = 0.0
        self.joules = 0.0
        self.dead = False
        self.data = bytearray(b"\xff" * SIZES[self.kind])
        self.erases = [0] * SECTORS
        self.counts: Counter[str] = Counter()
        self.mounts: list[int] = []  # bytes that each turn-on read before it answered
        self.slots = SlotFlash(16)
        self.model = 0
        assert self.slots.deploy("node", models[0], ROOMS) == OK
        self.trouble: Exception | None = None
        # What the host knows.
        self.next = 1  # inference of the next minute
        self.asked: int | None = None  # its input is, or may be, on the board
        self.whole = False  # the board said that it is committed
        self.got = False  # its output is with the host
        self.away_until = 0.0
        self.pending: deque[int] = deque()
        self.decoder = Decoder()
        self.collected = bytearray()

    def _safe(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """ctypes drops what a callback raises: it is kept, and ends the life."""

        def called(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except Exception as error:
                self.trouble, self.dead = self.trouble or error, True
                self.pending.clear()
                self._send(EXIT)
                return 0 if call.__name__ in ("receive", "rest", "send") else E_NVM

        return called

    # ---- Supply ----------------------------------------------------------------

    def _spend(self, joules: float, seconds: float) -> bool:
        """Takes energy and time; False: the power is gone."""
        if self.dead:
            return False
        came = self.trace.energy(self.t, self.t + seconds) if seconds > 0 else 0.0
        self.joules = min(self.charge_j, self.joules + came - joules)
        self.t += seconds
        if self.joules <= 0:
            self.dead = True
            self.counts["brownouts"] += 1
        return not self.dead

    def _charge(self) -> None:
        """Off, until the capacitor is full."""
        self.t += self.trace.time_to_gain(self.t, self.charge_j - max(self.joules, 0.0))
        self.joules, self.dead, self.on_at = self.charge_j, False, self.t

    def _millivolts(self) -> int:
        share = max(self.joules, 0.0) / self.charge_j
        return int(1000 * (VOFF**2 + share * (VON**2 - VOFF**2)) ** 0.5)

    # ---- NVM -------------------------------------------------------------------

    def _nvm(self) -> Nvm:
        nvm = Nvm(kind=self.kind, size=len(self.data))

        def read(_nvm: Any, at: int, data: int, n: int) -> int:
            assert at + n <= len(self.data)
            ctypes.memmove(data, bytes(self.data[at : at + n]), n)
            self.counts["read"] += n
            return E_NVM if self.dead else 0

        def write(_nvm: Any, at: int, data: int, n: int) -> int:
            assert at + n <= len(self.data)
            if self.dead:
                return E_NVM
            new, old = ctypes.string_at(data, n), bytes(self.data[at : at + n])
            if self.kind == FLASH:
                assert (at % 256, n) == (0, 256)
                new = bytes(a & b for a, b in zip(old, new, strict=True))
            whole = self._spend(PAGE_J if self.kind == FLASH else n * BYTE_J, 0.0)
            done = n if whole else self.random.randrange(n + 1)
            self.data[at : at + n] = new[:done] + old[done:]
            self.counts["written"] += n
            self.counts["torn"] += not whole
            return 0 if whole else E_NVM

        def erase(_nvm: Any, at: int) -> int:
            assert self.kind == FLASH and at % 4096 == 0
            if self.dead:
                return E_NVM
            whole = self._spend(ERASE_J, 0.04)
            noise = self.random.randbytes(4096)
            self.data[at : at + 4096] = b"\xff" * 4096 if whole else noise
            self.erases[at // 4096] += 1
            self.counts["torn"] += not whole
            return 0 if whole else E_NVM

        safe = self._safe
        nvm.read, nvm.write, nvm.erase = READ(safe(read)), READ(safe(write)), ERASE(safe(erase))
        return nvm

    # ---- The host --------------------------------------------------------------

    @property
    def meta_crc(self) -> int:
        return int(struct.unpack_from("<I", self.models[self.model], 16)[0])

    def _sizes(self) -> tuple[int, int]:
        checked = native.accepted(self.models[self.model])
        header = checked.header
        blob = self.models[self.model]
        return header.tensor(blob, header.input)[1], header.tensor(blob, header.output)[1]

    def input_of(self, number: int) -> bytes:
        return random.Random(number).randbytes(self._sizes()[0])

    def expected(self, number: int) -> bytes:
        checked = native.accepted(self.models[self.model])
        return checked.run(self.input_of(number))[checked.header.output]

    def _wants(self) -> bytes:
        """What the host sends now; b"": it is away, or it is not time yet."""
        if self.t < self.away_until:
            return b""
        if self.asked is None:
            if self.t < self.next * PERIOD_S:
                return b""
            self.asked, self.whole, self.got = self.next, False, False
        if self.got:
            return encode(Kind.TAKE, 3, struct.pack("<I", self.asked))
        if self.whole:
            body = struct.pack("<II", self.asked, len(self.collected))
            return encode(Kind.OUTPUT, 2, body)
        data, wire = self.input_of(self.asked), b""
        for at in range(0, len(data), CHUNK):
            head = struct.pack("<III", self.asked, len(data), at)
            wire += encode(Kind.INPUT, 10 + at // CHUNK, head + data[at : at + CHUNK])
        return wire

    def _hears(self, kind: int, body: bytes) -> None:
        if kind == Kind.INPUT | REPLY:
            if body[0] == 0 and struct.unpack_from("<I", body, 1)[0] == self._sizes()[0]:
                self.whole = True
                if self.random.random() < 0.1:  # the host goes; it comes back in some minutes
                    self.away_until = self.t + self.random.uniform(60, 600)
        elif kind == Kind.OUTPUT | REPLY:
            if body[0] == 0:
                self.collected += body[5:]
                if len(self.collected) == self._sizes()[1]:
                    assert self.asked is not None and not self.got
                    wrong = bytes(self.collected) != self.expected(self.asked)
                    assert not wrong, f"inference {self.asked}"
                    self.got = True
                    self._send(self._wants())
        elif kind == Kind.TAKE | REPLY and body[0] == 0:
            self.counts["results"] += 1
            self.next = max(self.next + 1, int(self.t // PERIOD_S) + 1)
            self.asked = None
            self.collected.clear()

    def _send(self, wire: bytes) -> None:
        self.pending.extend(wire)

    # ---- A charge --------------------------------------------------------------

    def turn_on(self) -> None:
        """From power-on until the power is gone, or nothing is left to do."""
        self._charge()
        self.pending.clear()
        self.collected.clear()
        self.decoder = Decoder()
        self.counts["charges"] += 1
        if not self._spend(BOOT_J, 0.01):
            return
        before = self.counts["read"]
        nvm = self._nvm()
        told = False

        def opened(_ctx: Any, kind: int, at: Any) -> int:
            assert kind == self.kind
            at[0] = ctypes.pointer(nvm)
            return 0

        def receive(_ctx: Any, byte: Any) -> int:
            nonlocal told
            if not told:
                self.mounts.append(self.counts["read"] - before)
                told = True
                self._send(self._wants())
            if not self.pending:
                self._spend(LOOK_J, LOOK_S)
                return 0
            byte[0] = self.pending.popleft()
            return 1

        def send(_ctx: Any, wire: Any, n: int, _brief: int) -> None:
            if not self.dead:
                for frame in self.decoder.feed(bytes(wire[:n])):
                    self._hears(frame.kind, frame.body)

        def rest(_ctx: Any, ms: int) -> None:
            if ms != early.LOOK_MS:
                self._spend(IDLE_W * ms / 1e3, ms / 1e3)
                return
            wanted = self._wants()
            if wanted and not self.dead:
                self._send(wanted)
                return
            if not self.dead:  # nobody wants anything: the charge ends here
                self.t += self.joules / IDLE_W
                self.joules, self.dead = 0.0, True
            self._send(EXIT)

        safe = self._safe
        board = early._Board(
            room=ROOM, blobs_size=1 << 20, board=b"SOAK", version=b"0",
            nvm=early._OPEN(safe(opened)),
            cycles=early._U64(lambda _c: int(self.t * HZ)),
            micros=early._U32(lambda _c: int((self.t - self.on_at) * 1e6) & 0xFFFFFFFF),
            millivolts=early._U32(lambda _c: self._millivolts()),
            receive=early._TAKE_BYTE(safe(receive)), send=early._SEND(safe(send)),
            rest=early._REST(safe(rest)),
            rest_cycles=early.REST_CYCLES, start_us=10**9,
        )  # fmt: skip
        library = native.librelume()
        memory = ctypes.create_string_buffer(ROOM + 8)
        board.memory = ctypes.c_void_p((ctypes.addressof(memory) + 7) & ~7)
        models = ctypes.create_string_buffer(64)
        found = library.rl_early_find(
            ctypes.byref(self.slots.memory.nvm), self.slots.image,
            ctypes.c_void_p(board.memory), ROOM, models,
        )
        assert found == 0
        library.rl_early(ctypes.byref(board), models)
        if self.trouble is not None:
            raise self.trouble

    def idle(self) -> None:
        """Skips to when somebody wants something again: nothing runs."""
        at = self.next * PERIOD_S if self.asked is None else 0.0
        self.t = max(self.t, at, self.away_until)

    # ---- A deploy --------------------------------------------------------------

    def deploy(self) -> None:
        """The next model in the place of this one; cut at some operation, then once more."""
        old = self.slots.rows()[0].blob
        self.model = (self.model + 1) % len(self.models)
        new = self.models[self.model]
        if self.random.random() < 0.7:
            self.slots.states = []
            assert self.slots.deploy("node", new, ROOMS) == OK
            self.slots = SlotFlash(16, self.random.choice(self.slots.states))
            self.counts["cut deploys"] += 1
            assert {row.blob for row in self.slots.rows()} <= {old, new}
        assert self.slots.deploy("node", new, ROOMS) == OK
        assert [row.blob for row in self.slots.rows() if row.blob == new] == [new]
        self.counts["deploys"] += 1

    def live(self, seconds: float) -> None:
        """So long from now."""
        end = self.t + seconds
        deploy_at = self.t + self.random.uniform(600, 3600)
        since, results = 0, 0
        while self.t < end or self.asked is not None:  # what is under way is taken
            since = since + 1 if self.counts["results"] == results else 0
            results = self.counts["results"]
            assert since < HOPELESS, f"{since} charges and no result"
            if self.asked is None and self.t > deploy_at:
                self.deploy()
                deploy_at = self.t + self.random.uniform(1200, 7200)
            self.turn_on()
            if self.whole or self.asked is None:
                self.idle()
