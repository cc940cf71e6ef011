"""The timeline page of what a monitor has heard: the one that `demo` and `emulate` make."""

from __future__ import annotations

from pathlib import Path

from relume_boards.virtual.record import BoardEvent, PowerChange, Run, Sample

from relume.link.messages import Event
from relume.report.timeline import write_timeline
from relume.watch.watched import Watched

_MODELS = {
    "time": "the host's clock at the last byte of each frame",
    "voltage": "what the board read when it told of an event, nothing in between",
    "power": "off while the line is gone; where it stays open, from the last word to a new start",
}


def write_page(watched: Watched, port: str, started: str, path: Path) -> None:
    """One self-contained HTML page. Errors: RelumeError if it cannot be written."""
    write_timeline(as_run(watched, port, started), path)


def as_run(watched: Watched, port: str, started: str) -> Run:
    """What was heard in the form of an emulated run's record."""
    run = Run(board=watched.hello.board if watched.hello else "a board")
    run.models = dict(_MODELS)
    run.supply = {"kind": "watched", "port": port, "started": started}
    run.end = watched.now
    run.events = [_event(t, event) for t, event in watched.events]
    run.power = [
        PowerChange(one.t, one.on, "charged" if one.on else "brown-out", 0.0)
        for one in watched.changes
    ]
    run.samples = [Sample(one.t, one.volts) for one in watched.readings]
    if watched.power == "on":
        run.power.append(PowerChange(watched.now, False, "stop", 0.0))
    if watched.output is not None:
        from relume.watch.view import answer_of

        run.results = {str(watched.output.inference): answer_of(watched.output.data, ())}
    return run


def _event(t: float, event: Event) -> BoardEvent:
    return BoardEvent(
        t, event.kind.name.lower(), int(event.state), event.millivolts, event.inference,
        event.tile, event.record, event.micros,
    )  # fmt: skip
