"""tests/kernels/run_blob.c as a program for a bare Cortex-M on QEMU: the cores' real kernels.

microbit has a Cortex-M0, which faults at unaligned words and at instructions of later cores as an
RP2040 does; mps2-an386 has a Cortex-M4F. The program is the host's, with newlib; its files are the
host's by semihosting. QEMU counts no cycles.
"""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from relume.bench.image import CC, small, sources

from tests.native import NATIVE, ROOT, Outcome, outcomes

HERE = Path(__file__).parent
BUILD = ROOT / "build" / "qemu"
EMULATOR = "qemu-system-arm"
PATIENCE_S = 40


@dataclass(frozen=True)
class Machine:
    """A QEMU machine: how the program is compiled, and how much memory it may take."""

    name: str
    flags: tuple[str, ...]
    flash: str
    ram: str
    options: tuple[str, ...] = ()


M0 = Machine(
    "microbit", ("-mcpu=cortex-m0",), "256K", "1M",
    ("-global", "nrf51-soc.sram-size=1048576"),
)  # fmt: skip
M4 = Machine(
    "mps2-an386",
    ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "4M", "4M",
)  # fmt: skip
MACHINES = {"m0plus": M0, "m4": M4}


class Stopped(AssertionError):
    """The program ended with an error, the core at a fault, or neither for too long."""


def needed() -> None:
    """Skips, by name, what is not installed."""
    for program in (CC, EMULATOR):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (make tools)")


@functools.cache
def program(core: str) -> Path:
    """The program for a core, built once a session."""
    needed()
    machine = MACHINES[core]
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = ["-mthumb", "-std=c99", *machine.flags, "-fno-jump-tables",
             "-fno-tree-loop-distribute-patterns", f"-I{NATIVE}"]  # fmt: skip
    own = [HERE / "start.c", ROOT / "tests" / "kernels" / "run_blob.c"]
    core_files = sources(ROOT)
    cold = small(ROOT) & set(core_files)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        parts = []
        for level, files in (
            ("-O2", [*own, *(p for p in core_files if p not in cold)]), ("-Os", sorted(cold))
        ):  # fmt: skip
            parts.append(f"{folder}/{level[1:]}.o")
            _compile([*flags, level, "-nostdlib", "-r", *map(str, files), "-o", parts[-1]])
        elf = Path(folder) / "program.elf"
        sizes = {"FLASH_SIZE": machine.flash, "RAM_SIZE": machine.ram}
        defines = [f"-Wl,--defsym={name}={size}" for name, size in sizes.items()]
        _compile([*flags, "--specs=rdimon.specs", "-nostartfiles", *defines, "-T",
                  str(HERE / "machine.ld"), *parts, "-o", str(elf)])  # fmt: skip
        made = BUILD / f"{core}.elf"
        elf.replace(made)
    return made


def _compile(arguments: Sequence[str]) -> None:
    done = subprocess.run([CC, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def run(
    core: str, cases: Iterable[tuple[bytes, bytes]], *, staged: bool = False,
    elf: Path | None = None,
) -> list[Outcome]:  # fmt: skip
    """Runs (blob, input) cases as tests.native.run_program does. Errors: Stopped."""
    image, machine = elf or program(core), MACHINES[core]
    feed = b"".join(struct.pack("<II", len(b), len(d)) + b + d for b, d in cases)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.bin").write_bytes(feed)
        if staged:
            (folder / "staged").touch()
        command = [
            EMULATOR, "-machine", machine.name, *machine.options, "-display", "none", "-monitor",
            "none", "-serial", "null", "-semihosting-config", "enable=on,target=native",
            "-kernel", str(image),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, timeout=PATIENCE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Stopped(f"{machine.name}: not done in {PATIENCE_S} s") from error
        if done.returncode:
            raise Stopped(f"{machine.name}: code {done.returncode}: {done.stderr.decode()[-500:]}")
        return list(outcomes((folder / "out.bin").read_bytes()))
