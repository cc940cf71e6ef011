"""Requests over a line that may vanish, reboot, garble or stay silent (docs/SPEC.md 6)."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from relume.errors import LinkError
from relume.link.frames import (
    CONSOLE_KEYS,
    CTRL_C,
    PROTOCOL,
    Decoder,
    Frame,
    encode_quiet,
    next_seq,
)
from relume.link.messages import (
    REPLY,
    Event,
    EventKind,
    Hello,
    Kind,
    parse_event,
    parse_hello,
)
from relume.link.transport import Gone, NoAnswer, PortAbsent, PortHeld, Wire

_PROMPTS = (b">>> ", b"raw REPL; CTRL-B to exit")
_REOPEN_S = 0.05


class Refused(LinkError):
    """The board answered with an error: its code (status.h, sign dropped) and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the board refuses: {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Timings:
    """Patience, in seconds of host time.

    retry: repeat what was not answered. signed: the same for what the board answers behind the
    check of a signature (0.3 s on an RP2040), which a repetition would only cost once more. hello:
    silence before the REPL is tried. answer: for one request while the power is steady. progress:
    for an inference that makes no progress. poll: silence before STATUS is asked for. fresh: an
    older stream begins with HELLO again. appear: for a port that is not there at the start.
    """

    retry: float = 1.0
    signed: float = 3.0
    hello: float = 2.5
    answer: float = 15.0
    progress: float = 120.0
    poll: float = 3.0
    fresh: float = 1.0
    appear: float = 1.0


EMULATED = Timings(
    retry=4.0, signed=60.0, hello=12.0, answer=90.0, progress=300.0, poll=8.0, fresh=0.25,
    appear=20.0,
)  # fmt: skip


class Opener(Protocol):
    """Opens the line to one board, each time it is needed."""

    name: str

    def open(self) -> Wire: ...


class Stream:
    """Numbered requests and their answers; unasked frames are collected on the way.

    events: EVENT frames in the order of their coming. messages: texts of MESSAGE frames.
    restarts: how often the line was lost or the board told that it booted.
    """

    def __init__(
        self,
        opener: Opener,
        timings: Timings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        seq: int | None = None,
    ) -> None:
        self.name = opener.name
        self.timings = timings
        self.events: deque[Event] = deque(maxlen=10_000)
        self.messages: deque[str] = deque(maxlen=100)
        self.restarts = 0
        self.clock = clock
        self._hello: Hello | None = None
        self._opener = opener
        self._sleep = sleep
        self._seq = random.SystemRandom().randint(1, 0xFFFF) if seq is None else seq
        self._wire: Wire | None = None
        self._decoder = Decoder()
        self._heard = clock()  # when the last good frame came
        self._opened = False
        self._mute = 0  # how often the line was opened since the last answer
        self._started_server = False

    @property
    def hello(self) -> Hello:
        """What the board said at the start of the stream; connects if need be."""
        return self._hello or self.greet()

    def greet(self, patience: float | None = None) -> Hello:
        """Begins the stream: HELLO until it is answered. Errors: LinkError."""
        deadline = self.clock() + (patience or self.timings.answer)
        return self._greet(deadline)

    def request(
        self,
        kind: Kind,
        body: bytes = b"",
        patience: float | None = None,
        retry: float | None = None,
    ) -> bytes:
        """The answer's body after its status, repeated and reconnected until patience ends.

        retry: seconds until it is repeated, by default those of the timings.
        Errors: Refused (the board's own), NoAnswer, LinkError.
        """
        waited = patience or self.timings.answer
        deadline = self.clock() + waited
        seq, wire = self._number(kind, body)
        stale = self._wire is None
        while True:
            if stale or self._is_stale(wire):
                self._greet(deadline)
            frame = self._ask(wire, kind | REPLY, seq, deadline, retry)
            if frame is not None:
                return _body(frame)
            if self.clock() >= deadline:
                raise self._silence(f"no answer to {kind.name} for {waited:.0f} s")
            stale = True

    def listen(self, timeout: float) -> None:
        """Takes what comes unasked, up to timeout seconds for the first byte. Reopens the line."""
        try:
            if self._wire is None:
                self._open_once()
            assert self._wire is not None
            for frame in self._decoder.feed(self._wire.read(timeout)):
                self._sort(frame)
        except Gone:
            self._drop()
        except (PortAbsent, PortHeld):
            self._sleep(min(timeout, _REOPEN_S))

    def close(self) -> None:
        """Ends the stream; a board that was taken from its REPL goes back there."""
        if self._wire is None:
            return
        try:
            if self._started_server:
                self._ask(*self._exit(), deadline=self.clock() + self.timings.retry)
                self._wire.leave_repl()
        except (LinkError, AttributeError):
            pass  # the line went away on the way out
        finally:
            if self._wire is not None:
                self._wire.close()
            self._wire = None

    def console(self) -> str:
        """The last line that the board printed outside of frames."""
        text = self._decoder.text.decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line.isprintable() and len(line) > 3]
        return lines[-1][:120] if lines else ""

    # ---- Requests --------------------------------------------------------

    def _number(self, kind: Kind, body: bytes) -> tuple[int, bytes]:
        """Sequence number and frame; small frames come out without Ctrl-C."""
        avoid = CONSOLE_KEYS if kind == Kind.HELLO else frozenset((CTRL_C,))
        seq, wire = encode_quiet(kind, self._seq, body, avoid)
        self._seq = next_seq(seq)
        return seq, wire

    def _exit(self) -> tuple[bytes, int, int]:
        seq, wire = self._number(Kind.EXIT, b"")
        return wire, Kind.EXIT | REPLY, seq

    def _is_stale(self, wire: bytes) -> bool:
        """Ctrl-C may be on again at the board, and this frame holds one."""
        return CTRL_C in wire and self.clock() - self._heard > self.timings.fresh

    def _ask(
        self, wire: bytes, kind: int, seq: int, deadline: float, retry: float | None = None
    ) -> Frame | None:
        """Sends once; None if no answer came in time or the line was lost."""
        if self._wire is None:
            return None
        until = min(self.clock() + (retry or self.timings.retry), deadline)
        try:
            self._wire.write(wire)
            return self._await(wire, kind, seq, until)
        except Gone:
            self._drop()
            return None

    def _await(self, wire: bytes, kind: int, seq: int, until: float) -> Frame | None:
        """The answer, or None. A board that says that it has just come up is asked again."""
        assert self._wire is not None
        while True:
            answer = None
            data = self._wire.read(max(0.0, until - self.clock()))
            for frame in self._decoder.feed(data):
                self._sort(frame)
                if _is_up(frame) and not self._is_stale(wire):
                    self._wire.write(wire)
                if frame.kind == kind and frame.seq == seq and frame.version == PROTOCOL:
                    answer = frame
            if answer is not None or self.clock() >= until:
                return answer

    def _sort(self, frame: Frame) -> None:
        if frame.version != PROTOCOL:
            if frame.kind == Kind.HELLO | REPLY:
                raise self._other_protocol(frame.version)
            return
        self._heard = self.clock()
        if frame.kind & REPLY:
            self._mute = 0
        if frame.kind == Kind.EVENT:
            event = parse_event(frame.body)
            if event is None:
                return
            self.restarts += event.kind == EventKind.BOOTED
            self.events.append(event)
        elif frame.kind == Kind.MESSAGE:
            self.messages.append(frame.body.decode("utf-8", "replace").strip("\0\r\n "))

    # ---- The beginning of a stream ---------------------------------------

    def _greet(self, deadline: float) -> Hello:
        silent = self.clock()
        reason: LinkError | None = None
        while True:
            if self._wire is None:
                self._open(deadline)
                silent = self.clock()
            hello = self._hello_once(deadline)
            if hello is not None:
                self._hello = hello
                return hello
            if self._wire is not None and self._wants_repl(self.clock() - silent):
                reason = self._from_repl() or reason
                silent = self.clock()
            if self.clock() >= deadline:
                raise reason or self._silence("no answer to HELLO")

    def _hello_once(self, deadline: float) -> Hello | None:
        seq, wire = self._number(Kind.HELLO, b"")
        frame = self._ask(wire, Kind.HELLO | REPLY, seq, deadline)
        if frame is None:
            return None
        hello = parse_hello(_body(frame))
        if hello.protocol != PROTOCOL:
            raise self._other_protocol(hello.protocol)
        return hello

    def _wants_repl(self, silence: float) -> bool:
        """A prompt was printed, or the silence lasts; longer when a board once answered here,
        for then it is rather without power."""
        text = self._decoder.text[-400:]
        if any(prompt in text for prompt in _PROMPTS):
            return True
        return silence >= self.timings.hello * (1 if self._hello is None else 4)

    def _from_repl(self) -> NoAnswer | None:
        """Starts the server through the REPL; None when that went well or the line was lost."""
        assert self._wire is not None
        try:
            self._wire.serve()
        except Gone:
            self._drop()
        except NoAnswer as error:
            return error
        else:
            self._started_server = True
        self._decoder = Decoder()
        return None

    def _open(self, deadline: float) -> None:
        """Opens the line, waiting for a port that went away. Errors: PortAbsent, PortHeld."""
        appear = min(deadline, self.clock() + self.timings.appear)
        limit = deadline if self._opened else appear
        while True:
            try:
                self._open_once()
                return
            except (PortAbsent, PortHeld) as error:
                if self.clock() >= limit:
                    raise self._gone(error) from error
                self._sleep(_REOPEN_S)

    def _gone(self, error: LinkError) -> LinkError:
        if not self._opened:
            return error
        if self._mute > 2:
            text = f"{self.name}: the board comes and goes ({self._mute} times) and never answers"
            return NoAnswer(f"{text}: is there enough power?")
        return type(error)(f"the board went away and did not come back ({error})")

    def _open_once(self) -> None:
        self._wire = self._opener.open()
        self._decoder = Decoder()
        self._started_server = False
        self.restarts += self._opened
        self._opened = True
        self._mute += 1

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    # ---- Errors ----------------------------------------------------------

    def _silence(self, text: str) -> NoAnswer:
        said = self.console()
        tail = f"; it printed: {said}" if said else ": is the board powered, is this its port?"
        return NoAnswer(f"{self.name}: {text}{tail}")

    def _other_protocol(self, version: int) -> LinkError:
        return LinkError(
            f"{self.name}: the firmware speaks link protocol {version}, this relume {PROTOCOL}:"
            " install matching versions (relume flash puts this one's on the board)"
        )


def _is_up(frame: Frame) -> bool:
    """The board has turned on: what was sent before is lost."""
    started = (EventKind.BOOTED, EventKind.RESUMED)
    return frame.kind == Kind.EVENT and frame.body[:1] in [bytes([kind]) for kind in started]


def _body(frame: Frame) -> bytes:
    if not frame.body:
        raise LinkError("the board's answer has no status: another firmware version?")
    code = frame.body[0]
    if code:
        raise Refused(code, frame.body[1:].decode("utf-8", "replace") or f"error {code}")
    return frame.body[1:]
