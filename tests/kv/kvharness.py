"""Builds tests/kv/kvcuts.c with the shipping C, or with one seeded fault in it."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native import NATIVE, ROOT

HERE = ROOT / "tests" / "kv"
PEERS = ROOT / "tests" / "powercut"
BUILD = ROOT / "build" / "kv"
KV = ("kv.c", "kv_log.c", "kv_open.c")
BELOW = (
    "store.c", "store_bytes.c", "store_flash.c", "store_ring.c", "nvm_fram.c", "crc32.c",
    "status.c",
)  # fmt: skip
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
FAST = ("-O2",)
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COVERED = ("-O0", "-g", "--coverage")


@dataclass(frozen=True)
class Fault:
    """A mistake seeded into a copy of one source: every (old, new) once."""

    name: str
    source: str
    edits: tuple[tuple[str, str], ...]


def _cc(*arguments: object) -> None:
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    command = ["cc", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _compile(source: Path, folder: Path, flags: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.stem}.o"
    include = (f"-I{NATIVE}", f"-I{PEERS}", f"-I{HERE}")
    _cc(*WARNINGS, *flags, *include, "-c", source, "-o", target)
    return target


def _sources() -> list[Path]:
    return [*(NATIVE / name for name in (*KV, *BELOW)), *sorted(HERE.glob("*.c")),
            PEERS / "faultnvm.c"]  # fmt: skip


@functools.cache
def objects(flags: tuple[str, ...]) -> dict[str, Path]:
    """Source name -> object file, built once a test run."""
    folder = BUILD / {FAST: "fast", SANITIZED: "sanitized", COVERED: "covered"}[flags]
    for old in folder.glob("*.gcda"):
        old.unlink()
    return {path.name: _compile(path, folder, flags) for path in _sources()}


@functools.cache
def program(flags: tuple[str, ...] = FAST) -> Path:
    """The harness around the shipping sources."""
    parts = objects(flags)
    target = next(iter(parts.values())).parent / "kvcuts"
    _cc(*flags, *parts.values(), "-o", target)
    return target


def faulty(fault: Fault) -> Path:
    """The harness around sources of which one has the fault."""
    text = (NATIVE / fault.source).read_text(encoding="utf-8")
    for old, new in fault.edits:
        assert text.count(old) == 1, f"{fault.name}: {fault.source} has changed: {old!r}"
        text = text.replace(old, new)
    folder = BUILD / "faults" / fault.name
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / fault.source
    source.write_text(text, encoding="utf-8")
    broken = _compile(source, folder, (*FAST, "-Wno-unused"))
    _cc(*FAST, *{**objects(FAST), fault.source: broken}.values(), "-o", folder / "kvcuts")
    return folder / "kvcuts"


def run(binary: Path, kind: str, *arguments: str, seconds: int = 60) -> tuple[int, str]:
    """Exit code and output. 1: a promise was broken; a crash or a hang counts as one, too."""
    command = [str(binary), "--kind", kind, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return 1, "FAILED: no end"
    assert done.returncode != 2, done.stderr
    return min(abs(done.returncode), 1), done.stdout + done.stderr[-3000:]


def keeps(kind: str, *arguments: str, flags: tuple[str, ...] = FAST) -> dict[str, int]:
    """What a run counted that must not fail."""
    code, text = run(program(flags), kind, *arguments, seconds=300)  # on a busy machine
    assert code == 0, f"{kind} {' '.join(arguments)}\n{text}"
    counts: dict[str, int] = json.loads(text)
    return counts


def open_branches() -> dict[str, list[int]]:
    """Lines of the sources with branches that no run of the covered program took."""
    found: dict[str, list[int]] = {}
    for name in KV:
        target = objects(COVERED)[name]
        command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", str(target)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=target.parent
        )
        (report,) = (file for file in json.loads(done.stdout)["files"]
                     if Path(file["file"]).name == name)  # fmt: skip
        found[name] = sorted({line["line_number"] for line in report["lines"]
                              for branch in line["branches"] if not branch["count"]})  # fmt: skip
    return found
