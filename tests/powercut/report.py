"""What has been proven so far: python -m tests.powercut.report.

One row for each level, with the hash of the sources that it holds for. A level without counts for
the sources as they are says so, and what older sources had is not added to it.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass

from tests.powercut.mutation import run
from tests.powercut.mutation.mutants import SOURCES
from tests.powercut.tally import Tally, source


@dataclass(frozen=True)
class Row:
    """One level. what: counts to print, in order; goal: the least of the first."""

    level: str
    goal: int
    what: tuple[str, ...]


ROWS = (
    Row("operation", 10_000_000, ("cuts", "lives", "erases")),
    Row("consecutive", 100_000, ("cuts", "lives")),
    Row("instruction", 100_000_000, ("boundaries", "pairs", "images", "lives", "recoveries")),
    Row("firmware", 1_000, ("cuts", "inside_writes", "inferences", "resumed", "interpreter")),
)


def line(row: Row, total: Counter[str], of: str) -> str:
    """The row as text."""
    if not total["cases"]:
        return f"{row.level:12} {of}  not run for these sources"
    counted = ", ".join(f"{total[name]:,} {name.replace('_', ' ')}" for name in row.what)
    short = "" if total[row.what[0]] >= row.goal else f"; the goal is {row.goal:,}"
    return f"{row.level:12} {of}  {total['cases']:,} cases: {counted}{short}"


def mutation() -> tuple[str, bool]:
    """The row of the mutation tests, and if nothing is left to do."""
    found = run.total()
    tried = found["killed"] + found["equivalent"] + found["invalid"] + found["survived"]
    text = ", ".join(f"{found[name]:,} {name}" for name in found)
    files = " ".join(source(f"mutation {name}")[:6] for name in SOURCES)
    whole = tried == found["mutants"] and found["survived"] == found["explained"]
    short = "" if whole else f"; {found['mutants'] - tried:,} not tried"
    return f"{'mutation':12} {files}\n{'':31}{text}{short}", whole


def main() -> int:
    """Prints all rows; exit code 1 while a level is short of its goal."""
    whole = True
    for row in ROWS:
        tally = Tally(row.level)
        total = tally.total()
        whole &= total[row.what[0]] >= row.goal
        print(line(row, total, tally.source))
    text, done = mutation()
    print(text)
    return 0 if whole and done else 1


if __name__ == "__main__":
    sys.exit(main())
