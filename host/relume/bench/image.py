"""Compiles the shipped engine for one Cortex-M core into an ELF for `relume.bench.machine`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from relume.bench.machine import CODE
from relume.errors import RelumeError

CC = "arm-none-eabi-gcc"
_FLAGS = {
    "m0plus": ["-mcpu=cortex-m0plus", "-DRL_CORE_M0PLUS=1"],
    "m4": ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-DRL_CORE_M4=1"],
}
# What the firmware builds use, too: firmware/ and native_modules/relume/micropython.cmake.
_COMMON = ["-mthumb", "-std=c99", "-ffreestanding", "-nostdlib", "-fno-jump-tables",
           "-fno-tree-loop-distribute-patterns"]
_FAST, _SMALL = "-O2", "-Os"
_ENGINE = ("blob*.c", "engine*.c", "stage.c", "crc32.c")


def sources(root: Path) -> list[Path]:
    """The engine's C and assembly files: checker, engine, all kernels, without their texts."""
    folder = root / "native_modules" / "relume"
    own = [p for pattern in _ENGINE for p in folder.glob(pattern)]
    kernels = [p for p in (folder / "kernels").rglob("*") if p.suffix in (".c", ".S")]
    if not own or not kernels:
        raise RelumeError(f"bench: no engine sources in {folder}; run it in a checkout of relume")
    return sorted(own + kernels)


def small(root: Path) -> set[Path]:
    """The sources that are compiled for size, as every build of the firmware does."""
    folder = root / "native_modules" / "relume"
    patterns = (folder / "small.txt").read_text().split()
    return {path for pattern in patterns for path in folder.glob(pattern)}


def build(root: Path, core: str) -> Path:
    """The ELF for `core`, built when a source has changed. Needs arm-none-eabi-gcc."""
    if shutil.which(CC) is None:
        raise RelumeError(f"bench: {CC} is not installed (apt install gcc-arm-none-eabi)")
    files = sources(root)
    headers = sorted((root / "native_modules" / "relume").rglob("*.h"))
    cold = small(root)
    kept = sorted(path.name for path in cold)
    digest = hashlib.sha256(repr((_COMMON, _FAST, _SMALL, _FLAGS[core], kept)).encode())
    for path in [*files, *headers]:
        digest.update(path.name.encode() + path.read_bytes())
    elf = root / "build" / "bench" / f"{core}-{digest.hexdigest()[:16]}.elf"
    if not elf.exists():
        compile_elf(core, files, [root / "native_modules" / "relume"], elf, cold=cold)
    return elf


def compile_elf(
    core: str,
    files: list[Path],
    include: list[Path],
    elf: Path,
    options: Sequence[str] = (),
    cold: Collection[Path] = (),
) -> None:
    """Compiles and links for `core` at the machine's code address, `cold` files for size.

    Errors: RelumeError.
    """
    if shutil.which(CC) is None:
        raise RelumeError(f"bench: {CC} is not installed (apt install gcc-arm-none-eabi)")
    elf.parent.mkdir(parents=True, exist_ok=True)
    headers = [text for path in include for text in ("-I", str(path))]
    flags = [*_COMMON, *_FLAGS[core], *headers, *options]
    with tempfile.TemporaryDirectory(dir=elf.parent) as folder:
        made = Path(folder) / "image.elf"
        parts = [Path(folder) / "fast.o", Path(folder) / "small.o"]
        chosen = [[p for p in files if p not in cold], [p for p in files if p in cold]]
        linked = []
        for level, part, group in zip((_FAST, _SMALL), parts, chosen, strict=True):
            if group:
                _gcc([*flags, level, "-r", *map(str, group), "-o", str(part)])
                linked.append(str(part))
        _gcc([*flags, f"-Wl,-Ttext={CODE:#x}", "-Wl,-e,0", *linked, "-lgcc", "-lc", "-lgcc",
              "-o", str(made)])  # fmt: skip
        made.replace(elf)


def _gcc(arguments: list[str]) -> None:
    done = subprocess.run([CC, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        marks = ("undefined reference", "error")
        lines = [x for mark in marks for x in done.stderr.splitlines() if mark in x]
        raise RelumeError(f"bench: {CC} failed: {(lines or ['no message'])[0]}")
