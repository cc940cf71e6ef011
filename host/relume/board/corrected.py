"""A board.toml that extends a board's own with measured rows of [cycles.*]."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relume.board.profile import BoardProfile, Measured


@dataclass(frozen=True)
class Correction:
    """A row of [cycles.CORE], its three figures, and what to say of them."""

    core: str
    kind: str
    figures: tuple[float, float, float]
    note: str


def corrected_toml(
    board: BoardProfile, rows: Sequence[Correction], measured: Measured, notes: Sequence[str]
) -> str:
    """The text of a profile that `--board FILE.toml` takes; `board` is a folder under boards/."""
    lines = [f"# {board.name} as relume calibrate found it. {note}" if not number else f"# {note}"
             for number, note in enumerate(notes)]  # fmt: skip
    lines += [
        f"extends = {_text(board.name)}",
        f"name = {_text(board.name)}",
        f"title = {_text(board.title)}",
        "",
        "[tested]",
        *(f"{what} = {_text(state)}" for what, state in board.tested.items()),
    ]
    for core, its in _by_core(rows).items():
        lines += ["", f"[cycles.{core}]"]
        lines += [f"{row.kind} = {_figures(row.figures)}  # {row.note}" for row in its]
    typical = ", ".join(_text(one) for one in measured.typical)
    lines += [
        "",
        "[measured]",
        f"date = {_text(measured.date)}",
        f"firmware = {_text(measured.firmware)}",
        f"where = {_text(measured.where)}",
        f"typical = [{typical}]",
    ]
    return "\n".join(lines) + "\n"


def _by_core(rows: Sequence[Correction]) -> Mapping[str, list[Correction]]:
    found: dict[str, list[Correction]] = {}
    for row in rows:
        found.setdefault(row.core, []).append(row)
    return found


def _figures(figures: tuple[float, float, float]) -> str:
    return "[" + ", ".join(repr(float(figure)) for figure in figures) + "]"


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
