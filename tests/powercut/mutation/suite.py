"""What every mutant has to get past: quick power cuts on the host, then the tests of the store."""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import subprocess
from pathlib import Path

import hypothesis  # noqa: F401
import numpy  # noqa: F401
import pytest

from tests import native
from tests.native import NATIVE
from tests.powercut import harness
from tests.powercut.mutation.mutants import Mutant

FOLDER = harness.BUILD / "mutants"
RUN_S, TESTS_S = 6, 60  # of processor time: a mutant that hangs is found out
KILLED, EQUIVALENT, SURVIVED, INVALID = "killed", "equivalent", "survived", "invalid"
_TESTS = ("store", "record", "ring", "cells", "hostile_store", "live", "resting", "behind",
          "supply_rule", "recovery_edges", "store_counts", "erases", "quantiles",
          "session_steps")  # fmt: skip
_NEAR = {
    "store.c": ("record", "store_counts", "store"), "store_bytes.c": ("cells", "store"),
    "live.c": ("live",), "store_ring.c": ("ring",), "store_flash.c": ("ring", "erases"),
    "behind.c": ("behind",), "session_quantiles.c": ("quantiles",),
    "session_commit.c": ("supply_rule", "live"), "session.c": ("erases", "recovery_edges"),
    "session_step.c": ("session_steps", "supply_rule", "resting"),
}  # source -> tests that come first
_TWICE = ("--depth", "2", "--every", "40", "--inferences", "2", "--seeds", "3")
_AGED = ("--seq", "4294967290", "--erases", "4294967290", "--inferences", "6", "--seeds", "2")
FIRST = 2  # runs that come before the tests
RUNS: tuple[tuple[int, str, tuple[str, ...], tuple[tuple[str, int], ...]], ...] = (
    (6, "fram", ("--seeds", "2"), ()), (6, "flash", ("--seeds", "3"), ()),
    (3, "fram", _TWICE, ()), (3, "flash", _TWICE, ()), (9, "file", ("--real",), (("gates", 1),)),
    (0, "flash", ("--forge", "--seeds", "6"), (("scale", 2),)), (3, "flash", _AGED, ()),
    (6, "fram", _AGED, ()),
    (6, "fram", ("--starve", "0"), ()), (6, "flash", ("--starve", "0"), ()),
    (3, "fram", ("--starve", "1"), ()), (3, "flash", ("--starve", "1"), ()),
    (6, "fram", ("--refuse",), ()), (1, "flash", ("--refuse",), ()), (6, "fram", ("--deaf",), ()),
    (6, "flash", ("--deaf",), ()), (6, "fram", ("--rot",), ()), (6, "flash", ("--rot",), ()),
    (2, "fram", ("--base", "1000", "--seeds", "2"), ()),
    (2, "flash", ("--base", "8192", "--seeds", "2", "--fill", "300"), ()),
    (4, "fram", ("--soak", "100000", "--inferences", "300"), ()),
    (4, "flash", ("--soak", "100000", "--inferences", "300"), ()),
    (7, "fram", (*_TWICE, "--real"), ()), (16, "flash", _TWICE, ()),
    (6, "fram", ("--depth", "3", "--every", "60", "--inferences", "1"), ()),
    (31, "flash", ("--inferences", "3"), (("scale", 4),)),
    *((seed, "fram", ("--volts", "random", "--behind", "--seeds", "2"), (("paced", 1 + seed % 2),))
      for seed in range(8)),
    *((seed, "fram", ("--volts", "high", "--behind"), (("paced", 1 + seed % 2),))
      for seed in range(8, 16)),
    *((seed, "fram", ("--volts", "high", "--behind", "--inferences", "2"),
       (("paced", 1), ("scale", 1 + seed % 2))) for seed in (1, 3, 5, 7, 9, 11, 12, 13)),
    *((seed, "fram", ("--volts", "true", "--behind", "--inferences", "2"),
       (("paced", 1), ("scale", 1 + seed % 2))) for seed in (3, 5, 11)),
    (1, "flash", ("--volts", "random"), (("paced", 1),)),
    (4, "fram", ("--volts", "random"), (("paced", 1),)),
    (3, "fram", ("--ration", "3"), ()), (6, "flash", ("--ration", "3"), ()),
    (5, "file", ("--ration", "1"), ()), (3, "fram", ("--ration", "0"), ()),
    (6, "flash", ("--ration", "0"), ()),
    (2, "fram", ("--hungry", "3", "--inferences", "1"), (("paced", 2),)),
    (2, "fram", ("--ration", "3", "--behind"), (("paced", 2),)),
)  # fmt: skip
"""Net, kind, arguments, options of the net: the first to fail kills."""


def verdict(mutant: Mutant) -> str:
    """KILLED, EQUIVALENT (the same code), SURVIVED, or INVALID (does not compile).

    Errors: AssertionError when the sources as they are do not get past the suite: all would be
    killed, and nothing said."""
    _sound(mutant.source)
    folder = FOLDER / str(os.getpid())
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / mutant.source
    source.write_text(mutant.text(), encoding="utf-8")
    part = _object(source, ("-O2",))
    if part is None:
        return INVALID
    if part.read_bytes() == _original(mutant.source).read_bytes():
        return EQUIVALENT
    return KILLED if _found_by(source, part, folder) else SURVIVED


@functools.cache
def _sound(name: str) -> None:
    part = _original(name)
    found = _found_by(part.with_name(name), part, part.parent)
    assert not found, f"{name} as it is fails: {found}"


def _found_by(source: Path, part: Path, folder: Path) -> str:
    """What fails with the source, '' if nothing does. part: its object."""
    parts = {**harness.objects(harness.FAST), source.name: part}
    program = harness.made(["cc", *map(str, parts.values())], folder / "powercut")
    for number, run in enumerate(RUNS):
        if number == FIRST and _tests_fail(source, folder):
            return "a test of the store"
        if _fails(program, *run):
            return f"run {number}"
    return "a sanitizer" if _leaves_memory(source, folder) else ""


def _leaves_memory(source: Path, folder: Path) -> bool:
    """A run under the sanitizers, which the host's lenient stack would pass."""
    part = _object(source, harness.SANITIZED)
    if part is None:
        return True
    parts = {**harness.objects(harness.SANITIZED), source.name: part}
    program = harness.made(
        ["cc", *harness.SANITIZED, *map(str, parts.values())], folder / "sanitized"
    )
    return any(_fails(program, *run) for run in RUNS[:FIRST])


def _object(source: Path, flags: tuple[str, ...]) -> Path | None:
    computes = source.name.startswith("session") and "-fPIC" not in flags
    extra = harness.SESSION if computes else ()
    kind = ".pic" if "-fPIC" in flags else ".sane" if flags == harness.SANITIZED else ""
    target = source.with_suffix(f"{kind}.o")
    command = ["cc", "-std=gnu11", "-w", *flags, *extra, f"-I{NATIVE}", f"-I{harness.HERE}"]
    done = subprocess.run(
        [*command, "-c", source.name, "-o", str(target)], cwd=source.parent, capture_output=True,
        check=False,
    )  # fmt: skip
    return target if done.returncode == 0 else None


@functools.cache
def _original(name: str) -> Path:
    folder = FOLDER / f"original-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((NATIVE / name).read_bytes())
    made = _object(folder / name, ("-O2",))
    assert made is not None
    return made


def _fails(
    program: Path, net: int, kind: str, arguments: tuple[str, ...],
    options: tuple[tuple[str, int], ...],
) -> bool:  # fmt: skip
    blob = _blob(net, kind, options)
    command = [str(program), str(blob), "--kind", kind, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, preexec_fn=_limit_run)
    return done.returncode != 0


def _limit_run() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (RUN_S, RUN_S))


@functools.cache
def _blob(net: int, kind: str, options: tuple[tuple[str, int], ...]) -> Path:
    return harness.blob_file(net, kind, **dict(options))


@functools.cache
def _pic() -> dict[str, Path]:
    """Objects of the library, as native_modules/relume/Makefile has them."""
    folder = FOLDER / f"pic-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [p for p in NATIVE.glob("*.c") if not p.name.startswith("bind_")]
    files += NATIVE.glob("kernels/*/*.c")
    made = {}
    for number, path in enumerate(files):
        target = folder / f"{number}.o"
        flags = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O1", "-fPIC", f"-I{NATIVE}")
        made[path.name if path.parent == NATIVE else str(path)] = harness.made(
            ["cc", *flags, "-c", str(path)], target
        )
    return made


def _tests_fail(source: Path, folder: Path) -> bool:
    """The tests on a library with the mutant, in a process of their own."""
    part = _object(source, ("-O1", "-fPIC"))
    if part is None:
        return True
    parts = {**_pic(), source.name: part}
    library = harness.made(["cc", "-shared", *map(str, parts.values())], folder / "mutant.so")
    child = os.fork()  # with what the tests import already there
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (TESTS_S, TESTS_S))
        os._exit(_run_tests(library, source.name))
    _, status = os.waitpid(child, 0)
    return status != 0


def _run_tests(library: Path, source: str) -> int:
    """Exit code of the tests, silently."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    loaded = ctypes.CDLL(str(library))
    native.librelume = lambda: loaded  # type: ignore[assignment]
    names = dict.fromkeys((*_NEAR.get(source, ()), *_TESTS))
    tests = [str(harness.HERE / f"test_{name}.py") for name in names]
    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
