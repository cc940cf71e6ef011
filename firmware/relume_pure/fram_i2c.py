"""FRAM on I2C, imported when it is asked for: most boards have another NVM."""

from .nvm import Bytes
from .status import NVM, BoardError, text


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
