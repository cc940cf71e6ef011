"""FRAM chips on an SPI, and calls of a driver through its rl_nvm."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from tests import native
from tests.powercut.session import Nvm

_SELECT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
_TRANSFER = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32
)


_START = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
_ASK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class _Spi(ctypes.Structure):
    _fields_ = (
        ("ctx", ctypes.c_void_p), ("select", _SELECT), ("transfer", _TRANSFER),
        ("start", _START), ("busy", _ASK), ("finish", _ASK),
    )  # fmt: skip


class Chip:
    """An MB85RS/FM25/CY15 chip, as its datasheet tells. transactions: bytes from select on."""

    def __init__(self, size: int, status: int = 0, writable: int = 0x8C) -> None:
        self.size = size
        self.status, self.writable = status, writable
        self.data = bytearray(size)
        self.enabled = False
        self.frame: list[int] | None = None
        self.transactions: list[bytes] = []
        self.fault: Exception | None = None  # what a call from C raised; ctypes drops it
        self._functions = (
            _SELECT(self._guard(self._select)), _TRANSFER(self._guard(self._transfer)),
        )  # fmt: skip
        self.spi = _Spi(None, *self._functions)

    def _guard(self, call: Callable[..., int | None]) -> Callable[..., int | None]:
        def guarded(*arguments: int) -> int | None:
            try:
                return call(*arguments)
            except Exception as error:
                self.fault = error
                return 0

        return guarded

    def _select(self, ctx: int, on: int) -> None:
        if on:
            assert self.frame is None, "selected twice"
            self.frame = []
            return
        assert self.frame
        self.transactions.append(bytes(self.frame))
        opcode = self.frame[0]
        if opcode in (0x06, 0x04):
            self.enabled = opcode == 0x06
        elif opcode in (0x01, 0x02):
            if opcode == 0x01 and self.enabled:
                self.status = self.status & ~self.writable | self.frame[1] & self.writable
            self.enabled = False
        self.frame = None

    def _transfer(self, ctx: int, tx: int | None, rx: int | None, n: int) -> None:
        assert self.frame is not None, "clocked without chip select"
        sent = ctypes.string_at(tx, n) if tx else bytes(n)
        back = bytes(self.answer(byte) for byte in sent)
        if rx:
            ctypes.memmove(rx, back, n)

    def answer(self, byte: int) -> int:
        """What the chip clocks out while it takes the byte."""
        assert self.frame is not None
        self.frame.append(byte)
        opcode, count = self.frame[0], len(self.frame)
        if opcode == 0x05 and count > 1:
            return self.status & ~2 | 2 * self.enabled
        width = 2 if self.size <= 65536 else 3
        if opcode not in (0x02, 0x03) or count <= 1 + width:
            return 0xFF
        start = int.from_bytes(bytes(self.frame[1 : 1 + width]), "big")
        at = (start + count - 2 - width) % self.size
        if opcode == 0x02 and self.enabled and not self.status & 0x0C:
            self.data[at] = byte
        return self.data[at] if opcode == 0x03 else 0xFF


class Dead(Chip):
    """No chip: the line is held or floats."""

    level = 0

    def answer(self, byte: int) -> int:
        assert self.frame is not None
        self.frame.append(byte)
        return self.level


class Behind(Chip):
    """A chip on an SPI that sends in the background: a byte each time somebody asks."""

    refuses = fails = False

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.left = range(0)  # addresses of the bytes not yet sent
        more = (
            _START(self._guard(self._start)), _ASK(self._guard(self._busy)),
            _ASK(self._guard(self._finish)),
        )  # fmt: skip
        self._functions += more
        self.spi = _Spi(None, *self._functions)

    def _start(self, ctx: int, tx: int, n: int) -> int:
        assert self.frame and not self.left, "not selected, or another one goes on"
        if not self.refuses:
            self.left = range(tx, tx + n)
        return not self.refuses

    def _busy(self, ctx: int) -> int:
        if self.left:
            self.answer(ctypes.string_at(self.left[0], 1)[0])
            self.left = self.left[1:]
        return bool(self.left)

    def _finish(self, ctx: int) -> int:
        while self._busy(ctx):
            pass
        return not self.fails

    def _transfer(self, ctx: int, tx: int | None, rx: int | None, n: int) -> None:
        assert not self.left, "clocked into a write that goes on"
        super()._transfer(ctx, tx, rx, n)

    def _select(self, ctx: int, on: int) -> None:
        assert not self.left, "deselected in the middle of a write"
        super()._select(ctx, on)


class Access:
    """Calls through an rl_nvm."""

    chip: Chip | None = None

    def __init__(self) -> None:
        self.nvm = Nvm()

    def _check(self, status: int) -> int:
        if self.chip is not None and self.chip.fault is not None:
            raise self.chip.fault
        return status

    def read(self, at: int, n: int) -> tuple[int, bytes]:
        """(status, bytes)"""
        buffer = ctypes.create_string_buffer(b"\x77" * n, n)
        address = ctypes.addressof(buffer)
        status = int(self.nvm.read(ctypes.addressof(self.nvm), at, address, n))
        return self._check(status), buffer.raw

    def write(self, at: int, data: bytes) -> int:
        """Status."""
        buffer = ctypes.create_string_buffer(data, len(data))
        address = ctypes.addressof(buffer)
        status = int(self.nvm.write(ctypes.addressof(self.nvm), at, address, len(data)))
        return self._check(status)

    def start(self, at: int, data: ctypes.Array[ctypes.c_char]) -> int:
        """Status."""
        nvm = ctypes.addressof(self.nvm)
        return self._check(int(self.nvm.start(nvm, at, ctypes.addressof(data), len(data))))

    def busy(self) -> int:
        """1 while a write goes on."""
        return self._check(int(self.nvm.busy(ctypes.addressof(self.nvm))))

    def finish(self) -> int:
        """Status."""
        return self._check(int(self.nvm.finish(ctypes.addressof(self.nvm))))


class Driver(Access):
    """nvm_fram.c on a chip."""

    chip: Chip

    def __init__(self, chip: Chip, size: int | None = None) -> None:
        super().__init__()
        self.chip = chip
        self.fram = (ctypes.c_uint8 * 64)()
        self.status = int(
            native.librelume().rl_fram_init(
                self.fram, ctypes.byref(chip.spi),
                ctypes.c_uint32(chip.size if size is None else size), ctypes.byref(self.nvm),
            )
        )  # fmt: skip
        self._check(self.status)
        chip.transactions.clear()
