"""What a person sees of a watched board: a panel for a terminal, or a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relume.link.messages import Event, EventKind, State
from relume.report.tables import count
from relume.watch.facts import Fact, Line, Note
from relume.watch.watched import Watched

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from relume.blob.reader import Blob

LOG_LINES = 8
_BARS = "▁▂▃▄▅▆▇█"
_SPARKS = 40
_TITLE = "relume monitor"
_KIND_STYLE = {
    EventKind.COMMITTED: "green", EventKind.DONE: "bold green", EventKind.RESUMED: "yellow",
    EventKind.STUCK: "bold red",
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What a person knows beside the board: the port, the model's blob, labels of its output."""

    port: str
    blob: Blob | None = None
    labels: Sequence[str] = ()


def rows_of(watched: Watched, known: Known) -> list[tuple[str, str]]:
    """(what, text) of all that is known, in the order of the panel."""
    rows = [("board", _board(watched, known)), ("power", _power(watched))]
    rows.append(("supply", _supply(watched)))
    if watched.hello is not None:
        rows.append(("model", _model(watched)))
    rows += _inference(watched, known)
    if watched.finished or watched.output:
        rows.append(("finished", _finished(watched, known)))
    if watched.note:
        rows.append(("it says", printable(watched.note)))
    return rows


def _board(watched: Watched, known: Known) -> str:
    hello = watched.hello
    who = f"{hello.board}, firmware {hello.firmware}" if hello else "not known yet"
    return printable(f"{who}, at {known.port}")


def _power(watched: Watched) -> str:
    brownouts = f"{_many(watched.brownouts, 'brown-out')} seen"
    span = _span(watched.now - watched.since)
    if watched.power == "on":
        quiet = watched.now - (watched.heard or 0.0)
        silent = f", silent for {_span(quiet)}" if quiet > 5 else ""
        return f"on for {span}{silent}, {brownouts}"
    if watched.line.state == "open":
        return f"no word from the board yet: it is off, or serves no link; {brownouts}"
    why = f": {printable(watched.line.text)}" if watched.line.state == "absent" else ""
    return f"board is off, waiting for {span}, {brownouts}{why}"


def _supply(watched: Watched) -> str:
    if not watched.readings:
        return "the board has told no voltage"
    volts = watched.volts
    now = f"{volts:.2f} V" if volts is not None else "off   "
    return f"{now}  {_sparks(watched)}"


def _sparks(watched: Watched) -> str:
    """The last readings as bars of 0 V to the highest, a gap for each time without power."""
    off = sorted(one.t for one in watched.changes if not one.on)
    marks: list[float | None] = []
    for one in list(watched.readings)[-_SPARKS:]:
        while off and off[0] < one.t:
            off.pop(0)
            if marks and marks[-1] is not None:
                marks.append(None)
        marks.append(one.volts)
    top = max((mark for mark in marks if mark is not None), default=1.0)
    cells = [" " if m is None else _BARS[min(7, int(8 * m / (top + 1e-9)))] for m in marks]
    return "".join(cells[-_SPARKS:])


def _model(watched: Watched) -> str:
    hello = watched.hello
    assert hello is not None
    if not hello.model:
        return "none is deployed"
    where = {1: "FRAM", 2: "flash", 3: "a file", 4: "FRAM on I2C"}.get(hello.nvm_kind, "NVM")
    return printable(f"{hello.model_name} ({hello.model:08x}), commits to {where}")


def _inference(watched: Watched, known: Known) -> list[tuple[str, str]]:
    one = watched.inference
    if one.state == State.EMPTY:
        return []
    of = f" of {count(watched.n_tiles)}" if watched.n_tiles else ""
    if one.state == State.IDLE:
        rows = [("inference", f"none, the result of {one.number:08x} was taken")]
    else:
        rows = [("inference", f"{one.number:08x} {one.state.name.lower()}, tile {one.tile}{of}")]
    going = one.state in (State.RUNNING, State.STUCK)
    if going and known.blob is not None and _is_model(watched, known.blob):
        rows.append(("place", _place(known.blob, one.tile)))
    least = "" if one.exact else "at least "
    commits, brownouts = _many(one.commits, "commit"), _many(one.brownouts, "brown-out")
    made = f"{least}{commits}, {least}{brownouts}"
    if one.attempts > 1:
        made += f", attempt {one.attempts} at this commit"
    rows.append(("so far", made))
    if one.cycles:
        rows.append(("work", _work(watched, one.cycles, one.nvm_bytes or 0)))
    return rows


def _is_model(watched: Watched, blob: Blob) -> bool:
    return watched.hello is not None and watched.hello.model == blob.meta_crc


def _place(blob: Blob, tile: int) -> str:
    ends = [segment.end_tile for segment in blob.segments]
    reached = sum(end <= tile for end in ends)
    return f"segment {min(reached + 1, len(ends))} of {len(ends)}, layer {blob.layer_of(tile)}"


def _work(watched: Watched, cycles: int, nvm_bytes: int) -> str:
    text = f"{cycles / 1e6:.2f} M cycles that counted, {count(nvm_bytes)} bytes to NVM"
    joule = joules_of(watched, cycles)
    return text if joule is None else f"{text}, about {joule * 1e3:.2f} mJ"


def joules_of(watched: Watched, cycles: int) -> float | None:
    """An estimate: cycles at the active power of the board's profile; None without a profile."""
    from relume.board.profile import board_names, load_board

    if watched.hello is None or watched.hello.board not in board_names():
        return None
    board = load_board(watched.hello.board)
    return cycles / board.hz * board.energy.active_mw * 1e-3


def _finished(watched: Watched, known: Known) -> str:
    text = f"{count(watched.finished)} seen"
    if watched.output is not None:
        answer = answer_of(watched.output.data, known.labels)
        text += f"; last result: {printable(answer)} ({watched.output.inference:08x})"
    return text


def answer_of(data: bytes, labels: Sequence[str]) -> str:
    """The label or number of the largest int8 value of an output, and that value."""
    values = [byte - 256 if byte > 127 else byte for byte in data]
    best = values.index(max(values))
    what = labels[best] if best < len(labels) else f"class {best}"
    return f"{what} ({values[best]})"


# ---- The panel -------------------------------------------------------------


def panel(watched: Watched, known: Known) -> RenderableType:
    """All that is known and the last events, for rich's Live."""
    from rich.console import Group
    from rich.rule import Rule
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(ratio=1, overflow="ellipsis")
    for what, text in rows_of(watched, known):
        table.add_row(what, Text(text, style=_style(what, watched)))
        if what == "inference" and watched.n_tiles and watched.inference.state != State.IDLE:
            table.add_row("", _bar(watched.inference.tile, watched.n_tiles))
    recent = list(watched.events)[-LOG_LINES:]
    log = Text("\n").join(_event_text(t, event) for t, event in recent)
    return Group(Rule(_TITLE, align="left"), table, Rule(style="dim"), log)


def _style(what: str, watched: Watched) -> str:
    if what == "power":
        return {"on": "green", "off": "yellow"}.get(watched.power, "")
    if what == "inference" and watched.inference.state == State.STUCK:
        return "bold red"
    return "cyan" if what == "supply" else ""


def _bar(tile: int, tiles: int) -> RenderableType:
    from rich.progress_bar import ProgressBar

    return ProgressBar(total=tiles, completed=min(tile, tiles))


def _event_text(t: float, event: Event) -> Text:
    from rich.text import Text

    return Text(event_line(t, event), style=_KIND_STYLE.get(event.kind, "dim"))


# ---- Lines of text ---------------------------------------------------------


def event_line(t: float, event: Event) -> str:
    """One EVENT as a line."""
    volts = f"  {event.millivolts / 1e3:.2f} V" if event.millivolts else ""
    what = f"{event.kind.name.lower():<9}  inference {event.inference:08x}, tile {event.tile:>4}"
    return f"{t:10.3f} s  {what}{volts}"


def fact_line(fact: Fact) -> str:
    """A fact as a line, "" for what is not worth one."""
    what = fact.what
    if isinstance(what, Event):
        return event_line(fact.t, what)
    if isinstance(what, Note):
        return f"{fact.t:10.3f} s  {printable(what.text)}"
    if isinstance(what, Line):
        text = {"open": "the line is open", "gone": "board is off, waiting"}.get(
            what.state, f"board is off, waiting: {printable(what.text)}"
        )
        return f"{fact.t:10.3f} s  {text}"
    return ""


def printable(text: str) -> str:
    """Text of a board without what a terminal would act on."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _many(number: int, what: str) -> str:
    return f"{count(number)} {what}" + ("" if number == 1 else "s")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
