"""relume monitor: a live view of a board that runs, recorded and replayed. It changes nothing."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from relume import ui
from relume.commands import deploy
from relume.errors import LinkError

if TYPE_CHECKING:
    from relume.blob.reader import Blob
    from relume.link.ports import Port
    from relume.watch.facts import Fact
    from relume.watch.view import Known
    from relume.watch.watched import Watched

_POLL_S = 0.1
_ONCE_S = 10.0
_SVG_COLUMNS = 96


class Source(Protocol):
    """Where facts come from: a board or a recording."""

    @property
    def now(self) -> float: ...
    def poll(self, timeout: float) -> list[Fact]: ...
    def close(self) -> None: ...


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume monitor -p PORT | relume monitor --replay FILE."""
    parser = sub.add_parser("monitor", help="watch a board that runs")
    deploy.add_port(parser)
    parser.add_argument("--net", type=Path, metavar="NET.rlm",
                        help="the model's blob: names layers and segments")
    parser.add_argument("--labels", type=Path, help="text file, one label a line")
    parser.add_argument("--listen", action="store_true", help="send nothing to the board at all")
    parser.add_argument("--once", action="store_true", help="print one status and end")
    parser.add_argument("--for", dest="seconds", type=float, metavar="S",
                        help="end after so many seconds (default: never); of --replay: what came"
                             " until then")
    parser.add_argument("--json", action="store_true",
                        help="a JSON line for each thing heard, as --record writes them")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what is heard there")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="show a recording instead")
    parser.add_argument("--speed", type=float, metavar="N",
                        help="of --replay; 0: at once (default 1, with --page or --svg 0)")
    parser.add_argument("--page", type=Path, metavar="OUT.html", help="write the timeline page")
    parser.add_argument("--svg", type=Path, metavar="OUT.svg", help="write the panel as a picture")


def run(args: argparse.Namespace) -> int:
    """Watches until Ctrl-C, --for or the recording's end. Errors: LinkError, BlobError."""
    from relume.watch.view import Known

    _check(args)
    blob, labels = _beside(args)
    with contextlib.ExitStack() as stack:
        source, head = _source(args, stack)
        known = Known(head["port"], blob, labels)
        watched, sinks = _sinks(args, head, stack)
        try:
            with _stoppable():
                _watch(args, source, watched, known, sinks)
        except KeyboardInterrupt:
            pass
    if args.once:
        _print_once(args, watched, known)
    _write_pictures(args, watched, known, head)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.replay and (args.record or args.once):
        raise LinkError("--replay shows what was recorded: without --record and --once")
    if args.speed is not None and (not args.replay or not args.speed >= 0):
        raise LinkError("--speed is a number of at least 0, for --replay")
    if args.seconds is not None and not args.seconds > 0:
        raise LinkError(f"--for {args.seconds:g}: give seconds above 0")


def _beside(args: argparse.Namespace) -> tuple[Blob | None, Sequence[str]]:
    """What the board does not tell: the blob of --net, the labels."""
    from relume.blob.reader import read_blob
    from relume.link.labels import read

    labels: Sequence[str] = ()
    if args.labels:
        labels = read(args.labels)
    return read_blob(args.net) if args.net else None, labels


# ---- Where facts come from and go to ---------------------------------------


def _source(
    args: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[Source, dict[str, str]]:
    """The board or the recording, and port and started of the recording's first line."""
    from relume.link.ports import open_port
    from relume.link.transport import PortOpener
    from relume.watch.facts import read_recording
    from relume.watch.listener import Listener

    if args.replay:
        head, facts = read_recording(args.replay)
        facts = [fact for fact in facts if args.seconds is None or fact.t < args.seconds]
        speed = args.speed if args.speed is not None else float(not (args.page or args.svg))
        return Replay(facts, speed), head
    port: Port = open_port(args.port)
    stack.callback(port.close)
    listener = Listener(PortOpener(port), asks=not args.listen)
    stack.callback(listener.close)
    started = datetime.now().astimezone().isoformat(" ", "seconds")
    return listener, {"port": args.port, "started": started}


class Replay:
    """Facts of a recording at their times; speed 0: all at once."""

    def __init__(
        self,
        facts: Sequence[Fact],
        speed: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._facts, self._speed, self._at = facts, speed, 0
        self._clock, self._sleep, self._start = clock, sleep, clock()

    @property
    def now(self) -> float:
        """The recording's time."""
        end = self._facts[-1].t if self._facts else 0.0
        return min(end, (self._clock() - self._start) * self._speed) if self._speed else end

    @property
    def over(self) -> bool:
        """All facts were given."""
        return self._at == len(self._facts)

    def poll(self, timeout: float) -> list[Fact]:
        first = self._at
        while not self.over and self._facts[self._at].t <= self.now:
            self._at += 1
        if first == self._at and not self.over:
            self._sleep(timeout)
        return list(self._facts[first : self._at])

    def close(self) -> None:
        """Nothing is open."""


def _sinks(
    args: argparse.Namespace, head: dict[str, str], stack: contextlib.ExitStack
) -> tuple[Watched, list[Callable[[Fact], None]]]:
    """What is known so far, and who wants each fact: file, standard output."""
    from relume.watch import facts
    from relume.watch.view import fact_line
    from relume.watch.watched import Watched

    sinks: list[Callable[[Fact], None]] = []
    first = facts.head(head["port"], head["started"])
    if args.record:
        try:
            file = stack.enter_context(args.record.open("w", encoding="utf-8", buffering=1))
        except OSError as error:
            raise LinkError(f"{args.record}: {error.strerror or error}") from error
        print(first, file=file)
        sinks.append(lambda fact: print(facts.to_json(fact), file=file))
    if args.json and not args.once:
        print(first, flush=True)
        sinks.append(lambda fact: print(facts.to_json(fact), flush=True))
    elif not args.once and not sys.stdout.isatty() and not (args.page or args.svg):
        sinks.append(lambda fact: _print_line(fact_line(fact)))
    return Watched(), sinks


def _print_line(line: str) -> None:
    if line:
        print(line, flush=True)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, so that page and recording are whole."""

    def stop(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---- Watching --------------------------------------------------------------


def _watch(
    args: argparse.Namespace,
    source: Source,
    watched: Watched,
    known: Known,
    sinks: Sequence[Callable[[Fact], None]],
) -> None:
    limit = None if args.replay else args.seconds or (_ONCE_S if args.once else None)
    with _live(args) as show:
        while limit is None or source.now < limit:
            for fact in source.poll(_POLL_S):
                watched.take(fact)
                for sink in sinks:
                    sink(fact)
            watched.now = max(watched.now, source.now)
            show(watched, known)
            if isinstance(source, Replay) and source.over:
                return
            if args.once and _is_whole(watched):
                return


def _is_whole(watched: Watched) -> bool:
    """All that --once prints is known."""
    hello = watched.hello
    return hello is not None and (watched.n_tiles > 0 or not hello.model)


@contextlib.contextmanager
def _live(args: argparse.Namespace) -> Iterator[Callable[[Watched, Known], None]]:
    """Shows the panel on a terminal, nothing elsewhere."""
    if args.once or args.json or not sys.stdout.isatty():
        yield lambda watched, known: None
        return
    from rich.live import Live

    from relume.watch.view import panel

    with Live(console=ui.console(), refresh_per_second=8) as live:
        yield lambda watched, known: live.update(panel(watched, known))


def _print_once(args: argparse.Namespace, watched: Watched, known: Known) -> None:
    from relume.watch.view import rows_of

    if watched.hello is None:
        why = watched.line.text if watched.line.state == "absent" else (
            "no answer: the board is off, or at its REPL, or runs a program of its own")
        raise LinkError(f"{known.port}: {why}")
    rows = rows_of(watched, known)
    if args.json:
        ui.emit_json(document(watched))
        return
    for what, text in rows:
        print(f"{what:<10} {text}")


def document(watched: Watched) -> dict[str, Any]:
    """One status as plain values."""
    from relume.watch.view import joules_of

    hello, one = watched.hello, watched.inference
    assert hello is not None
    joules = None if one.cycles is None else joules_of(watched, one.cycles)
    return {
        "board": hello.board, "firmware": hello.firmware,
        "model": f"{hello.model:08x}" if hello.model else None, "model_name": hello.model_name,
        "volts": watched.volts, "state": one.state.name.lower(),
        "inference": f"{one.number:08x}", "tile": one.tile, "tiles": watched.n_tiles,
        "commits": one.commits, "brownouts": one.brownouts, "cycles": one.cycles,
        "nvm_bytes": one.nvm_bytes,
        "millijoules": None if joules is None else round(joules * 1e3, 6),
        "output": watched.output.data.hex() if watched.output else None,
    }  # fmt: skip


# ---- Pictures --------------------------------------------------------------


def _write_pictures(
    args: argparse.Namespace, watched: Watched, known: Known, head: dict[str, str]
) -> None:
    if args.page:
        from relume.watch.page import write_page

        write_page(watched, head["port"], head["started"], args.page)
        print(f"relume: timeline written to {args.page}", file=sys.stderr)
    if args.svg:
        ui.write_atomic(args.svg, picture(watched, known).encode())


def picture(watched: Watched, known: Known) -> str:
    """The panel as an SVG that fetches nothing."""
    import io
    import re

    from rich.console import Console

    from relume.watch.view import panel

    console = Console(record=True, width=_SVG_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(panel(watched, known))
    svg = console.export_svg(title=f"relume monitor -p {known.port}")
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
