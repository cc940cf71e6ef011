"""What is known of a board, from the facts that a monitor has heard so far.

The board counts commits, cycles and brown-outs itself (STATUS); between two answers the events
are counted on top. Power is not told but seen: it is off while the line is gone, and a board that
says booted or resumed with a younger clock than before was off in between.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from relume.link.messages import Event, EventKind, Hello, State, Status
from relume.watch.facts import Fact, Line, Note, Output, Taken, What

_AFTER_S = 1e-3  # the last word was said before the power went
HISTORY = 20_000  # events, readings and power changes that are kept
STARTS = (EventKind.BOOTED, EventKind.RESUMED)
_SAME_BOOT_US = 5000  # the interpreter, which tells of its start as well, takes longer to come up


@dataclass(frozen=True)
class Power:
    """The board went on or off."""

    t: float
    on: bool


@dataclass(frozen=True)
class Reading:
    """The supply's voltage as the board read it."""

    t: float
    volts: float


@dataclass
class Inference:
    """The inference that the board told of last. attempts: turn-ons since its newest commit."""

    number: int = 0
    state: State = State.EMPTY
    tile: int = 0
    record: int | None = None
    commits: int = 0
    brownouts: int = 0
    cycles: int | None = None
    nvm_bytes: int | None = None
    attempts: int = 0
    exact: bool = False  # commits and brownouts are counted from the beginning on


@dataclass
class Watched:
    """The state of a board and its history. Times: seconds since the monitor began."""

    line: Line = field(default_factory=lambda: Line(""))
    since: float = 0.0  # of line and power
    power: Literal["unknown", "on", "off"] = "unknown"
    heard: float | None = None  # the last word of the board
    hello: Hello | None = None
    n_tiles: int = 0
    inference: Inference = field(default_factory=Inference)
    finished: int = 0
    output: Output | None = None
    brownouts: int = 0  # seen by the monitor, inside inferences or not
    cycles: int = 0  # of the inferences that were seen to end
    note: str = ""
    now: float = 0.0
    events: deque[tuple[float, Event]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=HISTORY))
    changes: deque[Power] = field(default_factory=lambda: deque(maxlen=HISTORY))
    _micros: int = 0
    _begun: bool = False  # an event of this charge was heard
    _ended: int | None = None  # the inference that was counted as finished last

    @property
    def volts(self) -> float | None:
        """The last reading of this charge, None when the board reads no voltage or is off."""
        if self.power == "off" or not self.readings:
            return None
        last = self.readings[-1]
        return last.volts if not self.changes or last.t >= self.changes[-1].t else None

    def take(self, fact: Fact) -> None:
        """Takes one fact in; facts come in the order of their times."""
        self.now = max(self.now, fact.t)
        what = fact.what
        if isinstance(what, Line):
            self._take_line(fact.t, what)
        elif isinstance(what, Note):
            self.note = what.text
        else:
            self._take_word(fact.t, what)

    def _take_line(self, t: float, line: Line) -> None:
        self.line = line
        if line.state != "open" and self.power != "off":
            self._switch(t, False)

    def _take_word(self, t: float, what: What) -> None:
        if isinstance(what, Event):
            self._take_event(t, what)
        elif self.power != "on":
            self._switch(t, True)
        if isinstance(what, Hello):
            self.hello = what
        elif isinstance(what, Status):
            self._take_status(what)
        elif isinstance(what, Output):
            self.output = what
        elif isinstance(what, Taken):
            self.inference.state = State.IDLE
        self.heard = t

    # ---- Power -------------------------------------------------------------

    def _switch(self, t: float, on: bool) -> None:
        was = self.power
        self.power, self.since = "on" if on else "off", t
        if on or was == "on":
            self.changes.append(Power(t, on))
        if not on and was == "on":
            self.brownouts += 1
        self._begun = False

    def _turn_on(self, t: float, event: Event) -> None:
        """The line stayed open, as a UART's does, or it came back."""
        last = self.heard if self.heard is not None else 0.0
        again = self._begun and event.micros < self._micros + _SAME_BOOT_US
        if self.power == "on" and event.kind in STARTS and again:
            self._switch(min(t, last + _AFTER_S), False)
        if self.power != "on":
            earliest = self.changes[-1].t if self.changes else 0.0
            self._switch(max(earliest, min(t, t - event.micros * 1e-6)), True)

    # ---- The inference -----------------------------------------------------

    def _take_event(self, t: float, event: Event) -> None:
        self._turn_on(t, event)
        first, self._begun = not self._begun, True
        self._micros = event.micros
        self.events.append((t, event))
        if event.millivolts:
            self.readings.append(Reading(t, event.millivolts * 1e-3))
        one = self._inference_of(event)
        if event.kind == EventKind.RESUMED and first:
            one.brownouts += 1
            one.attempts = one.attempts + 1 if event.record == one.record else 1
        elif event.kind == EventKind.COMMITTED:
            one.commits += 1
            one.attempts = 0
        one.tile, one.record = event.tile, event.record
        self._set_state(event.state, ends=event.kind == EventKind.DONE)

    def _inference_of(self, event: Event) -> Inference:
        """The one that the event tells of; another one than before begins with its input."""
        begins = event.kind == EventKind.COMMITTED and event.tile == 0
        if event.inference != self.inference.number or begins:
            self.inference = Inference(event.inference, exact=begins)
        return self.inference

    def _take_status(self, status: Status) -> None:
        if status.inference != self.inference.number:
            self.inference = Inference(status.inference)
        one, self.n_tiles = self.inference, status.n_tiles
        one.tile, one.commits, one.brownouts = status.tile, status.commits, status.brownouts
        one.cycles, one.nvm_bytes, one.exact = status.cycles, status.nvm_bytes, True
        self._set_state(status.state)
        if self._ended == one.number and one.state == State.DONE:
            self.cycles += status.cycles
            self._ended = None

    def _set_state(self, state: State, ends: bool = False) -> None:
        """ends: the board told of the end, though maybe not of the begin (SPEC 6)."""
        one = self.inference
        ran = one.state == State.RUNNING or (ends and one.state != State.DONE)
        if state == State.DONE and ran:
            self.finished += 1
            self._ended = one.number
        one.state = state
