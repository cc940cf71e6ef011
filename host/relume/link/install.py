"""A model, and what computes it, on a board with MicroPython's own firmware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import relume
from relume.blob.reader import Blob
from relume.board.profile import load_board
from relume.errors import BoardError, LinkError
from relume.link import gap, stock
from relume.link.device import Firmware, module_for, native_module, package
from relume.link.labels import as_file
from relume.link.ports import Port
from relume.link.stock import Copied, Opener, Tested
from relume.link.transport import PortOpener

_PATIENCE_S = 30.0
_TEST_S = 900.0  # an inference in Python


@dataclass(frozen=True)
class Installed:
    """path: of the blob on the board, or its name there (in_flash); arch: of the module, empty =
    Python computes."""

    path: str
    arch: str
    planned_for: str
    firmware: Firmware
    copied: Copied
    tested: Tested
    in_flash: bool = False


def install(
    port: Port,
    blob: Blob,
    name: str,
    labels: list[str],
    progress: Callable[[int], None] = lambda done: None,
    opener: Opener | None = None,
) -> Installed:
    """Copies what has changed, checks every byte on the board, runs the self-test.

    name: of the blob's file there, without its suffix; labels: go beside it, if there are any.
    progress: called with the bytes that the board has. Errors: BoardError, LinkError.
    """
    if not name or set(name) & set("/\\\0"):
        raise LinkError(f"file name {name!r}: give --name without a slash")
    if blob.nvm == "flash" and not _has_flash(blob.board):
        raise LinkError(
            f"{blob.name} is planned to commit to flash, which is the filesystem's without our"
            " firmware: relume plan --nvm fram (or fram-i2c, file)"
        )
    line = opener or PortOpener(port)
    there = stock.firmware(line, _PATIENCE_S)
    arch = module_for(port.text, there, blob.core)
    lying = gap.held(line, blob, _PATIENCE_S) if "RP2040" in there.machine else ""
    path = lying or f"{there.root}/{name}.rlm"
    files = {f"{there.lib}/{file}": data for file, data in package(there).items()}
    if arch:
        files[f"{there.lib}/_relume_native.mpy"] = native_module(arch)
    if labels and not lying:
        files[f"{there.root}/{name}.txt"] = as_file(labels)
    if not lying:
        files[path] = blob.image
    copied = stock.copy(line, there, files, progress, _PATIENCE_S)
    tested = stock.test(line, there, path, relume.__version__, _TEST_S, flash=bool(lying))
    if arch and not tested.native:
        raise LinkError(f"{port.text}: the board imports another relume_pure without its module")
    return Installed(path, arch, blob.board, there, copied, tested, bool(lying))


def _has_flash(board: str) -> bool:
    """Does stock firmware of this board give a program flash of its own?"""
    try:
        flash = load_board(board).flash
    except BoardError:
        return False
    return flash is not None and flash.ported and flash.device != ""


def lines(done: Installed) -> list[str]:
    """For a person."""
    copied, tested = done.copied, done.tested
    by = f"{done.arch} module" if done.arch else "no native module: Python computes, slowly"
    what = f"{copied.sent:,} of {copied.bytes:,} bytes sent in {copied.seconds:.1f} s"
    if copied.resets:
        what += f", through {copied.resets} resets"
    time = "" if tested.ms is None else f" in {tested.ms:,} ms"
    proof = "TFLite's own" if tested.wanted else "not checked: the blob has no self-test"
    foreign = load_board(done.planned_for).mcu not in done.firmware.machine
    return [
        f"{done.path}{', in flash' * done.in_flash}: verified on {done.firmware}, {by}; {what}",
        f"self-test: output {tested.crc:08x}{time}, {proof}",
        f"heap: relume takes {tested.heap:,} bytes, {tested.left:,} are left for"
        f"{' ' if done.in_flash else ' blob and '}tensors",
        f'there: import relume; relume.Model("{done.path}").predict(x)',
        *([f"planned for {done.planned_for}: here a segment may not fit a charge"] * foreign),
    ]


def facts(done: Installed) -> dict[str, Any]:
    """The same as a JSON-able document."""
    copied, tested = done.copied, done.tested
    return {
        "path": done.path,
        "in_flash": done.in_flash,
        "board": done.firmware.machine,
        "micropython": done.firmware.version,
        "module": done.arch or None,
        "bytes": copied.bytes,
        "sent": copied.sent,
        "resets": copied.resets,
        "seconds": round(copied.seconds, 3),
        "heap": tested.heap,
        "heap_left": tested.left,
        "output_crc": f"{tested.crc:08x}",
        "expected_crc": f"{tested.wanted:08x}" if tested.wanted else None,
        "ms": tested.ms,
    }
