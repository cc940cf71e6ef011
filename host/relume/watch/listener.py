"""Listens to a board without disturbing it (docs/SPEC.md 6).

EVENT frames come unasked. What is asked for is HELLO, STATUS and OUTPUT, which change nothing and
which the board answers between two steps, before the interpreter too; an answer costs about 0.2 mJ
of its charge, so a running inference is asked about once and then only after a long silence. When
answers pass by that this listener did not ask for, another program speaks to the board, and
nothing is asked. No frame holds Ctrl-C while the board would act on it. Every frame holds Ctrl-A,
which leads a board that is at its prompt to the raw REPL: it is sent back at once, told of, and
left alone until it speaks frames.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from relume.errors import LinkError
from relume.link.frames import CONSOLE_KEYS, PROTOCOL, Decoder, Frame, encode_quiet, next_seq
from relume.link.messages import (
    REPLY,
    Event,
    EventKind,
    Hello,
    Kind,
    State,
    Status,
    parse_event,
    parse_hello,
    parse_status,
    parse_u32,
)
from relume.link.ports import PortAbsent, PortHeld
from relume.link.stream import Opener
from relume.link.transport import Gone, Wire
from relume.watch.facts import Fact, Line, Note, Output, Taken, What

OUTPUT_MOST = 4096  # bytes of an output that are fetched
_REOPEN_S = 0.05
_RAW = b"raw REPL; CTRL-B to exit"
_TO_PROMPT = b"\x02"
_FRESH_S = 1.0
_TRIES = 3  # unanswered requests before a pause


@dataclass(frozen=True)
class Manners:
    """When to ask, in seconds of host time.

    settle: from the line's opening on, for what comes unasked. retry: until an answer is given
    up. idle, running: silence before STATUS is asked for. others: how long another program's last
    answer keeps this one quiet. shy: pause after three requests that were not answered.
    """

    settle: float = 0.3
    retry: float = 4.0
    idle: float = 3.0
    running: float = 15.0
    others: float = 10.0
    shy: float = 10.0


class Listener:
    """Facts of one board, in the order of their coming. asks: False sends nothing at all."""

    def __init__(
        self,
        opener: Opener,
        *,
        asks: bool = True,
        manners: Manners | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = opener.name
        self._opener, self._asks, self._manners = opener, asks, manners or Manners()
        self._clock, self._sleep = clock, sleep
        self._start = clock()
        self._seq = random.SystemRandom().randint(1, 0xFFFF)
        self._wire: Wire | None = None
        self._decoder = Decoder()
        self._facts: list[Fact] = []
        self._line = Line("")
        self._heard = self._start  # the last good frame, or the line's opening
        self._opened = self._start
        self._at_prompt = False
        self._asked: tuple[int, int, float] | None = None  # reply's kind, seq, when
        self._mine: set[tuple[int, int]] = set()
        self._quiet_until = self._start
        self._unanswered = 0
        self._hello: Hello | None = None
        self._known: Hello | None = None
        self._state: State | None = None
        self._model: int | None = None  # of the last STATUS
        self._stale = True  # STATUS is worth asking for at once
        self._output = bytearray()
        self._fetched: int | None = None  # inference whose output is known, or not to be had
        self._inference = 0

    @property
    def now(self) -> float:
        """Seconds since the listener was made."""
        return self._clock() - self._start

    def poll(self, timeout: float) -> list[Fact]:
        """What was heard, waiting up to timeout seconds for the first byte."""
        try:
            if self._wire is None:
                self._open()
            assert self._wire is not None
            self._ask_what_is_due()
            for frame in self._decoder.feed(self._wire.read(timeout)):
                self._take(frame)
            self._leave_repl()
        except Gone as error:
            self._drop()
            self._tell_line(Line("gone", str(error)))
        except (PortAbsent, PortHeld) as error:
            self._tell_line(Line("absent", str(error)))
            self._sleep(min(timeout, _REOPEN_S))
        facts, self._facts = self._facts, []
        return facts

    def close(self) -> None:
        """Lets the line go; the board notices nothing."""
        self._drop()

    def _leave_repl(self) -> None:
        """The board was at its prompt, and HELLO made it enter the raw REPL."""
        if self._asked is None or self._hello is not None or _RAW not in self._decoder.text:
            return
        assert self._wire is not None
        self._wire.write(_TO_PROMPT)
        self._decoder, self._asked = Decoder(), None
        self._at_prompt = True
        self._tell(Note("the board is at its REPL and serves no link"))

    # ---- The line ----------------------------------------------------------

    def _open(self) -> None:
        self._wire = self._opener.open()
        self._decoder = Decoder()
        self._heard = self._opened = self._clock()
        self._asked, self._unanswered, self._quiet_until = None, 0, self._heard
        self._mine.clear()
        self._at_prompt = False
        self._stale |= self._state != State.RUNNING
        self._tell_line(Line("open"))

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def _tell_line(self, line: Line) -> None:
        if line != self._line:
            self._tell(line)
        self._line = line

    def _tell(self, what: What) -> None:
        self._facts.append(Fact(self.now, what))

    # ---- Asking ------------------------------------------------------------

    def _ask_what_is_due(self) -> None:
        now, manners = self._clock(), self._manners
        if self._asked is not None and now - self._asked[2] >= manners.retry:
            self._asked = None
            self._unanswered += 1
            if self._unanswered % _TRIES == 0:
                self._quiet_until = now + manners.shy
        if not self._asks or self._at_prompt or self._asked is not None or now < self._quiet_until:
            return
        if self._hello is None:
            if now - self._opened >= manners.settle:
                self._ask(Kind.HELLO)
        elif self._stale or now - self._heard >= self._patience():
            self._ask(Kind.STATUS)
        elif self._wants_output() and now - self._answered > _FRESH_S:
            self._ask(Kind.STATUS)  # a valid frame switches Ctrl-C off, which OUTPUT may hold
        elif self._wants_output():
            self._ask(Kind.OUTPUT, struct.pack("<II", self._inference, len(self._output)))

    def _patience(self) -> float:
        """Silence before STATUS is asked for again."""
        return self._manners.running if self._state == State.RUNNING else self._manners.idle

    def _wants_output(self) -> bool:
        return self._state == State.DONE and self._fetched != self._inference

    def _ask(self, kind: Kind, body: bytes = b"") -> None:
        assert self._wire is not None
        avoid = CONSOLE_KEYS - {kind}
        seq, wire = encode_quiet(kind, self._seq, body, avoid)
        self._seq = next_seq(seq)
        self._asked = (kind | REPLY, seq, self._clock())
        self._mine.add((kind | REPLY, seq))
        self._wire.write(wire)

    # ---- Hearing -----------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        if frame.version != PROTOCOL:
            self._tell(Note(f"the board speaks link protocol {frame.version}, not {PROTOCOL}"))
            return
        self._heard, self._at_prompt = self._clock(), False
        try:
            if frame.kind == Kind.EVENT:
                self._event(parse_event(frame.body))
            elif frame.kind == Kind.MESSAGE:
                self._tell(Note(frame.body.decode("utf-8", "replace").strip("\0\r\n ")))
            elif frame.kind & REPLY:
                self._reply(frame)
        except LinkError as error:
            self._tell(Note(str(error)))

    def _event(self, event: Event | None) -> None:
        if event is None:
            return
        ends = event.kind in (EventKind.DONE, EventKind.STUCK)
        self._stale |= ends or (event.kind == EventKind.BOOTED and event.state != State.RUNNING)
        self._is(event.state, event.inference)
        self._tell(event)

    def _is(self, state: State, inference: int) -> None:
        self._state = state
        if inference != self._inference:
            self._inference = inference
            self._output.clear()
        if state == State.RUNNING:
            self._fetched = None

    def _reply(self, frame: Frame) -> None:
        key = (frame.kind, frame.seq)
        if key not in self._mine:
            self._quiet_until = self._heard + self._manners.others
        self._mine.discard(key)
        if self._asked is not None and self._asked[:2] == key:
            self._asked, self._unanswered, self._answered = None, 0, self._heard
        status, body = frame.body[:1], frame.body[1:]
        if status == b"\0":
            self._answer(frame.kind & ~REPLY, body)
        elif frame.kind == Kind.OUTPUT | REPLY:
            self._fetched = self._inference  # it is not there any more
        elif frame.kind in (Kind.HELLO | REPLY, Kind.STATUS | REPLY):
            self._stale = False
            self._tell(Note(body.decode("utf-8", "replace")))

    def _answer(self, kind: int, body: bytes) -> None:
        if kind == Kind.HELLO:
            hello = parse_hello(body)
            known, self._known = self._known, replace(hello, free_heap=0)
            if self._known != known:
                self._tell(hello)
            self._hello = hello
        elif kind == Kind.STATUS:
            self._status(parse_status(body))
        elif kind == Kind.OUTPUT:
            self._piece(parse_u32(body, "OUTPUT"), body[4:])
        elif kind in (Kind.TAKE, Kind.CLEAR):
            self._state = State.IDLE
            self._tell(Taken())
        elif kind == Kind.PUT_END:
            self._hello = None  # another model is active

    def _status(self, status: Status) -> None:
        self._stale = False
        self._is(status.state, status.inference)
        self._tell(status)
        if self._model not in (None, status.model):
            self._hello = None
        self._model = status.model

    def _piece(self, total: int, data: bytes) -> None:
        """A part of the output, in order when this listener asked; another program may repeat."""
        if self._fetched == self._inference:
            return
        self._output += data
        if len(self._output) == total:
            self._tell(Output(self._inference, bytes(self._output)))
        if len(self._output) >= total or not data or total > OUTPUT_MOST:
            self._fetched = self._inference
            self._output.clear()
