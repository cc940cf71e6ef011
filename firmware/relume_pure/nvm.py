"""Byte-writable NVM from what a board's libraries give: slices of an object, a file, bytes.

An NVM here has kind, size, read(at, n) and write(at, data); write is done when it returns.
"""

import os

from .status import BOUNDS, NVM, BlobError, BoardError, text

FRAM, FLASH, FILE = 1, 2, 3


class Bytes:
    """Anything that is read and written as object[a:b]: adafruit_fram's and Peter Hinch's FRAM,
    microcontroller.nvm, a bytearray."""

    kind = FRAM

    def __init__(self, memory, size=None):
        self.memory = memory
        self.size = len(memory) if size is None else size

    def read(self, at, n):
        """n bytes from `at` on."""
        self._inside(at, n)
        try:
            return bytes(self.memory[at:at + n])
        except (OSError, RuntimeError):
            raise BoardError(text(NVM), NVM)

    def write(self, at, data):
        """Writes all of data."""
        self._inside(at, len(data))
        if not len(data):
            return
        try:
            self.memory[at:at + len(data)] = bytes(data)
        except (OSError, RuntimeError):
            raise BoardError(text(NVM), NVM)

    def _inside(self, at, n):
        if at < 0 or n < 0 or at + n > self.size:
            raise BlobError("NVM address out of bounds", BOUNDS)


class FramI2c(Bytes):
    """FRAM on I2C, MB85RC or FM24 of at most 64 KB, in whole transfers: drivers that send each
    byte with its address take four times as long as plan --nvm fram-i2c counts.

    i2c: machine.I2C, or CircuitPython's busio.I2C.
    """

    def __init__(self, i2c, size=32768, address=0x50):
        self.i2c, self.size, self.address = i2c, size, address
        self.read(0, 1)

    def read(self, at, n):
        """n bytes from `at` on."""
        self._inside(at, n)
        data = bytearray(n)
        if n:
            self._tried(self._read, at, data)
        return bytes(data)

    def write(self, at, data):
        """Writes all of data."""
        self._inside(at, len(data))
        if len(data):
            self._tried(self._write, at, data)

    def _tried(self, call, at, data):
        locks = hasattr(self.i2c, "try_lock")
        while locks and not self.i2c.try_lock():
            pass
        try:
            call(at, data)
        except (OSError, RuntimeError):
            raise BoardError(text(NVM), NVM)
        finally:
            if locks:
                self.i2c.unlock()

    def _read(self, at, data):
        if hasattr(self.i2c, "readfrom_mem_into"):
            self.i2c.readfrom_mem_into(self.address, at, data, addrsize=16)
        else:
            self.i2c.writeto_then_readfrom(self.address, bytes((at >> 8, at & 255)), data)

    def _write(self, at, data):
        if hasattr(self.i2c, "writeto_mem"):
            self.i2c.writeto_mem(self.address, at, data, addrsize=16)
        else:
            self.i2c.writeto(self.address, bytes((at >> 8, at & 255)) + bytes(data))


class File(Bytes):
    """A file of `size` bytes, made if missing."""

    kind = FILE

    def __init__(self, path, size):
        try:
            there = os.stat(path)[6]
        except OSError:
            open(path, "wb").close()
            there = 0
        self.file = open(path, "r+b")
        self.size = size
        self.file.seek(there)
        while there < size:
            n = min(256, size - there)
            self.file.write(b"\xff" * n)
            there += n

    def read(self, at, n):
        self._inside(at, n)
        self.file.seek(at)
        return self.file.read(n)

    def write(self, at, data):
        self._inside(at, len(data))
        self.file.seek(at)
        self.file.write(data)
        self.file.flush()
        if hasattr(os, "fsync") and hasattr(self.file, "fileno"):
            os.fsync(self.file.fileno())
        elif hasattr(os, "sync"):
            os.sync()
