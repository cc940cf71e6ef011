"""Branches of checker, frame decoder, store and slots that the fuzz targets take, with gcov.

python -m tests.fuzz.coverage [CORPUS] prints every file and the lines whose branches are never
taken. CORPUS: a folder with more inputs, target by target, such as build/fuzz/corpus.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.fuzz import build
from tests.fuzz.test_fuzz import corpus, sound
from tests.kernels.coverage import Covered
from tests.native import NATIVE

FOLDER = build.BUILD / "gcov"
COMPILER = build.Compiler("cc", False, "", ("-O0", "--coverage"))
FILES = ("blob*.c", "frame.c", "store*.c", "crc32.c", "slots*.c", "live.c", "session*.c",
         "early*.c", "kv*.c")  # fmt: skip
ROUNDS = {"frame": 200_000, "request": 100_000, "slots": 3000, "link": 3000}
SEEDS = range(3)
BATCH = 1000


def measure(more: Path | None = None) -> list[Covered]:
    """Every file, after all inputs and their mutants have run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.gcda"):
        old.unlink()
    for target, program in build.programs(COMPILER, folder=FOLDER).items():
        files = [*map(str, corpus(target)), *map(str, sound(target))]
        added = sorted(map(str, (more / target).iterdir())) if more else []
        for at in range(0, len(files) + len(added), BATCH):
            _run([str(program), *(files + added)[at : at + BATCH]])
        for seed in SEEDS:
            rounds = str(ROUNDS.get(target, 20_000))
            _run([str(program), "mutate", rounds, str(seed), *files])
    found = sorted(path for pattern in FILES for path in NATIVE.glob(pattern))
    return [_covered(path) for path in found]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _covered(source: Path) -> Covered:
    command = ["gcov", "--json-format", "--branch-probabilities", "--stdout",
               str(FOLDER / f"{source.stem}.o.gcda")]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=FOLDER)
    (report,) = (one for one in json.loads(done.stdout)["files"] if Path(one["file"]) == source)
    lines = [line["count"] > 0 for line in report["lines"]]
    taken = [(line["line_number"], branch["count"] > 0)
             for line in report["lines"] for branch in line["branches"]]  # fmt: skip
    return Covered(
        source.name,
        (sum(lines), len(lines)),
        (sum(hit for _, hit in taken), len(taken)),
        tuple(sorted({number for number, hit in taken if not hit})),
    )


def main() -> None:
    """Prints a line a file."""
    for one in measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        where = " ".join(map(str, one.open_lines))
        lines, branches = (f"{hit:4} / {total:4}" for hit, total in (one.lines, one.branches))
        print(f"{one.file:20} lines {lines}   branches {branches} {one.share:6.1%}  {where}")


if __name__ == "__main__":
    main()
