"""Stack that each entry of the C takes at worst on a Cortex-M, from the compiler's call graph.

gcc writes the frame of every function and every call (-fcallgraph-info=su). A call through a
pointer counts as the deepest of the functions that the caller's file may mean (MEANT), assembly as
all that it pushes. What the port's own functions take (SPI, flash, console) is not in it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.native import NATIVE, ROOT

CROSS, DUMP = "arm-none-eabi-gcc", "arm-none-eabi-objdump"
FLAGS = ("-std=c99", "-mthumb", "-ffreestanding", "-fcallgraph-info=su", f"-I{NATIVE}")
CORES = {"m0plus": ("-mcpu=cortex-m0plus",), "m4": ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16")}
LIBRARY = 48  # bytes of memcpy, memset and libgcc's divisions, at most
INDIRECT = "__indirect_call"
DRIVERS = ("nvm_fram.c", "nvm_fram_i2c.c")
# Files whose calls through pointers go to others than functions of their own.
MEANT: dict[str, tuple[str, ...]] = {
    "store.c": (*DRIVERS, "crc32.c"), "store_bytes.c": DRIVERS, "store_flash.c": DRIVERS,
    "store_ring.c": DRIVERS, "slots.c": DRIVERS, "slots_put.c": DRIVERS, "kv.c": DRIVERS,
    "early.c": DRIVERS, "early_models.c": (), "early_link.c": (), "nvm_fram.c": (),
    "nvm_fram_i2c.c": (), "session.c": (), "session_step.c": (), "session_commit.c": (),
    "session_quantiles.c": DRIVERS, "pace.c": (), "stage.c": (),
}  # fmt: skip
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_SIZE = re.compile(r"\\n(\d+) bytes \(([\w,]+)\)")
_BRANCH = re.compile(r"\tbl?(?:\.[nw])?\t\w+ <(\w+)>|R_ARM_THM_(?:CALL|JUMP24)\t(\w+)")
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


class Recursion(Exception):
    """A function that calls itself has no bound."""


@dataclass
class Graph:
    """Frames in bytes, calls, and the file of each function."""

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    unbounded: list[str] = field(default_factory=list)

    def depth(self, name: str, above: tuple[str, ...] = ()) -> int:
        """Bytes of stack that a call of the function takes at worst."""
        if name in above:
            raise Recursion(name)
        own = self.frames.get(name, LIBRARY)
        return own + max((self._call(name, to, above) for to in self.calls.get(name, ())),
                         default=0)  # fmt: skip

    def _call(self, name: str, to: str, above: tuple[str, ...]) -> int:
        if to != INDIRECT:
            if to in above:
                raise Recursion(f"{to} calls itself: {' -> '.join(above)}")
            return self.depth(to, (*above, name))
        file = self.files[name]
        meant = MEANT.get(file, (file,))
        deepest = 0
        for one in [n for n, place in self.files.items() if place in meant]:
            # A function above the caller in its own file is not what it means.
            with contextlib.suppress(Recursion):
                deepest = max(deepest, self.depth(one, (*above, name)))
        return deepest


def _sources(core: str) -> list[Path]:
    other = {"m0plus": "m4", "m4": "m0plus"}[core]
    found = [*NATIVE.glob("*.c"), *NATIVE.glob("kernels/*/*.c")]
    return sorted(p for p in found if not p.name.startswith("bind_")
                  and p.name != "nvm_file.c" and p.parent.name != other)  # fmt: skip


def _assembly(made: Graph, file: str, text: str) -> None:
    """A disassembly: of each function all that it pushes and reserves, and whom it calls."""
    name = ""
    for line in text.splitlines():
        begin = re.match(r"[0-9a-f]+ <([\w.]+)>:", line)
        if begin:
            name = begin[1]
            made.frames[name], made.files[name] = 0, file
        elif name:
            made.frames[name] += _reserved(line)
            for to in _BRANCH.findall(line):
                called = to[0] or to[1]
                if called != name:
                    made.calls.setdefault(name, set()).add(called)


def _reserved(line: str) -> int:
    """Bytes of stack that an instruction takes."""
    if re.search(r"\t(push|stmdb\tsp!|vpush)", line):
        return 4 * len(re.findall(r"[rs]\d+|lr|fp|sl|ip", line.split("{")[1]))
    taken = re.search(r"\tsub(?:\.w)?\tsp, (?:sp, )?#(\d+)", line)
    return int(taken[1]) if taken else 0


@functools.cache
def graph(core: str) -> Graph:
    """Of the C and assembly of one core, compiled as the firmware does; skips without gcc."""
    if shutil.which(CROSS) is None:
        pytest.skip(f"{CROSS} is not installed")
    folder = ROOT / "build" / "stack" / core
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    patterns = (NATIVE / "small.txt").read_text().split()
    small = {path for pattern in patterns for path in NATIVE.glob(pattern)}

    def compiled(source: Path) -> Path:
        target = folder / "_".join(source.relative_to(NATIVE).with_suffix(".o").parts)
        level = "-Os" if source in small else "-O2"
        command = [CROSS, level, *FLAGS, *CORES[core], "-c", str(source), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return target.with_suffix(".ci")

    made = Graph()
    sources = _sources(core)
    with ThreadPoolExecutor(2) as pool:
        for source, path in zip(sources, pool.map(compiled, sources), strict=True):
            _read(made, source.name, path.read_text())
    for path in NATIVE.glob(f"kernels/{core}/*.S"):
        target = folder / f"{path.stem}.S.o"
        command = [CROSS, *FLAGS, *CORES[core], "-c", str(path)]
        subprocess.run([*command, "-o", str(target)], check=True, capture_output=True)
        listing = subprocess.run([DUMP, "-dr", str(target)], check=True, capture_output=True,
                                 text=True)  # fmt: skip
        _assembly(made, path.name, listing.stdout)
    return made


def _read(made: Graph, file: str, text: str) -> None:
    for name, label in _NODE.findall(text):
        size = _SIZE.search(label)
        if size is not None:
            made.frames[name], made.files[name] = int(size[1]), file
            if size[2] != "static":
                made.unbounded.append(f"{file}: {name} ({size[2]})")
    for source, target in _EDGE.findall(text):
        made.calls.setdefault(source, set()).add(target)
