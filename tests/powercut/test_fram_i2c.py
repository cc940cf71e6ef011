"""nvm_fram_i2c.c on a modelled chip: transfers, addresses, what it refuses, power cuts."""

from __future__ import annotations

import ctypes
import random

import pytest

from tests import native
from tests.powercut import session as rl
from tests.powercut.chips import Access
from tests.powercut.plans import random_blob
from tests.powercut.session import FRAM, RL_OK, Board, Memory

_TRANSFER = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_void_p,
    ctypes.c_uint32,
)  # fmt: skip


class _I2c(ctypes.Structure):
    _fields_ = (("ctx", ctypes.c_void_p), ("write", _TRANSFER), ("read", _TRANSFER))


class Chip:
    """An MB85RC or FM24V chip at 0x50, as its datasheet tells. left: bytes until the power goes,
    None: it stays; silent: nothing is acknowledged."""

    def __init__(self, size: int, device: int = 0x50) -> None:
        self.size, self.device = size, device
        self.data = bytearray(size)
        self.transfers: list[tuple[str, int, int, int]] = []
        self.left: int | None = None
        self.silent = False
        self._calls = (_TRANSFER(self._write), _TRANSFER(self._read))
        self.i2c = _I2c(None, *self._calls)

    def _answers(self, device: int) -> bool:
        banks = max(1, self.size >> 16)
        return not self.silent and 0 <= device - self.device < banks

    def _byte(self) -> bool:
        if self.left is None:
            return True
        self.left = max(0, self.left - 1)
        self.silent = self.left == 0
        return not self.silent

    def _write(self, ctx: int, device: int, at: int, data: int, n: int) -> int:
        self.transfers.append(("write", device, at, n))
        for i, byte in enumerate(ctypes.string_at(data, n)):
            if not self._answers(device) or not self._byte():
                return 0
            self.data[((device - self.device << 16) + at + i) % self.size] = byte
        return 1

    def _read(self, ctx: int, device: int, at: int, data: int, n: int) -> int:
        self.transfers.append(("read", device, at, n))
        if not self._answers(device):
            return 0
        start = (device - self.device << 16) + at
        ctypes.memmove(data, bytes(self.data[(start + i) % self.size] for i in range(n)), n)
        return 1


class Driver(Access):
    """nvm_fram_i2c.c on a chip."""

    def __init__(self, wire: Chip, size: int | None = None, device: int = 0x50) -> None:
        super().__init__()
        self.wire = wire
        self.fram = (ctypes.c_uint8 * 64)()
        self.status = int(
            native.librelume().rl_fram_i2c_init(
                self.fram, ctypes.byref(wire.i2c), ctypes.c_uint8(device),
                ctypes.c_uint32(wire.size if size is None else size), ctypes.byref(self.nvm),
            )
        )  # fmt: skip
        wire.transfers.clear()


@pytest.mark.parametrize("size", [8192, 32768, 65536, 131072])
def test_every_byte_has_one_address(size: int) -> None:
    driver = Driver(Chip(size))
    assert (driver.status, driver.nvm.kind, driver.nvm.size) == (RL_OK, FRAM, size)
    data = random.Random(size).randbytes(size)
    assert driver.write(0, data) == RL_OK and driver.wire.data == data
    assert driver.read(0, size) == (RL_OK, data)
    assert driver.read(size - 5, 5) == (RL_OK, data[-5:])


def test_no_transfer_crosses_from_bank_to_bank() -> None:
    driver = Driver(Chip(131072))
    assert driver.write(65530, b"0123456789") == RL_OK
    assert driver.wire.transfers == [("write", 0x50, 65530, 6), ("write", 0x51, 0, 4)]
    assert driver.read(65530, 10) == (RL_OK, b"0123456789")
    assert driver.wire.transfers[2:] == [("read", 0x50, 65530, 6), ("read", 0x51, 0, 4)]


def test_a_chip_that_does_not_answer_is_found() -> None:
    for size in (32768, 131072):
        nobody = Chip(size)
        nobody.silent = True
        assert Driver(nobody).status == rl.RL_E_NVM
    assert Driver(Chip(32768, 0x51)).status == rl.RL_E_NVM, "at another address"
    assert Driver(Chip(65536), 131072).status == rl.RL_E_NVM, "half as large"


@pytest.mark.parametrize(
    ("size", "device"),
    [(0, 0x50), (131073, 0x50), (0xFFFFFFFF, 0x50), (256, 0x4F), (256, 0x58), (131072, 0x51)],
)
def test_what_no_chip_has_is_refused(size: int, device: int) -> None:
    wire = Chip(32768)
    assert Driver(wire, size, device).status == rl.RL_E_ARG


def test_nothing_is_read_or_written_outside_the_chip() -> None:
    driver = Driver(Chip(8192))
    for at, n in ((8192, 1), (8191, 2), (0xFFFFFFFF, 2), (1, 8192)):
        assert driver.read(at, n)[0] == driver.write(at, bytes(n)) == rl.RL_E_NVM
    assert driver.nvm.erase(ctypes.addressof(driver.nvm), 0) == rl.RL_E_NVM
    assert driver.write(8192, b"") == driver.read(8192, 0)[0] == RL_OK
    assert driver.wire.transfers == []
    assert not driver.nvm.start and not driver.nvm.busy and not driver.nvm.finish


def test_a_byte_that_is_not_acknowledged_is_an_error_and_a_prefix_is_there() -> None:
    driver = Driver(Chip(8192))
    driver.wire.left = 4
    assert driver.write(100, b"abcdef") == rl.RL_E_NVM
    assert driver.wire.data[99:104] == b"\0abc\0"
    assert driver.read(100, 1)[0] == rl.RL_E_NVM


@pytest.mark.parametrize("seed", range(4))
def test_an_inference_goes_on_after_a_cut_at_any_byte(seed: int) -> None:
    """Lives of a few hundred bytes: each ends in the middle of a transfer."""
    blob, wire = random_blob(seed), Chip(8192)
    cuts = random.Random(seed)

    def life() -> Board:
        driver = Driver(wire)
        assert driver.status == RL_OK
        memory = Memory(8192)
        memory.nvm, memory.keep = driver.nvm, driver  # type: ignore[attr-defined]
        return Board(memory, blob)

    board = life()
    assert board.open() == RL_OK
    size = board.checked.header.tensor(blob, board.checked.header.input)[1]
    data = bytes(i * 7 & 255 for i in range(size))
    assert board.begin(1, data) == RL_OK
    lives, status = 1, rl.RL_MORE
    while status != rl.RL_DONE:
        wire.silent, wire.left = False, cuts.randint(1, 200 + 40 * lives)
        board, lives = life(), lives + 1
        status = board.open()
        while status in (RL_OK, rl.RL_MORE):
            status = board.step()
        assert status in (rl.RL_DONE, rl.RL_E_NVM) and lives < 200
    assert lives > 3
    wire.silent, wire.left = False, None
    board = life()
    assert board.open() == RL_OK
    assert board.output() == board.checked.run(data)[board.checked.header.output]
