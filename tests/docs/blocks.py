"""The commands of a page: its ```sh and ```console blocks, and the marks of those not run.

A mark is a comment on the line before a block: <!-- board: why --> needs a real board, <!-- build:
why --> installs or builds, <!-- yours: why --> needs files that only you have: these are not run.
<!-- long: why --> takes its time and is run with --heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NEVER = ("board", "build", "yours")
MARKS = (*NEVER, "long")
_FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
_MARK = re.compile(r"^\s*<!--\s*(\w+)\s*:\s*(.*?)\s*-->\s*$")


@dataclass(frozen=True)
class Command:
    """A command line as it is typed, and the lines that the page shows below it."""

    text: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """One block. line: of its fence, from 1. mark: why it is not run, None if it is."""

    page: str
    line: int
    commands: tuple[Command, ...]
    mark: str | None = None
    reason: str = field(default="")

    @property
    def name(self) -> str:
        """page:line."""
        return f"{self.page}:{self.line}"

    @property
    def needs_board(self) -> bool:
        """Some command talks to a board, which the tests emulate."""
        return any(re.search(r"\ba0\b|emu:|relume emulate", one.text) for one in self.commands)


def blocks(path: Path, page: str) -> list[Block]:
    """The blocks of commands of a Markdown file. ValueError: a mark that nobody knows."""
    found = []
    lines = path.read_text("utf-8").splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if not fence:
            at += 1
            continue
        end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
        if fence[2] in ("sh", "console"):
            body = [line.removeprefix(fence[1]) for line in lines[at + 1 : end]]
            commands = _typed(body) if fence[2] == "console" else _script(body)
            found.append(Block(page, at + 1, commands, *_mark(lines[:at], f"{page}:{at + 1}")))
        at = end + 1
    return found


def _mark(before: Sequence[str], name: str) -> tuple[str | None, str]:
    text = next((line for line in reversed(before) if line.strip()), "")
    mark = _MARK.match(text)
    if not mark:
        return None, ""
    if mark[1] not in MARKS or not mark[2]:
        raise ValueError(f"{name}: {text.strip()}: a mark is one of {', '.join(MARKS)} and why")
    return mark[1], mark[2]


def _script(lines: Iterable[str]) -> tuple[Command, ...]:
    """Each line a command, but what a backslash joins, and lines of comments."""
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return tuple(
        Command(line.strip()) for line in joined if line.strip() and not line.startswith("#")
    )


def _typed(lines: Iterable[str]) -> tuple[Command, ...]:
    """`$ command`, then what it prints."""
    commands: list[Command] = []
    for line in lines:
        if line.startswith("$ "):
            commands.append(Command(line[2:]))
        elif line.strip() and commands:
            last = commands[-1]
            commands[-1] = Command(last.text, (*last.shown, line))
    return tuple(commands)


def missing(shown: Iterable[str], printed: str) -> str | None:
    """The first shown line that was not printed behind the ones before it; None: all were.

    Spaces count as one, `...` stands for anything.
    """
    rest = [" ".join(line.split()) for line in printed.splitlines()]
    for line in shown:
        words = " ".join(line.split())
        if words == "...":
            continue
        wanted = ".*".join(re.escape(part) for part in words.split("..."))
        hit = next((n for n, one in enumerate(rest) if re.fullmatch(wanted, one)), None)
        if hit is None:
            return line
        rest = rest[hit + 1 :]
    return None
