"""Tables of check and plan for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

HEAD_ROWS = 14
TAIL_ROWS = 6


def grid(title: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> Table:
    """A table; columns are (heading, numbers?). Cells are text, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading, numbers in columns:
        table.add_column(heading, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def elided(rows: Sequence[Sequence[str]], what: str) -> list[Sequence[str]]:
    """Long tables lose their middle, with a row that says how much."""
    if len(rows) <= HEAD_ROWS + TAIL_ROWS + 1:
        return list(rows)
    left_out = len(rows) - HEAD_ROWS - TAIL_ROWS
    gap = ["..."] + [""] * (len(rows[0]) - 1)
    gap[1] = f"{left_out} more {what}"
    return [*rows[:HEAD_ROWS], gap, *rows[-TAIL_ROWS:]]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Layer names without the first path part where all share it: model/conv/Relu -> conv/Relu."""
    every = list(names)
    heads = {name.partition("/")[0] for name in every if "/" in name}
    if len(heads) != 1:
        return {name: name for name in every}
    return {name: name.partition("/")[2] or name for name in every}


def count(value: float) -> str:
    """12,345."""
    return f"{value:,.0f}"


def millijoule(microjoule: float) -> str:
    """3.21 mJ from microjoule."""
    return f"{microjoule / 1e3:.2f} mJ"


def bar(used: float, room: float) -> str:
    """used of room with its share: 12,345 of 20,000 bytes (62 %)."""
    share = f"{100 * used / room:.0f} %" if room else "none there"
    return f"{count(used)} of {count(room)} bytes ({share})"
