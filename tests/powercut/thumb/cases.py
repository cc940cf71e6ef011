"""The cases of the instruction level. An id is thumb/NET/DEPTH[xMOST]/KIND; that of one cut has
:PATH behind it, as in thumb/3/2x40/fram:356.12, the states of one life after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.powercut.thumb.explore import Explorer
from tests.powercut.thumb.subjects import subject

_ID = re.compile(
    r"thumb/(\d+)(?:\+scale(\d+))?(\+old)?/(\d)(?:x(\d+))?/(fram|dma|flash)"
    r"(?::(\d+(?:\.\d+)*))?"
)


@dataclass(frozen=True)
class Case:
    """Cuts at every instruction of a net's first life and, to `depth`, of `most` lives each.

    old: the NVM was used before."""

    net: int
    kind: str
    depth: int = 1
    most: int | None = None
    scale: int = 1
    old: bool = False

    @property
    def name(self) -> str:
        """The id."""
        net = f"{self.net}+scale{self.scale}" if self.scale > 1 else str(self.net)
        net += "+old" * self.old
        most = "" if self.most is None else f"x{self.most}"
        return f"thumb/{net}/{self.depth}{most}/{self.kind}"

    def explorer(self) -> tuple[Explorer, bytes]:
        """Of the shipped code, and the NVM that it begins with."""
        what, expected = subject(self.net, self.kind, scale=self.scale)
        explorer = Explorer(what, expected)
        return explorer, explorer.old() if self.old else b"\xff" * what.nvm_size

    def run(self) -> dict[str, int]:
        """Its counts. A failure names the id of its cut."""
        explorer, start = self.explorer()
        try:
            return dict(explorer.cover(start, self.depth, self.most))
        except AssertionError as error:
            said, _, path = str(error).rpartition("; path ")
            raise AssertionError(f"{said}\nid: {self.name}:{path}") from error


def parse(text: str) -> tuple[Case, tuple[int, ...]]:
    """A case and the path of one cut, () for none. Errors: ValueError."""
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text}: not the id of a case or a cut")
    net, scale, old, depth, most, kind, path = match.groups()
    most_lives = int(most) if most else None
    case = Case(int(net), kind, int(depth), most_lives, int(scale or 1), bool(old))
    return case, tuple(int(number) for number in path.split(".")) if path else ()


def replay(text: str) -> tuple[int, str]:
    """(0, what came of it), or (1, why it failed and the id). Errors: ValueError."""
    case, path = parse(text)
    explorer, start = case.explorer()
    try:
        counts = explorer.cover(start, case.depth, case.most) if not path else {}
        explorer.follow(start, path)
    except AssertionError as error:
        return 1, f"FAILED: {error}\nid: {text}"
    return 0, f"{text}: survived {dict(counts) if counts else ''}".strip()


HEAVY = (
    *(Case(net, "fram", 2, 120) for net in range(10)),
    *(Case(net, "dma", 2, 60) for net in range(26, 34)),
    *(Case(net, "flash", 2, 24, old=net % 2 == 0) for net in range(10)),
    *(Case(net, "fram", 3, 30, old=True) for net in range(10, 16)),
    *(Case(net, "flash", 3, 8, old=net % 2 == 0) for net in range(10, 14)),
    *(Case(net, "fram", scale=4) for net in range(16, 26)),
    *(Case(net, "flash", scale=2) for net in range(16, 22)),
)
