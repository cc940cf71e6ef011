"""What gcov counts, file by file, added up over programs that share sources."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

FLAGS = ("-O0", "--coverage")


@dataclass
class Line:
    """A line of code: its function, how often it ran, and each of its branches was taken."""

    function: str
    count: int
    branches: list[int]

    def add(self, other: Line) -> None:
        """Counts of the same line in another program.

        Errors: ValueError where it has another number of branches there."""
        self.count += other.count
        pairs = zip(self.branches, other.branches, strict=True)
        self.branches = [mine + its for mine, its in pairs]


@dataclass
class Source:
    """A source file: number -> line, of those that hold code."""

    path: Path
    lines: dict[int, Line] = field(default_factory=dict)

    def add(self, number: int, line: Line) -> None:
        """Adds counts of one line."""
        if number in self.lines:
            self.lines[number].add(line)
        else:
            self.lines[number] = line

    @property
    def run(self) -> tuple[int, int]:
        """Lines that ran, of how many."""
        return sum(line.count > 0 for line in self.lines.values()), len(self.lines)

    @property
    def taken(self) -> tuple[int, int]:
        """Branches taken, of how many."""
        counts = [count for line in self.lines.values() for count in line.branches]
        return sum(count > 0 for count in counts), len(counts)

    def open(self) -> dict[str, tuple[int, int]]:
        """`file function: text` of each line with branches never taken -> how many, and the
        line's number. Lines of a function that read alike are one."""
        text = self.path.read_text(encoding="utf-8").splitlines()
        found: dict[str, tuple[int, int]] = {}
        for number, line in sorted(self.lines.items()):
            missing = line.branches.count(0)
            if missing:
                name = f"{self.path.name} {line.function}: `{text[number - 1].strip()}`"
                known, at = found.get(name, (0, number))
                found[name] = known + missing, at
        return found


def forget(folder: Path) -> None:
    """No counts."""
    for old in folder.rglob("*.gcda"):
        old.unlink()


def read(folder: Path, wanted: Iterable[Path]) -> list[Source]:
    """The wanted files, with what the programs compiled below the folder have counted."""
    found = {path: Source(path) for path in wanted}
    for data in sorted(folder.rglob("*.gcda")):
        _add(data, found)
    return [found[path] for path in sorted(found)]


def _add(data: Path, found: dict[Path, Source]) -> None:
    command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", data.name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=data.parent)
    for file in json.loads(done.stdout)["files"]:
        source = found.get(Path(file["file"]))
        if source is None:
            continue
        for line in file["lines"]:
            counts = [int(branch["count"]) for branch in line["branches"]]
            function = str(line.get("function_name", ""))
            source.add(int(line["line_number"]), Line(function, int(line["count"]), counts))
