"""What a board without our firmware is given: the Python package and the native module for it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from relume.errors import BoardError

ABI = (6, 3)
CORES = ("portable", "Cortex-M0+", "Cortex-M4")  # header.core (SPEC 2.1)

# sys.implementation._mpy >> 10 (MicroPython's docs/reference/mpyfiles.rst).
_ARCHES = (
    "", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa",
    "xtensawin", "rv32imc", "rv64imc",
)  # fmt: skip
# The kernels of each module (firmware/natmod/Makefile). A loader takes lower ARM modules, too.
KERNELS = {
    "armv7emdp": (0, 2), "armv7emsp": (0, 2), "armv7m": (0,), "armv6m": (0, 1), "rv32imc": (0,),
    "x64": (0, 1, 2),
}  # fmt: skip


@dataclass(frozen=True)
class Firmware:
    """What a prompt says of its firmware. mpy: sys.implementation._mpy; lib: folder of
    libraries; free: bytes of its filesystem; heap: bytes free; block: bytes of a file's piece."""

    name: str
    version: str
    machine: str
    mpy: int
    lib: str
    block: int
    free: int
    heap: int

    @property
    def arch(self) -> str:
        """Of the native code that it loads; empty = none."""
        number = self.mpy >> 10 & 15
        return _ARCHES[number] if number < len(_ARCHES) else f"architecture {number}"

    @property
    def root(self) -> str:
        """Folder of the user's files, without a slash at its end."""
        return self.lib.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.machine} (MicroPython {self.version})"


def module_for(port: str, firmware: Firmware, core: int) -> str:
    """The module's architecture for blobs of a core; empty: Python computes.

    Errors: BoardError: this board cannot run such a blob, and what would help.
    """
    if firmware.name != "micropython":
        raise BoardError(
            f"{port}: {firmware.machine} runs {firmware.name}, whose files are its drive's: copy"
            " relume, relume_pure and the .rlm (planned with --core portable) there"
        )
    reason = _why_no_module(firmware)
    if not reason:
        for arch in _accepted(firmware.arch):
            if core in KERNELS[arch]:
                return arch
        reason = f"no module for {firmware.arch} has kernels for {CORES[core]}"
    if core == 0:
        return ""
    raise BoardError(
        f"{port}: {firmware}: {reason}; relume plan --core portable makes a blob that Python"
        " computes, slowly"
    )


def _why_no_module(firmware: Firmware) -> str:
    found = (firmware.mpy & 0xFF, firmware.mpy >> 8 & 3)
    if not firmware.arch:
        return "this firmware loads no native code"
    if not _accepted(firmware.arch):
        return f"there is no module for {firmware.arch}, only for {', '.join(KERNELS)}"
    if found != ABI:
        update = "update relume" if found > ABI else "update MicroPython to 1.25 or newer"
        loads, ours = (f"{major}.{minor}" for major, minor in (found, ABI))
        return f"it loads modules of .mpy {loads}, ours are {ours}: {update}"
    return ""


def _accepted(arch: str) -> list[str]:
    """Modules that a firmware of this architecture loads, the best first."""
    if arch.startswith("armv"):
        limit = _ARCHES.index(arch)
        return [one for one in KERNELS if one.startswith("armv") and _ARCHES.index(one) <= limit]
    return [arch] if arch in KERNELS else []


PACKAGED = Path(__file__).resolve().parent.parent / "device"


@functools.cache
def _folders() -> tuple[Path, Path]:
    """(Python packages, native modules): of this installation, or of the sources."""
    if PACKAGED.is_dir():
        return PACKAGED, PACKAGED / "natmod"
    root = Path(__file__).resolve().parents[3]
    return root / "firmware", root / "build" / "natmod"


def package(firmware: Firmware) -> dict[str, bytes]:
    """Path in the board's library folder -> content, of the Python part: bytecode, if the
    firmware loads it and it has been built."""
    folder, built = _folders()
    listed = json.loads((folder / "package_pure.json").read_text("utf-8"))["urls"]
    files: dict[str, bytes] = {}
    for target, source in listed:
        path = folder / source
        code = (built / "bytecode" / source).with_suffix(".mpy")
        if firmware.mpy & 0xFF == ABI[0] and _is_made(code, path):
            path, target = code, target.removesuffix(".py") + ".mpy"
        files[target] = path.read_bytes()
    return files


def bytecode() -> dict[str, bytes]:
    """package() for any firmware that loads it. Errors: BoardError if it has not been built."""
    any_one = Firmware("micropython", "", "", ABI[0], "", 0, 0, 0)
    files = package(any_one)
    for name in files:
        if name.endswith(".py"):
            raise BoardError(f"no bytecode of {name}, or an older one; build it with: make natmod")
    return files


def _is_made(code: Path, source: Path) -> bool:
    """The bytecode is there, and no older than its source (an installation has no times)."""
    if not code.is_file():
        return False
    return PACKAGED.is_dir() or code.stat().st_mtime >= source.stat().st_mtime


def native_module(arch: str) -> bytes:
    """_relume_native.mpy. Errors: BoardError if it has not been built."""
    path = _folders()[1] / f"{arch}_{ABI[0]}.{ABI[1]}" / "_relume_native.mpy"
    try:
        return path.read_bytes()
    except OSError:
        raise BoardError(f"{path}: no such module; build it with: make natmod") from None
