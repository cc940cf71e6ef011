"""Byte-writable NVM from what a board's libraries give: slices of an object.

An NVM here has kind, size, read(at, n) and write(at, data); write is done when it returns.
"""

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
