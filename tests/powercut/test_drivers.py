"""The drivers of real memories: the SPI FRAM command set, and a file."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

import pytest

from tests import native
from tests.powercut import session as rl
from tests.powercut.chips import Access, Chip, Dead, Driver
from tests.powercut.plans import random_blob
from tests.powercut.session import FILE, FRAM, RL_OK, Board, Memory


@pytest.mark.parametrize("size", [8192, 65536, 131072, 262144])
def test_address_width_follows_the_size(size: int) -> None:
    driver = Driver(Chip(size))
    assert driver.status == RL_OK
    assert (driver.nvm.kind, driver.nvm.size) == (FRAM, size)
    at = size - 3
    assert driver.write(at, b"abc") == RL_OK
    width = 2 if size <= 65536 else 3
    address = at.to_bytes(width, "big")
    assert driver.chip.transactions == [b"\x06", b"\x02" + address + b"abc"]
    assert driver.read(at, 3) == (RL_OK, b"abc")
    assert driver.chip.transactions[-1] == b"\x03" + address + bytes(3)


def test_every_write_is_enabled_on_its_own() -> None:
    driver = Driver(Chip(8192))
    for at in (0, 100, 200):
        assert driver.write(at, b"x") == RL_OK
    assert [t[0] for t in driver.chip.transactions] == [6, 2, 6, 2, 6, 2]
    assert not driver.chip.enabled


@pytest.mark.parametrize("level", [0x00, 0xFF, 0x02])
def test_a_missing_chip_is_found(level: int) -> None:
    chip = Dead(8192)
    chip.level = level
    assert Driver(chip).status == rl.RL_E_NVM


def test_block_protection_is_taken_off() -> None:
    chip = Chip(8192, status=0x8C)
    driver = Driver(chip)
    assert (driver.status, chip.status) == (RL_OK, 0)
    assert driver.write(0, b"x") == RL_OK and chip.data[0] == ord("x")


def test_block_protection_that_stays_is_an_error() -> None:
    assert Driver(Chip(8192, status=0x04, writable=0)).status == rl.RL_E_NVM


@pytest.mark.parametrize("size", [0, (1 << 24) + 1, 0xFFFFFFFF])
def test_a_size_that_cannot_be_addressed_is_refused(size: int) -> None:
    assert Driver(Chip(8192), size).status == rl.RL_E_ARG


def test_nothing_is_read_or_written_outside_the_chip() -> None:
    driver = Driver(Chip(8192))
    for at, n in ((8192, 1), (8191, 2), (0xFFFFFFFF, 2), (1, 8192)):
        assert driver.read(at, n)[0] == driver.write(at, bytes(n)) == rl.RL_E_NVM
    assert driver.nvm.erase(ctypes.addressof(driver.nvm), 0) == rl.RL_E_NVM
    assert driver.chip.transactions == []
    assert driver.write(8192, b"") == driver.read(8192, 0)[0] == RL_OK
    assert driver.chip.transactions == []


class OnFile(Access):
    """nvm_file.c on a path."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        self.librelume = ctypes.CDLL(str(native.build() / "librelume.so"), use_errno=True)
        self.file = ctypes.c_int(-1)
        name = str(path).encode()
        self.status = int(
            self.librelume.rl_file_open(
                ctypes.byref(self.file), name, ctypes.c_uint32(size), ctypes.byref(self.nvm)
            )
        )
        self.errno = ctypes.get_errno()

    def close(self) -> None:
        """rl_file_close()."""
        self.librelume.rl_file_close(ctypes.byref(self.file))


def test_a_file_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "nvm"
    first = OnFile(path, 4096)
    assert (first.status, first.nvm.kind, first.nvm.size) == (RL_OK, FILE, 4096)
    assert first.read(0, 4096) == (RL_OK, bytes(4096))
    assert first.write(4000, b"kept") == RL_OK
    first.close()
    first.close()
    assert first.read(0, 1)[0] == first.write(0, b"x") == rl.RL_E_NVM
    second = OnFile(path, 4096)
    assert second.read(4000, 4) == (RL_OK, b"kept")
    for at, n in ((4096, 1), (4095, 2), (0xFFFFFFFF, 2)):
        assert second.read(at, n)[0] == second.write(at, bytes(n)) == rl.RL_E_NVM
    assert second.nvm.erase(ctypes.addressof(second.nvm), 0) == rl.RL_E_NVM
    path.write_bytes(b"")
    assert second.read(0, 1)[0] == rl.RL_E_NVM, "the file was cut short"
    second.close()


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nvm"
    path.write_bytes(bytes(100))
    refused = OnFile(path, 4096)
    assert (refused.status, refused.file.value) == (rl.RL_E_NVM_SIZE, -1)
    assert path.stat().st_size == 100


def test_a_file_that_cannot_be_opened_or_is_none_is_refused(tmp_path: Path) -> None:
    refused = OnFile(tmp_path / "no" / "nvm", 4096)
    assert (refused.status, refused.errno) == (rl.RL_E_NVM, errno.ENOENT)
    assert OnFile(Path("/dev/null"), 4096).status == rl.RL_E_NVM


def test_an_inference_goes_on_in_the_file(tmp_path: Path) -> None:
    blob = random_blob(0, nvm="file")

    def life() -> Board:
        nvm = OnFile(tmp_path / "nvm", 1024)
        assert nvm.status == RL_OK
        memory = Memory(1024, FILE)
        memory.nvm, memory.keep = nvm.nvm, nvm  # type: ignore[attr-defined]
        board = Board(memory, blob)
        assert board.open() == RL_OK
        return board

    board = life()
    size = board.checked.header.tensor(blob, board.checked.header.input)[1]
    data = bytes(range(size))
    assert board.begin(1, data) == RL_OK
    boots = 1
    while (board := life()).step() == rl.RL_MORE:
        boots += 1
    assert boots > 3
    assert board.output() == board.checked.run(data)[board.checked.header.output]
    assert board.record.brownouts == boots
