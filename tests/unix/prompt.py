"""A board with a Python prompt and files: the unix port, which runs what a host sends it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from relume.link.ports import PortAbsent
from relume.link.transport import Execute, Gone, Raised

from tests.unix.firmware import binary

_SERVE = r"""
import sys
while True:
    size = sys.stdin.readline()
    if not size:
        break
    source = sys.stdin.read(int(size))
    try:
        exec(source, globals())
    except BaseException as error:
        print("\x05", end="")
        sys.print_exception(error, sys.stdout)
    print("\x04", end="")
"""


class UnixBoard:
    """Opener of a prompt. cuts: after so many executed pieces, counted from the last cut, the
    power goes; `asked` counts them all. heap: bytes of the interpreter. frozen: relume is in
    the firmware."""

    name = "unix"

    def __init__(
        self, folder: Path, cuts: list[int] | None = None, heap: str = "", frozen: bool = False
    ) -> None:
        self.path = f".frozen:{folder}/lib" if frozen else f"{folder}/lib"
        self.folder, self.cuts, self.heap = folder, list(cuts or []), heap
        self.left = self.cuts.pop(0) if self.cuts else -1
        self.asked = 0
        self.process: subprocess.Popen[str] | None = None
        (folder / "lib").mkdir(parents=True, exist_ok=True)

    def open(self) -> UnixBoard:
        if self.process is None:
            self._start()
        return self

    def _start(self) -> None:
        options = ["-X", f"heapsize={self.heap}"] if self.heap else []
        self.process = subprocess.Popen(
            [str(binary()), *options, "-c", _SERVE],
            cwd=self.folder,
            env={**os.environ, "MICROPYPATH": self.path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def off(self) -> None:
        """No power, or the end of a test."""
        if self.process is None:
            return
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self.process.wait()
        self.process = None

    @contextlib.contextmanager
    def python(self, reset: bool, patience: float) -> Iterator[Execute]:
        if reset:
            self.off()
        self.open()
        yield self._execute

    def _execute(self, source: str) -> str:
        if self.left == 0:
            self.off()
            self.left = self.cuts.pop(0) if self.cuts else -1
            raise Gone("unix: cut")
        self.left -= 1
        self.asked += 1
        if self.process is None:
            raise PortAbsent("unix: off")
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{len(source)}\n{source}")
        self.process.stdin.flush()
        text = ""
        while not text.endswith("\x04"):
            piece = self.process.stdout.read(1)
            assert piece, f"the board stopped in {source!r}"
            text += piece
        out, raised, trace = text[:-1].partition("\x05")
        if raised:
            raise Raised(self.name, trace)
        return out

    def leave_repl(self) -> None:
        pass

    def close(self) -> None:
        pass
