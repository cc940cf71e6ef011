"""Line and branch coverage of the kernels by the cases of tests/kernels, with gcov.

python -m tests.kernels.coverage prints every file and the branches that no case takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import native
from tests.kernels import m0plus_ops, m4_ops, netgen, oracle, test_m4_kernels
from tests.kernels.m0plus_depthwise_ops import GENERAL
from tests.kernels.m0plus_depthwise_ops import case as m0plus_depthwise
from tests.kernels.test_m0plus_add import case as m0plus_add
from tests.kernels.test_m4_kernels import HOSTILE

BUILD = native.ROOT / "build" / "coverage"
KERNELS = native.NATIVE / "kernels"
SEEDS, NETS = range(60), range(96)


@dataclass(frozen=True)
class Covered:
    """A source file: branches and lines taken, of how many; lines with branches never taken."""

    file: str
    lines: tuple[int, int]
    branches: tuple[int, int]
    open_lines: tuple[int, ...]

    @property
    def share(self) -> float:
        """Branches taken of all; 1 where there are none."""
        return self.branches[0] / self.branches[1] if self.branches[1] else 1.0


def folders(files: list[Covered]) -> dict[str, float]:
    """Branches taken of all, of each folder of kernels."""
    found = {}
    for folder in {one.file.split("/")[0] for one in files}:
        pairs = [one.branches for one in files if one.file.startswith(f"{folder}/")]
        found[folder] = sum(hit for hit, _ in pairs) / sum(total for _, total in pairs)
    return found


def cases() -> Iterator[tuple[bytes, bytes]]:
    """(blob, input): what the tests of this folder run under sanitizers."""
    for seed in NETS:
        for core in ("portable", "m0plus", "m4"):
            packed = oracle.packed(netgen.random_net(seed), seed, core=core)
            yield packed.blob, oracle.random_input(packed.input_size, seed)
    for seed in SEEDS:
        every = [m0plus_ops.case(kind, seed) for kind in m0plus_ops.KINDS]
        every += [m0plus_depthwise(number) for number in (2 * seed, 2 * seed + 1, GENERAL + seed)]
        every += [m0plus_add(seed)]
        for one in every:
            yield from ((blob, data) for blob in (one.portable, one.fast) for data in one.inputs)
        for kind in m4_ops.KINDS:
            net = m4_ops.case(kind, seed)
            yield from ((blob, data) for blob in (net.portable, net.fast) for data in net.inputs)
    yield from ((test_m4_kernels.hostile(number), b"") for number in range(len(HOSTILE)))


def measure() -> list[Covered]:
    """Every kernel file, after all cases have run in a program built for gcov."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for old in BUILD.glob("*.gcda"):
        old.unlink()
    objects = [_compile(path) for path in _sources()]
    program = BUILD / "run_blob"
    subprocess.run(["cc", "--coverage", *map(str, objects), "-o", str(program)], check=True)
    native.run_program(program, cases())
    return sorted(
        (_covered(path, _object(path)) for path in sorted(KERNELS.rglob("*.c"))),
        key=lambda one: one.file,
    )


def _sources() -> list[Path]:
    parts = [*native.NATIVE.glob("blob*.c"), *native.NATIVE.glob("engine*.c")]
    parts += [native.NATIVE / name for name in ("crc32.c", "stage.c")]
    parts += KERNELS.rglob("*.c")
    return [native.ROOT / "tests" / "kernels" / "run_blob.c", *parts]


def _object(source: Path) -> Path:
    return BUILD / f"{source.parent.name}-{source.stem}.o"


def _compile(source: Path) -> Path:
    target = _object(source)
    command = ["cc", "-std=c99", "-O0", "-g", "--coverage", f"-I{native.NATIVE}", "-c"]
    subprocess.run([*command, str(source), "-o", str(target)], check=True)
    return target


def _covered(source: Path, target: Path) -> Covered:
    command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=BUILD)
    (report,) = (
        file for file in json.loads(done.stdout)["files"] if Path(file["file"]) == source
    )
    lines = [line["count"] > 0 for line in report["lines"]]
    taken = [(line["line_number"], branch["count"] > 0)
             for line in report["lines"] for branch in line["branches"]]  # fmt: skip
    return Covered(
        str(source.relative_to(KERNELS)),
        (sum(lines), len(lines)),
        (sum(hit for _, hit in taken), len(taken)),
        tuple(sorted({number for number, hit in taken if not hit})),
    )


def main() -> None:
    """Prints a line a file."""
    for one in measure():
        where = " ".join(map(str, one.open_lines))
        lines, branches = (f"{hit:4} / {total:4}" for hit, total in (one.lines, one.branches))
        print(f"{one.file:28} lines {lines}   branches {branches} {one.share:5.0%}  {where}")


if __name__ == "__main__":
    sys.exit(main())
