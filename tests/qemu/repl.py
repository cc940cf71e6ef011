"""MicroPython on a Cortex-M or RISC-V of QEMU, without relume: its raw REPL, and files."""

from __future__ import annotations

import base64
import os
import select
import shutil
import subprocess
import time
from types import TracebackType

import pytest

from tests.native import ROOT

IMAGES = ROOT / "build" / "firmware" / "qemu"
ARM, RISCV = "qemu-system-arm", "qemu-system-riscv32"
MACHINES = {
    "CORTEX_M0": (
        "microbit", "-global", "nrf51-soc.flash-size=1048576",
        "-global", "nrf51-soc.sram-size=2097152",
    ),
    "CORTEX_M3": ("mps2-an385",), "CORTEX_M4": ("mps2-an386",), "CORTEX_M7": ("mps2-an500",),
    "RISCV32": ("virt", "-cpu", "rv32,a=false,f=false,d=false", "-bios", "none"),
}  # fmt: skip
PATIENCE_S = 60
PIECE = 12000

# A file system of what the host has sent, for the port has none that can be written.
FILES = """
import binascii, io, os, sys
D = {}
class File(io.IOBase):
    def __init__(self, data):
        self.data, self.at = data, 0
    def readinto(self, buffer):
        n = min(len(buffer), len(self.data) - self.at)
        buffer[:n] = self.data[self.at:self.at + n]
        self.at += n
        return n
    def ioctl(self, request, arg):
        return 0
class Files:
    def mount(self, readonly, mkfs):
        pass
    def umount(self):
        pass
    def open(self, path, mode):
        return File(D[path.strip('/')])
    def stat(self, path):
        path = path.strip('/')
        if path in D:
            return (0x8000,) + (0,) * 9
        if any(one.startswith(path + '/') for one in D):
            return (0x4000,) + (0,) * 9
        raise OSError(2)
os.mount(Files(), '/f')
sys.path.append('/f')
"""


class Failed(AssertionError):
    """What a piece of code printed as it failed."""


class Micropython:
    """A running machine. Skips, by name, without its image or the emulator."""

    def __init__(self, board: str) -> None:
        image = IMAGES / board / "firmware.elf"
        if not image.is_file():
            pytest.skip(f"{image.relative_to(ROOT)} is not built (make qemu)")
        emulator = RISCV if board == "RISCV32" else ARM
        if shutil.which(emulator) is None:
            pytest.skip(f"{emulator} is not installed (make qemu)")
        # Without -icount the port's busy loop keeps QEMU from its pipes.
        command = [
            emulator, "-machine", *MACHINES[board], "-display", "none", "-monitor", "none",
            "-semihosting", "-serial", "stdio", "-icount", "shift=0,sleep=off", "-kernel",
            str(image),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._heard = b""

    def __enter__(self) -> Micropython:
        self._until(b">>> ")
        self._send(b"\x01")
        self._until(b"raw REPL; CTRL-B to exit\r\n>")
        self.run(FILES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, code: str) -> str:
        """What the code prints. Errors: Failed with what it raised."""
        self._send(code.encode() + b"\x04")
        self._until(b"OK")
        printed = self._until(b"\x04")
        raised = self._until(b"\x04>")
        if raised:
            raise Failed(raised.decode())
        return printed.decode()

    def put(self, path: str, data: bytes) -> None:
        """A file of its own, in memory."""
        name = f"D[{path!r}]"
        self.run(f"import gc; gc.collect(); d = bytearray({len(data)})")
        for at in range(0, len(data), PIECE):
            piece = base64.b64encode(data[at : at + PIECE]).decode()
            self.run(f"p = binascii.a2b_base64({piece!r}); d[{at}:{at} + len(p)] = p")
        self.run(f"{name} = d; d = p = None")

    def drop(self, path: str) -> None:
        """Takes the file out of memory."""
        self.run(f"del D[{path!r}]; import gc; gc.collect()")

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _until(self, end: bytes) -> bytes:
        """What comes before `end`."""
        assert self._process.stdout is not None
        stream, limit = self._process.stdout.fileno(), time.monotonic() + PATIENCE_S
        while end not in self._heard:
            left = limit - time.monotonic()
            ready = select.select([stream], [], [], max(0.0, left))[0]
            data = os.read(stream, 65536) if ready else b""
            if not data:
                raise Failed(f"no {end!r} came: {self._heard[-300:]!r}")
            self._heard += data
        found, _, self._heard = self._heard.partition(end)
        return found


def package(architecture: str) -> dict[str, bytes]:
    """What an installation copies to a board: the native module, and of the Python part what is
    loaded beside it."""
    natmod = ROOT / "build" / "natmod"
    module = natmod / f"{architecture}_6.3" / "_relume_native.mpy"
    bytecode = [
        path for path in sorted((natmod / "bytecode" / "relume_pure").glob("*.mpy"))
        if path.stem not in ("fixed", "kernels", "moves", "selftest")
    ]  # fmt: skip
    if not module.is_file() or not bytecode:
        pytest.skip("the native modules are not built (make natmod)")
    return {
        "_relume_native.mpy": module.read_bytes(),
        **{f"relume_pure/{path.name}": path.read_bytes() for path in bytecode},
    }


