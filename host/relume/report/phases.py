"""What a recorded run shows, worked out for a picture: charges, phases, inferences.

A phase is what the board did with a stretch of powered time: "boot" until it says that it has
booted or resumed (or for as long as a boot takes, if it says nothing), "kept" work that a commit
secured, "lost" work after the last commit before a brown-out (it is executed again), "idle"
otherwise.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relume_boards.virtual.record import BoardEvent, Run

PHASES = ("boot", "kept", "lost", "idle")
_DONE = 2  # state of a record, SPEC 4.1


@dataclass(frozen=True)
class Phase:
    """Seconds since the emulation's start."""

    start: float
    end: float
    kind: str


@dataclass(frozen=True)
class Charge:
    """From turn-on to turn-off; the last one of a run may end with the record."""

    number: int
    start: float
    end: float
    brownout: bool
    phases: tuple[Phase, ...]
    commits: tuple[float, ...]

    def spent(self, kind: str) -> float:
        """Seconds of one kind of phase."""
        return sum(phase.end - phase.start for phase in self.phases if phase.kind == kind)


@dataclass(frozen=True)
class Inference:
    """From its first event to "done"; `end` is the record's end if it did not get there.

    `order` counts from 1 in the run, `number` is the id that the host gave."""

    order: int
    number: int
    start: float
    end: float
    done: bool
    brownouts: int
    commits: int
    result: str


def charges_of(run: Run) -> list[Charge]:
    """The run's charges in order, with their phases."""
    charges: list[Charge] = []
    running = False
    for start, end, brownout in _powered(run):
        first = bisect_left(run.events, start, key=lambda event: event.t)
        last = bisect_right(run.events, end, key=lambda event: event.t)
        events = run.events[first:last]
        booted = min(start + run.boot_s, end)
        phases, running = _phases(start, booted, end, brownout, events, running)
        commits = tuple(event.t for event in events if event.kind in ("committed", "done"))
        charges.append(Charge(len(charges) + 1, start, end, brownout, phases, commits))
    return charges


def _powered(run: Run) -> list[tuple[float, float, bool]]:
    """(on, off, by brown-out) of every powered stretch."""
    spans: list[tuple[float, float, bool]] = []
    on: float | None = None
    for change in run.power:
        if change.on:
            on = change.t
        elif on is not None:
            spans.append((on, change.t, change.cause == "brown-out"))
            on = None
    if on is not None:
        spans.append((on, max(on, run.end), False))
    return spans


def _phases(
    start: float,
    booted: float,
    end: float,
    brownout: bool,
    events: Sequence[BoardEvent],
    running: bool,
) -> tuple[tuple[Phase, ...], bool]:
    """Phases of one charge, and whether an inference is pending after it."""
    if events and events[0].kind in ("booted", "resumed"):
        booted = events[0].t
        running = events[0].kind == "resumed" or events[0].state == 1
    elif events:
        booted = min(booted, events[0].t)
    found = [Phase(start, booted, "boot")]
    mark = booted
    for event in events:
        if event.kind in ("committed", "done"):
            found.append(Phase(mark, event.t, "kept" if running else "idle"))
            running = event.kind == "committed"
            mark = event.t
    tail = "idle" if not running else "lost" if brownout else "kept"
    found.append(Phase(mark, end, tail))
    return tuple(_merged(found)), running


def _merged(phases: list[Phase]) -> list[Phase]:
    out: list[Phase] = []
    for phase in phases:
        if phase.end <= phase.start:
            continue
        if out and out[-1].kind == phase.kind:
            out[-1] = Phase(out[-1].start, phase.end, phase.kind)
        else:
            out.append(phase)
    return out


def inferences_of(run: Run) -> list[Inference]:
    """Every inference that the board reported, by its first event."""
    cuts = [change.t for change in run.power if not change.on and change.cause == "brown-out"]
    found: list[Inference] = []
    open_: dict[int, list[BoardEvent]] = {}

    def close(events: list[BoardEvent], done: bool) -> None:
        first, number = events[0], events[0].inference
        end = events[-1].t if done else run.end
        inside = sum(1 for t in cuts if first.t < t < end)
        commits = sum(1 for event in events if event.kind == "committed")
        result = run.results.get(str(number), "")
        found.append(Inference(0, number, first.t, end, done, inside, commits, result))

    for event in run.events:
        if event.kind in ("committed", "resumed"):
            open_.setdefault(event.inference, []).append(event)
        elif event.kind == "done" and event.inference in open_:
            close([*open_.pop(event.inference), event], True)
    for number, events in open_.items():
        last = _found_done(run, number)
        close([*events, last] if last else events, last is not None)
    found.sort(key=lambda inference: inference.start)
    return [replace(inference, order=order) for order, inference in enumerate(found, 1)]


def _found_done(run: Run, number: int) -> BoardEvent | None:
    """The event that shows an inference done although its own "done" was cut off."""
    return next((e for e in run.events if e.inference == number and e.state == _DONE), None)


def window_of(charges: Sequence[Charge], inferences: Sequence[Inference], most: int) -> range:
    """Indices of the charges worth a closer look: around the inference with the most brown-outs.

    At most `most` charges; all of them if they are no more than that.
    """
    if len(charges) <= most:
        return range(len(charges))
    chosen = max(inferences, key=lambda inference: inference.brownouts, default=None)
    if chosen is None:
        return range(most)
    first = next((i for i, charge in enumerate(charges) if charge.end >= chosen.start), 0)
    first = max(0, min(first, len(charges) - most))
    return range(first, first + most)
