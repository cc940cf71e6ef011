"""Branches of checker, frame decoder, store, FRAM, slots and recovery that tests take, with gcov.

The union of three: the fuzz targets with their corpus, sound inputs and mutants; the power cut
harness (tests/powercut/powercut.c), whose NVM also refuses; and the tests that call the C library.

python -m tests.fuzz.coverage [CORPUS] prints every file, and each line with branches never taken
that open_branches.md does not explain. CORPUS: a folder with more inputs, target by target, such
as build/fuzz/corpus.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import native
from tests.explained import listed
from tests.fuzz import build, gcov
from tests.fuzz.test_fuzz import corpus, sound
from tests.native import NATIVE, ROOT
from tests.powercut import harness
from tests.powercut.mutation.suite import RUNS

FOLDER = build.BUILD / "gcov"
COMPILER = build.Compiler("cc", False, "", gcov.FLAGS)
EXPLAINED = Path(__file__).with_name("open_branches.md")
WHOLE = ("blob*.[ch]", "frame.c", "store*.c", "slots*.c", "session*.[ch]", "live.c",
         "behind.c", "nvm_fram*.c", "early_models.c", "crc32.c", "bytes.h")  # fmt: skip
"""Files whose branches are all taken or explained."""
OTHERS = ("early.c", "early_link.c", "pace.c", "kv*.c")
ROUNDS = {"frame": 200_000, "request": 100_000, "slots": 3000, "link": 3000}
SEEDS = range(3)
BATCH = 1000
TESTS = (
    "powercut/test_store.py", "powercut/test_ring.py", "powercut/test_cells.py",
    "powercut/test_hostile_store.py", "powercut/test_live.py", "powercut/test_resting.py",
    "powercut/test_behind.py", "powercut/test_quantiles.py", "powercut/test_recovery_edges.py",
    "powercut/test_many_slots.py", "powercut/test_slot_edges.py", "powercut/test_many_models.py",
    "powercut/test_many_edges.py", "powercut/test_drivers.py", "powercut/test_fram_i2c.py",
    "powercut/test_background_writes.py", "powercut/test_erases.py",
    "unit/test_blob_checker.py", "unit/test_blob_edges.py", "unit/test_moves_checked.py",
    "unit/test_frames.py", "unit/test_early_link.py", "unit/test_early_copy.py",
    "powercut/test_slot_scan.py",
)  # fmt: skip
"""Those that call the library, below tests/."""
_ENTRY = re.compile(r"^- (\w+\.[ch] \w+: `.*`) (\d+)$")


def measure(more: Path | None = None) -> list[gcov.Source]:
    """Every file, after all have run."""
    gcov.forget(FOLDER)
    parts = (lambda: _targets(more), _harness, _library)
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(part) for part in parts]:
            job.result()
    return gcov.read(FOLDER, files((*WHOLE, *OTHERS)))


def files(patterns: Sequence[str]) -> list[Path]:
    """Shipping sources by their names."""
    return sorted({path for pattern in patterns for path in NATIVE.glob(pattern)})


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


def _targets(more: Path | None) -> None:
    for target, program in build.programs(COMPILER, folder=FOLDER).items():
        inputs = [*map(str, corpus(target)), *map(str, sound(target))]
        added = sorted(map(str, (more / target).iterdir())) if more else []
        for at in range(0, len(inputs) + len(added), BATCH):
            _run([str(program), *(inputs + added)[at : at + BATCH]])
        for seed in SEEDS:
            rounds = str(ROUNDS.get(target, 20_000))
            _run([str(program), "mutate", rounds, str(seed), *inputs])


def _harness() -> None:
    """Power cuts. What is not looked at is built as ever."""
    folder = FOLDER / "powercut"
    folder.mkdir(parents=True, exist_ok=True)
    parts = dict(harness.objects(harness.FAST))
    for name in harness.STORE:
        parts[name] = harness.compiled(gcov.FLAGS, NATIVE / name, folder / f"{name}.o")
    program = harness.made(["cc", *gcov.FLAGS, *map(str, parts.values())], folder / "powercut")
    for net, kind, arguments, options in RUNS:
        blob = harness.blob_file(net, kind, **dict(options))
        _run([str(program), str(blob), "--kind", kind, *arguments])


def _library() -> None:
    folder = FOLDER / "library"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, source in enumerate([*build.sources(), NATIVE / "nvm_file.c"]):
        command = ["cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", *gcov.FLAGS, "-fPIC",
                   f"-I{NATIVE}", "-c", str(source)]  # fmt: skip
        parts.append(str(harness.made(command, folder / f"{number}.o")))
    library = harness.made(["cc", "--coverage", "-shared", *parts], folder / "librelume.so")
    _run([sys.executable, "-m", "tests.fuzz.covered", str(library), *TESTS])


def explained() -> dict[str, tuple[int, str]]:
    """`file function: text` -> how many of its branches stay open, and why."""
    return {entry[1]: (int(entry[2]), why) for entry, why in listed(EXPLAINED, _ENTRY)}


def unfounded() -> list[str]:
    """Explanations without a reason, or of a line that is not there."""
    wrong = []
    for name, (_, why) in explained().items():
        place, code = name.removesuffix("`").split(": `", 1)
        file, function = place.split()
        text = (NATIVE / file).read_text(encoding="utf-8")
        there = code in {line.strip() for line in text.splitlines()} and f"{function}(" in text
        if not there or len(why) < 20:
            wrong.append(name)
    return wrong


def unexplained(sources: list[gcov.Source]) -> list[str]:
    """Lines of the files that are to be whole, with branches open that nothing explains."""
    listed, whole = explained(), set(files(WHOLE))
    return [
        f"{name} {missing}  (line {at})"
        for source in sources if source.path in whole
        for name, (missing, at) in source.open().items()
        if missing > listed.get(name, (0, ""))[0]
    ]  # fmt: skip


def stale(sources: list[gcov.Source]) -> list[str]:
    """Explanations of branches that are taken."""
    still = {name: missing for one in sources for name, (missing, _) in one.open().items()}
    return [name for name, (count, _) in explained().items() if still.get(name, 0) < count]


def share(sources: list[gcov.Source]) -> float:
    """Branches taken of all."""
    pairs = [one.taken for one in sources]
    return sum(hit for hit, _ in pairs) / sum(total for _, total in pairs)


def main() -> None:
    """Prints a line a file, and what is open."""
    native.build()
    sources = measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    for one in sources:
        (ran, lines), (hit, total) = one.run, one.taken
        part = f"{ran:4} / {lines:4}   branches {hit:4} / {total:4}"
        print(f"{one.path.name:24} lines {part} {hit / total if total else 1:6.1%}")
    for name in unexplained(sources):
        print("open:", name)
    for name in stale(sources):
        print("taken, though explained:", name)


if __name__ == "__main__":
    main()
