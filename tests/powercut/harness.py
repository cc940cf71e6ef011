"""Builds tests/powercut/powercut.c with the shipping C, or with one seeded fault in it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native import NATIVE, ROOT
from tests.powercut.plans import colliding_blob, random_blob

HERE = ROOT / "tests" / "powercut"
BUILD = ROOT / "build" / "powercut"
STORE = (
    "store.c", "store_bytes.c", "store_flash.c", "store_ring.c", "nvm_fram.c", "live.c",
    "session.c", "session_commit.c", "session_step.c", "session_quantiles.c", "pace.c", "behind.c",
)  # fmt: skip
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
# The session computes tiles through the reference, which remembers them.
SESSION = ("-Drl_stage_tile=reference_tile",)
FAST = ("-O2",)
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Outcome:
    """Exit code 0: all cuts survived. replay: the id that a failure prints."""

    code: int
    text: str

    @property
    def numbers(self) -> dict[str, int]:
        """What the run counted."""
        return {key: int(value) for key, value in json.loads(self.text).items()}

    @property
    def replay(self) -> str:
        """kind:depth:op:variant...:seed"""
        return self.text.rsplit("replay: ", 1)[1].strip()


def compiled(flags: tuple[str, ...], source: Path, target: Path) -> Path:
    """The object file; the session's steps compute tiles through the reference."""
    include = (f"-I{NATIVE}", f"-I{HERE}")
    extra = SESSION if source.name == "session_step.c" else ()
    return made(("cc", *WARNINGS, *flags, *extra, *include, "-c", str(source)), target)


def made(command: Sequence[str], target: Path) -> Path:
    """The compiler's output, whole or not at all: shards may build at the same time."""
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    done = subprocess.run(
        [*command, "-o", str(partial)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return partial.replace(target)


def _engine() -> list[Path]:
    names = ("blob*.c", "engine*.c", "stage.c", "crc32.c", "status.c", "faults.c",
             "kernels/*/*.c")  # fmt: skip
    return sorted(path for name in names for path in NATIVE.glob(name))


@functools.cache
def objects(flags: tuple[str, ...]) -> dict[str, Path]:
    """Source name -> object file, built once a test run."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    folder = BUILD / ("sanitized" if flags == SANITIZED else "fast")
    folder.mkdir(parents=True, exist_ok=True)
    sources = [*_engine(), *(NATIVE / name for name in STORE), *sorted(HERE.glob("*.c"))]
    return {
        _name(path): compiled(flags, path, folder / f"{_name(path)}.o") for path in sources
    }


def _name(path: Path) -> str:
    """File name, with its folder below kernels/, where names come twice."""
    core = path.parent.parent.name == "kernels"
    return f"{path.parent.name}_{path.name}" if core else path.name


def _link(flags: tuple[str, ...], parts: dict[str, Path], program: Path) -> Path:
    return made(["cc", *flags, *map(str, parts.values())], program)


@functools.cache
def program(flags: tuple[str, ...] = FAST) -> Path:
    """The harness around the shipping sources."""
    parts = objects(flags)
    folder = next(iter(parts.values())).parent
    return _link(flags, parts, folder / "powercut")


@dataclass(frozen=True)
class Fault:
    """A mistake seeded into a copy of one source: every (old, new) once."""

    name: str
    source: str
    edits: tuple[tuple[str, str], ...]


def faulty_source(fault: Fault) -> tuple[str, str]:
    """Name and text of the source with the fault."""
    text = (NATIVE / fault.source).read_text(encoding="utf-8")
    for old, new in fault.edits:
        assert text.count(old) == 1, f"{fault.name}: {fault.source} has changed: {old!r}"
        text = text.replace(old, new)
    return fault.source, text


def faulty_program(fault: Fault) -> Path:
    """The harness around sources of which one has the fault."""
    folder = BUILD / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    _, text = faulty_source(fault)
    # Same name as the original, so that it is compiled in the same way.
    (folder / fault.name).mkdir(exist_ok=True)
    source = folder / fault.name / fault.source
    source.write_text(text, encoding="utf-8")
    flags = (*FAST, "-Wno-unused")
    broken = compiled(flags, source, source.with_suffix(".o"))
    return _link(FAST, {**objects(FAST), fault.source: broken}, folder / fault.name / "powercut")


def blob_file(seed: int, nvm: str, **options: int) -> Path:
    """A random tiny net with a random plan."""
    folder = BUILD / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    tail = "".join(f"-{key}{value}" for key, value in sorted(options.items()))
    return whole(folder / f"{nvm}-{seed}{tail}.rlm", random_blob(seed, nvm=nvm, **options))


def whole(path: Path, data: bytes) -> Path:
    """A file that is never seen half written: shards may write the same one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    return partial.replace(path)


def colliding_blob_file(seed: int) -> Path:
    """A blob whose homes overlap."""
    return whole(blob_file(seed, "fram").with_name(f"colliding-{seed}.rlm"), colliding_blob(seed))


def run(binary: Path, blob: Path, kind: str, *arguments: str, seconds: int = 120) -> Outcome:
    """Runs the harness; anything but its own verdict fails the test."""
    command = [str(binary), str(blob), "--kind", kind, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds
    )
    assert done.returncode in (0, 1), f"{command}: exit {done.returncode}: {done.stderr[-3000:]}"
    assert done.returncode == 0 or "replay: " in done.stdout, done.stderr[-3000:]
    return Outcome(done.returncode, done.stdout)


def survives(blob: Path, kind: str, *arguments: str, binary: Path | None = None) -> dict[str, int]:
    """Counts of a run that must not fail."""
    outcome = run(binary or program(), blob, kind, *arguments)
    assert outcome.code == 0, f"{blob.name} {' '.join(arguments)}\n{outcome.text}"
    return outcome.numbers
