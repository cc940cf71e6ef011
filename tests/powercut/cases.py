"""The cases of the operation level: nets, kinds of NVM and ways to lose power.

A case's id is NET[+OPTION...]/ARGUMENT[,...]/KIND, as in `17+scale2/depth=2,every=10/flash`. What
failed in it is KIND:depth:operation:variant...:seed, so the id of one cut is the whole word
`17+scale2/depth=2,every=10/flash:1:40:3:1`; `python -m tests.powercut.replay` takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.powercut import harness

SECONDS = 1800
BLOCK = 10  # nets of one batch
_KINDS = ("fram", "flash", "file")
_FLAGS = ("real", "forge")
_ID = re.compile(r"(\d+)((?:\+[a-z_]+\d+)*)/([a-z0-9=,]*)/(fram|flash|file)((?::\d+)*)")


@dataclass(frozen=True)
class Case:
    """One run of the power cut harness: a net with its plan, and arguments in order."""

    net: int
    options: tuple[tuple[str, int], ...]
    arguments: tuple[tuple[str, int], ...]
    kind: str

    @property
    def name(self) -> str:
        """The id."""
        options = "".join(f"+{key}{value}" for key, value in self.options)
        words = [k if k in _FLAGS else f"{k}={value}" for k, value in self.arguments]
        return f"{self.net}{options}/{','.join(words)}/{self.kind}"

    @property
    def command(self) -> list[str]:
        """The harness's arguments."""
        pairs = [[f"--{k}"] if k in _FLAGS else [f"--{k}", str(v)] for k, v in self.arguments]
        return [word for pair in pairs for word in pair]

    @property
    def chained(self) -> bool:
        """Its cuts follow each other in one life of the NVM: replayed whole."""
        return any(key in ("soak", "starve") for key, _ in self.arguments)

    def blob(self) -> Path:
        """The file of its net."""
        return harness.blob_file(self.net, self.kind, **dict(self.options))

    def run(self, binary: Path | None = None) -> dict[str, int]:
        """Its counts. A failure names the id of its cut."""
        outcome = harness.run(
            binary or harness.program(), self.blob(), self.kind, *self.command, seconds=SECONDS
        )
        if outcome.code:
            where = outcome.replay.removeprefix(self.kind)
            raise AssertionError(f"{outcome.text}\nid: {self.name}{where}")
        return {key: outcome.numbers[key] for key in ("cuts", "lives", "erases")}


def parse(text: str) -> tuple[Case, str]:
    """A case and, of the id of one cut, the harness's own id; '' for all of the case.

    Errors: ValueError."""
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text}: not the id of a case or a cut")
    net, options, arguments, kind, where = match.groups()
    pairs = []
    for word in filter(None, arguments.split(",")):
        key, equals, value = word.partition("=")
        if bool(equals) == (key in _FLAGS) or (equals and not value.isdecimal()):
            raise ValueError(f"{text}: {word} is no argument")
        pairs.append((key, int(value or 1)))
    named = re.findall(r"\+([a-z_]+)(\d+)", options)
    case = Case(int(net), tuple((k, int(v)) for k, v in named), tuple(pairs), kind)
    return case, f"{kind}{where}" if where else ""


@dataclass(frozen=True)
class Family:
    """One way to lose power, on the nets [0, nets) of each kind."""

    name: str
    nets: int
    arguments: tuple[tuple[str, int], ...]
    options: tuple[tuple[str, int], ...] = ()
    kinds: tuple[str, ...] = _KINDS


def _of(**numbers: int) -> tuple[tuple[str, int], ...]:
    return tuple(numbers.items())


_WRAP = 0xFFFF_FFFF - 5
_SIGN = 0x7FFF_FFFF - 5
OPERATION = (
    Family("all", 400, _of(seeds=16)),
    Family("noise", 100, _of(seeds=4, fill=300)),
    Family("offset", 50, _of(base=8192, seeds=4)),
    Family("kernels", 150, _of(real=1, seeds=4), _of(gates=1)),
    Family("forged", 60, _of(forge=1, seeds=4), _of(scale=2)),
    Family("long", 30, _of(seeds=4, inferences=6), _of(scale=6, tiles=9)),
    Family("twice", 40, _of(depth=2, seeds=3, inferences=1), kinds=("fram", "flash")),
    Family("twice_sparse", 100, _of(depth=2, every=10, seeds=4)),
    Family("thrice", 100, _of(depth=3, every=40, seeds=4, inferences=2)),
    Family("four_times", 60, _of(depth=4, every=150, seeds=4, inferences=2)),
    Family("wrap", 50, _of(seq=_WRAP, erases=_WRAP, depth=2, every=12, seeds=4, inferences=2)),
    Family("sign", 30, _of(seq=_SIGN, erases=_WRAP, depth=2, every=12, seeds=4, inferences=2)),
)  # fmt: skip
"""Cuts at every operation, and at 1 in `every` of the operations of what follows."""

CONSECUTIVE = tuple(
    Family(f"{name}_{seed}", 3, _of(soak=10**7, inferences=120000, seed=seed, seeds=2, **start))
    for seed in (1, 2)
    for name, start in (
        ("new", {}),
        ("wrap", {"seq": _WRAP - 500, "erases": _WRAP}),
        ("sign", {"seq": _SIGN - 500, "erases": 0}),
    )
)
"""Cuts in a row in one life of one NVM, from a new one or one whose counters are about to wrap."""


def batches(families: tuple[Family, ...]) -> Iterator[tuple[str, list[Case]]]:
    """Name and cases of each block of BLOCK nets of a family and kind."""
    for family in families:
        for kind in family.kinds:
            for first in range(0, family.nets, BLOCK):
                last = min(first + BLOCK, family.nets)
                nets = range(first, last)
                made = [Case(net, family.options, family.arguments, kind) for net in nets]
                yield f"{family.name}-{kind}-{first}", made
