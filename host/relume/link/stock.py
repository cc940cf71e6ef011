"""A board with MicroPython's own firmware: files copied and checked over its REPL.

A copy goes to FILE.part, 2 KB at a time, and goes on there after a reset or on the next deploy.
When every file is whole and its checksum is right on the board, all are renamed. A board that is
cut in between keeps what it had; a file that is there already is not sent.
"""

from __future__ import annotations

import ast
import base64
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from relume.errors import LinkError
from relume.link.device import Firmware
from relume.link.transport import (
    Execute,
    Gone,
    Interrupted,
    NoAnswer,
    PortAbsent,
    PortHeld,
    Raised,
)

Progress = Callable[[int], None]

_CHUNK = 2048
_ASKS = 3
_STALLS = 5  # resets without a byte more on the board
_BACK_S = 10.0  # for a board that was reset to come back
_NO_SPACE, _READ_ONLY = "28", "30"

_FACTS = """
import sys, gc, os
gc.collect()
_i = sys.implementation
_l = ([p for p in sys.path if p.endswith("lib")] or ["/lib"])[0]
_s = os.statvfs(_l.rpartition("/")[0] or "/")
_m = getattr(_i, "_machine", sys.platform)
print(repr((_i.name, ".".join([str(n) for n in _i.version[:3]]), _m, getattr(_i, "_mpy", 0), _l,
            _s[0], _s[0] * _s[4], gc.mem_free())))
"""

_HELPERS = """
import os, binascii
def _crc(p):
 try: f = open(p, "rb")
 except OSError: return -1, 0
 b = bytearray(512); m = memoryview(b); n = c = 0
 while True:
  k = f.readinto(b)
  if not k: break
  c = binascii.crc32(m[:k], c); n += k
 f.close()
 return n, c & 0xffffffff
def _to(p, n):
 global _f
 i = p.find("/", 1)
 while i > 0:
  try: os.mkdir(p[:i])
  except OSError as e:
   if e.errno != 17: raise
  i = p.find("/", i + 1)
 _f = open(p + ".part", "ab" if n else "wb")
def _w(d):
 _f.write(binascii.a2b_base64(d)); _f.flush()
def _gone(p):
 try: os.remove(p)
 except OSError: pass
def _swap(ps):
 for p in ps:
  try: os.rename(p + ".part", p)
  except OSError:
   os.remove(p); os.rename(p + ".part", p)
def _only(ps):
 for p in ps:
  if p.endswith(".mpy"): _gone(p[:-3] + "py")
"""

_TEST = """
import gc
gc.collect(); _a = gc.mem_free()
import relume, relume.model, relume_pure
from relume_pure import blob, selftest
gc.collect(); _b = gc.mem_free()
_d = %s
print(repr((_a - _b, _b, blob.native is not None, relume.VERSION, relume_pure.__file__)
           + selftest.run(_d)))
"""


_FILE, _FLASH = "open(%r, 'rb').read()", "relume.load(%r)"


class Prompt(Protocol):
    """A wire to a Python prompt."""

    def python(self, reset: bool, patience: float) -> AbstractContextManager[Execute]: ...
    def leave_repl(self) -> None: ...
    def close(self) -> None: ...


class Opener(Protocol):
    """Opens the line to one board, each time it is needed."""

    name: str

    def open(self) -> Prompt: ...


@dataclass(frozen=True)
class Copied:
    """bytes of all files; of these, sent now; resets survived; host seconds."""

    bytes: int
    sent: int
    resets: int
    seconds: float


@dataclass(frozen=True)
class Tested:
    """A self-test. heap: bytes that the import takes; left: free behind it; native: the module
    computes; crc and wanted: of the output, wanted 0 = unknown; ms: board time, if it has any."""

    heap: int
    left: int
    native: bool
    crc: int
    wanted: int
    ms: int | None


def firmware(opener: Opener, patience: float) -> Firmware:
    """Who answers, behind a soft reset: a program that ran has ended. Errors: LinkError."""
    return Firmware(*ask(opener, _FACTS, patience))


def ask(opener: Opener, source: str, patience: float) -> tuple[Any, ...]:
    """What the source prints last, behind a soft reset; asked again if the board was cut."""
    for tries in range(_ASKS):
        try:
            answer = _printed(opener, source, patience)
            break
        except (Gone, Interrupted, NoAnswer):
            if tries == _ASKS - 1:
                raise
            _await(opener)
    try:
        values: tuple[Any, ...] = ast.literal_eval(answer.strip().splitlines()[-1])
    except (ValueError, SyntaxError, IndexError) as error:
        raise LinkError(f"{opener.name}: the board printed {answer.strip()[-60:]!r}") from error
    return values


def _printed(opener: Opener, source: str, patience: float) -> str:
    wire = opener.open()
    try:
        with wire.python(True, patience) as execute:
            answer = execute(source)
        wire.leave_repl()
        return answer
    finally:
        wire.close()


# ---- Files -------------------------------------------------------------------


def copy(
    opener: Opener,
    there: Firmware,
    files: Mapping[str, bytes],
    progress: Progress,
    patience: float,
) -> Copied:
    """Brings the files, by their full paths, to the board; through resets. Errors: LinkError."""
    job = _Copy(opener.name, there, files, progress)
    start, stalls, resets = time.monotonic(), 0, 0
    while True:
        before = job.sent
        try:
            _run(opener, job, patience)
            seconds = time.monotonic() - start
            return Copied(sum(map(len, files.values())), job.sent, resets, seconds)
        except (Gone, Interrupted, NoAnswer, PortAbsent, PortHeld) as error:
            stalls = 0 if job.sent > before else stalls + 1
            resets += 1
            if stalls >= _STALLS or (resets == 1 and isinstance(error, PortHeld)):
                raise
            _await(opener)


def _run(opener: Opener, job: _Copy, patience: float) -> None:
    wire = opener.open()
    try:
        with wire.python(False, patience) as execute:
            job.run(execute)
        wire.leave_repl()
    finally:
        wire.close()


def _await(opener: Opener) -> None:
    """Until the port is back."""
    end = time.monotonic() + _BACK_S
    while True:
        try:
            opener.open().close()
            return
        except (PortAbsent, PortHeld):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class _Copy:
    """sent: bytes that this run has brought to the board."""

    def __init__(
        self, port: str, there: Firmware, files: Mapping[str, bytes], progress: Progress
    ) -> None:
        self._port, self._there, self._files, self._progress = port, there, files, progress
        self.sent = 0

    def run(self, execute: Execute) -> None:
        """Sends what is not there. Errors: LinkError, Raised."""
        execute(_HELPERS)
        wanted = [path for path in self._files if not self._whole(execute, path, path)]
        parts = {path: self._begun(execute, path) for path in wanted}
        self._check_room(parts)
        done = sum(len(data) for path, data in self._files.items() if path not in parts)
        for path, start in parts.items():
            self._send(execute, path, start, done)
            done += len(self._files[path])
        for path in wanted:
            if not self._whole(execute, path, path + ".part"):
                execute(f"os.remove({path + '.part'!r})")
                raise LinkError(
                    f"{self._port}: the board's filesystem does not keep {path} as it was sent:"
                    " deploy again, or format it"
                )
        if wanted:
            execute(f"_swap({wanted!r})")
        execute(f"_only({list(self._files)!r})")  # a .py is found before its .mpy

    def _whole(self, execute: Execute, path: str, there: str) -> bool:
        data = self._files[path]
        return _pair(execute, there) == (len(data), zlib.crc32(data))

    def _begun(self, execute: Execute, path: str) -> int:
        """Bytes of the part that an earlier attempt has left, 0 if they are no prefix."""
        size, crc = _pair(execute, path + ".part")
        data = self._files[path]
        return size if 0 < size <= len(data) and crc == zlib.crc32(data[:size]) else 0

    def _check_room(self, parts: Mapping[str, int]) -> None:
        block = self._there.block
        needed = sum(
            -(-(len(self._files[path]) - start) // block) * block for path, start in parts.items()
        )
        if needed > self._there.free and not any(parts.values()):
            raise self._full(needed)

    def _full(self, needed: int) -> LinkError:
        return LinkError(
            f"{self._port}: the board's filesystem is full: {needed:,} bytes to copy, "
            f"{self._there.free:,} free: remove files (mpremote rm), then deploy again"
        )

    def _send(self, execute: Execute, path: str, start: int, done: int) -> None:
        data = self._files[path]
        try:
            execute(f"_to({path!r}, {start})")
            for at in range(start, len(data), _CHUNK):
                part = data[at : at + _CHUNK]
                execute(f"_w({base64.b64encode(part).decode()!r})")
                self.sent += len(part)
                self._progress(done + at + len(part))
            execute("_f.close()")
        except Raised as error:
            if error.kind != "OSError":
                raise
            if error.text.startswith((_NO_SPACE, f"[Errno {_NO_SPACE}]")):
                raise self._full(len(data) - start) from error
            if error.text.startswith((_READ_ONLY, f"[Errno {_READ_ONLY}]")):
                raise LinkError(f"{self._port}: the board's filesystem is read-only") from error
            raise LinkError(f"{self._port}: {path} cannot be written: {error.text}") from error


def _pair(execute: Execute, path: str) -> tuple[int, int]:
    size, crc = ast.literal_eval(execute(f"print(_crc({path!r}))").strip())
    return size, crc


# ---- Self-test -----------------------------------------------------------------


def test(
    opener: Opener, there: Firmware, path: str, version: str, patience: float, flash: bool = False
) -> Tested:
    """Imports relume and computes the blob's known output, behind a soft reset.

    path: of the blob's file; flash: the name of a model that lies in flash.

    Errors: LinkError: another relume is in the way, too little memory, a module that does not
    load, or a wrong output.
    """
    try:
        answer = ask(opener, _TEST % ((_FLASH if flash else _FILE) % path), patience)
        heap, left, native, found, file, crc, wanted, ms = answer
    except Raised as error:
        raise LinkError(f"{opener.name}: {_why_not(error, path, there)}") from error
    if found != version or not file.startswith(there.lib):
        raise LinkError(
            f"{opener.name}: the board imports relume {found} from {file.rpartition('/')[0]}, not"
            f" {version} from {there.lib}: remove the other one"
        )
    if wanted and crc != wanted:
        raise LinkError(
            f"{opener.name}: self-test: the board computes {crc:08x}, TFLite {wanted:08x}: do not"
            " trust this board; deploy again, and report it"
        )
    return Tested(heap, left, native, crc, wanted, ms)


def _why_not(error: Raised, path: str, there: Firmware) -> str:
    if error.kind == "MemoryError":
        return (
            f"{path} is on the board, but memory is too small ({there.heap:,} bytes of heap):"
            " a file is read into RAM; relume flash puts it into flash, on an RP2040 with --model"
            " NET.rlm --stock"
        )
    if error.kind in ("ImportError", "ValueError") and "mpy" in error.text:
        return f"{there} does not load the native module: {error.text}"
    return f"self-test failed: {error.kind}: {error.text}"
