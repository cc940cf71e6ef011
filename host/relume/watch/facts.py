"""What a monitor hears, as facts with a time, and their JSON lines.

A recording is text: a first line {"relume_monitor": 1, ...}, then one fact a line, as
{"t": 12.5, "kind": "event", "event": "committed", ...}. Times are seconds since the monitor began,
by the host's clock. Lines of an unknown kind are passed over; a last line that was cut short, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from relume.errors import LinkError
from relume.link.messages import Event, EventKind, Hello, State, Status

VERSION = 1
HEAD = "relume_monitor"


@dataclass(frozen=True)
class Line:
    """The line to the board: "open", "gone" (it was open) or "absent"; text says why."""

    state: str
    text: str = ""


@dataclass(frozen=True)
class Output:
    """The output of a finished inference: the output tensor's bytes."""

    inference: int
    data: bytes


@dataclass(frozen=True)
class Taken:
    """Another program has taken the output, or cleared what was there."""


@dataclass(frozen=True)
class Note:
    """A line of text, of the board or about it."""

    text: str


What: TypeAlias = Line | Hello | Status | Event | Output | Taken | Note


@dataclass(frozen=True)
class Fact:
    """What was heard, and when: seconds since the monitor began."""

    t: float
    what: What


_KINDS: dict[str, type[Any]] = {
    "line": Line, "hello": Hello, "status": Status, "event": Event, "output": Output,
    "taken": Taken, "note": Note,
}  # fmt: skip
_NAMES = {made: name for name, made in _KINDS.items()}
_EVENT = "event"  # what Event.kind is called, for "kind" is the fact's


# ---- One line --------------------------------------------------------------


def to_json(fact: Fact) -> str:
    """The fact as one line, without its end."""
    line: dict[str, Any] = {"t": round(fact.t, 6), "kind": _NAMES[type(fact.what)]}
    for one in fields(fact.what):
        line[_key(one.name)] = _plain(getattr(fact.what, one.name))
    return json.dumps(line, ensure_ascii=False)


def from_json(text: str) -> Fact | None:
    """The fact of a line; None for a kind that is not known. Errors: ValueError."""
    line = json.loads(text)
    if not isinstance(line, dict):
        raise ValueError("not a JSON object")
    t, made = line.get("t"), _KINDS.get(str(line.get("kind")))
    if isinstance(t, bool) or not isinstance(t, (int, float)) or not 0 <= t < math.inf:
        raise ValueError("t is not a time")
    if made is None:
        return None
    values = {one.name: _value(line, _key(one.name), str(one.type)) for one in fields(made)}
    return Fact(float(t), made(**values))


def _key(name: str) -> str:
    return _EVENT if name == "kind" else name


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value.name.lower() if isinstance(value, (State, EventKind)) else value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "int": _whole,
    "str": _text,
    "bytes": lambda value: bytes.fromhex(_text(value)),
    "State": lambda value: State[_text(value).upper()],
    "EventKind": lambda value: EventKind[_text(value).upper()],
}


def _value(line: Mapping[str, Any], key: str, kind: str) -> Any:
    try:
        return _READ[kind](line[key])
    except (KeyError, ValueError):
        raise ValueError(f"{key} is missing or wrong") from None


# ---- A file ----------------------------------------------------------------


def head(port: str, started: str) -> str:
    """The first line: version, port and the time of day at which it began."""
    return json.dumps({HEAD: VERSION, "port": port, "started": started}, ensure_ascii=False)


def read_recording(path: Path) -> tuple[dict[str, str], list[Fact]]:
    """port and started of the first line, and the facts. Errors: LinkError naming the line."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise LinkError(f"{path}: cannot be read: {reason}") from error
    return _first(path, lines[0]), list(_facts(path, lines))


def _first(path: Path, text: str) -> dict[str, str]:
    try:
        first = json.loads(text)
        version = _whole(first[HEAD])
    except (KeyError, TypeError, ValueError):
        raise LinkError(f"{path}: not a recording of relume monitor --record") from None
    if version != VERSION:
        raise LinkError(
            f"{path}: recorded in version {version}, this relume reads {VERSION}: record it again"
        )
    return {key: str(first.get(key, "")) for key in ("port", "started")}


def _facts(path: Path, lines: list[str]) -> Iterator[Fact]:
    before = 0.0
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            fact = from_json(line)
            if fact is not None and fact.t < before:
                raise ValueError("t runs backwards")
        except ValueError as error:
            if number == len(lines):
                return  # the recorder was stopped in the middle of a line
            reason = "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            raise LinkError(f"{path}, line {number}: {reason}") from None
        if fact is not None:
            before = fact.t
            yield fact
