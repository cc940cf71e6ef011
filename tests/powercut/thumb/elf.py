"""The shipped Thumb code of store, session and engine with the glue around it, as an ELF."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from relume.bench import image

from tests.native import NATIVE, ROOT
from tests.powercut import harness

HERE = Path(__file__).parent
FOLDER = harness.BUILD / "thumb"
CORE = "m0plus"
_SESSION = ("store*.c", "session*.c", "live.c", "pace.c", "behind.c", "nvm_fram.c")
_GLUE = "glue.c"


def shipped() -> list[Path]:
    """The sources of the image, but for the glue."""
    own = [path for pattern in _SESSION for path in NATIVE.glob(pattern)]
    return sorted({*image.sources(ROOT), *own})


def build(changed: Mapping[str, str] | None = None) -> Path:
    """The ELF. `changed` sources, name -> text, take the place of shipped ones."""
    if shutil.which(image.CC) is None:
        pytest.skip(f"{image.CC} is not installed")
    digest = hashlib.sha256(repr(sorted((changed or {}).items())).encode())
    for path in [*shipped(), HERE / _GLUE, *sorted(NATIVE.rglob("*.h")), NATIVE / "small.txt"]:
        digest.update(path.name.encode() + path.read_bytes())
    name = digest.hexdigest()[:16]
    elf = FOLDER / f"{name}.elf"
    if not elf.exists():
        chosen = [_changed(path, FOLDER / name, changed or {}) for path in shipped()]
        cold = image.small(ROOT)
        image.compile_elf(CORE, [*chosen, HERE / _GLUE], [NATIVE], elf, cold=cold)
    return elf


def _changed(path: Path, folder: Path, changed: Mapping[str, str]) -> Path:
    if path.name not in changed:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    other = folder / path.name
    other.write_text(changed[path.name], encoding="utf-8")
    return other


@functools.cache
def hooks() -> ctypes.CDLL:
    """watch.c as a library."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    FOLDER.mkdir(parents=True, exist_ok=True)
    flags = ("-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wconversion", "-Werror")
    target = FOLDER / "watch.so"
    harness.made(("cc", *flags, str(HERE / "watch.c")), target)
    return ctypes.CDLL(str(target))


@dataclass(frozen=True)
class Program:
    """What the ELF holds: segments by address, the entry, and where the glue's functions lie."""

    segments: tuple[tuple[int, bytes], ...]
    entry: int
    end: int
    glue: tuple[tuple[int, int], ...]


@functools.cache
def program(path: Path) -> Program:
    """Reads the ELF. Local symbols follow the name of their file."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    with path.open("rb") as file:
        elf = elffile.ELFFile(file)
        segments = tuple((s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD"))
        table = list(elf.get_section_by_name(".symtab").iter_symbols())
    owner, functions = "", []
    for symbol in table:
        kind = symbol["st_info"]["type"]
        owner = symbol.name if kind == "STT_FILE" else owner
        if kind == "STT_FUNC":
            name = _GLUE if symbol.name == "thumb_live" else owner
            functions.append((name, symbol.name, symbol["st_value"] & ~1, symbol["st_size"]))
    entry = next(at for _, name, at, _ in functions if name == "thumb_live")
    glue = tuple((at, size) for name, _, at, size in functions if name == _GLUE)
    named = {name for owner, name, _, _ in functions if owner == _GLUE}
    assert {"chip_transfer", "flash_write", "flash_erase"} <= named, "the glue is not told apart"
    return Program(segments, entry, max(at + size for _, _, at, size in functions), glue)
