"""Counts of what has been proven, kept per level and source, so that long runs can be cut too.

A level's file is build/powercut/proof/LEVEL-SOURCE.jsonl: one line for each case that survived.
SOURCE is a hash of everything that the level's verdict rests on; a change of it begins a new file.
Lines are appended whole, so shards may write at the same time, and a torn last line counts as
not done.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.native import NATIVE, ROOT

FOLDER = ROOT / "build" / "powercut" / "proof"
_HERE = ROOT / "tests" / "powercut"
_STORE = (
    "store*.[ch]", "session*.[ch]", "pace.[ch]", "behind.[ch]", "live.[ch]", "nvm*.[ch]",
    "bytes.h", "crc32.[ch]", "status.h", "stage.[ch]", "blob.h", "engine.h",
)  # fmt: skip
_HARNESS = ("aged", "broken", "cuts", "faultnvm", "life", "powercut", "reference")
_SHIPPED = ("*.[ch]", "kernels/**/*.[chS]", "small.txt")


def _store() -> list[Path]:
    return [path for pattern in _STORE for path in NATIVE.glob(pattern)]


def _harness() -> list[Path]:
    return [path for name in _HARNESS for path in _HERE.glob(f"{name}.[ch]")]


def _operation() -> list[Path]:
    return _store() + _harness()


def _instruction() -> list[Path]:
    native = [path for pattern in _SHIPPED for path in NATIVE.glob(pattern)]
    return native + [path for path in (_HERE / "thumb").glob("*.[cp]*")]


def _firmware() -> list[Path]:
    image = ROOT / "build" / "firmware" / "RPI_PICO" / "firmware.uf2"
    return [path for path in (image, ROOT / "tests" / "emulated" / "cutting.py") if path.is_file()]


LEVELS: dict[str, Callable[[], list[Path]]] = {
    "operation": _operation,
    "consecutive": _operation,
    "instruction": _instruction,
    "firmware": _firmware,
}
"""Level -> the files that its counts hold for."""


def _suite() -> list[Path]:
    tests = ("store", "record", "ring", "cells", "hostile_store", "live", "resting", "behind",
             "supply_rule", "recovery_edges", "store_counts", "erases", "quantiles",
             "session_steps")  # fmt: skip
    names = [*(f"test_{name}.py" for name in tests), "boards.py", "session.py", "supplied.py"]
    names += ["plans.py", "mutation/suite.py"]
    return _harness() + [_HERE / name for name in names]


def _mutation(name: str) -> Callable[[], list[Path]]:
    """Who was killed stays dead while the source and the mutator are the same; who survived, only
    while the suite is."""
    return lambda: [NATIVE / name, _HERE / "mutation" / "mutants.py"]


LEVELS["mutation suite"] = _suite
LEVELS.update({f"mutation {path.name}": _mutation(path.name) for path in NATIVE.glob("*.c")})


@functools.cache
def source(level: str) -> str:
    """The hash, 16 hex digits, of the level's files, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(set(LEVELS[level]())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class Tally:
    """The cases of one level that survived with the sources as they are."""

    def __init__(self, level: str, folder: Path = FOLDER, of: str | None = None) -> None:
        self.level, self.source = level, of or source(level)
        self.path = folder / f"{level}-{self.source}.jsonl"

    def done(self) -> dict[str, dict[str, int]]:
        """Case -> what was counted in it. Lines that are not whole count as not there."""
        if not self.path.is_file():
            return {}
        found: dict[str, dict[str, int]] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                found[entry["case"]] = {key: int(n) for key, n in entry["counts"].items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found

    def add(self, case: str, counts: dict[str, int]) -> None:
        """Notes that the case survived; one write, from the start of a line."""
        line = "\n" + json.dumps({"case": case, "counts": counts}) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def once(self, case: str, run: Callable[[], dict[str, int]]) -> dict[str, int]:
        """The counts of a case; runs it if no run of it is noted."""
        known = self.done().get(case)
        if known is None:
            known = run()
            self.add(case, known)
        return known

    def total(self) -> Counter[str]:
        """Everything counted, and under `cases` how many cases."""
        done = self.done()
        total: Counter[str] = Counter(cases=len(done))
        for counts in done.values():
            total.update(counts)
        return total
