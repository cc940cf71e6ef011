"""relume_pure.FramI2c over machine.I2C and over CircuitPython's busio.I2C."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pure.twin import engine, session
from tests.unix.nets import planned


class Chip:
    """32 KB at 0x50; silent: nobody acknowledges."""

    def __init__(self) -> None:
        self.data = bytearray(32768)
        self.transfers = 0
        self.silent = False

    def moved(self, device: int) -> None:
        """A transfer, or OSError."""
        self.transfers += 1
        if self.silent or device != 0x50:
            raise OSError(5, "EIO")


class MicroPython(Chip):
    """machine.I2C."""

    def readfrom_mem_into(self, device: int, at: int, data: bytearray, *, addrsize: int) -> None:
        assert addrsize == 16
        self.moved(device)
        data[:] = self.data[at : at + len(data)]

    def writeto_mem(self, device: int, at: int, data: bytes, *, addrsize: int) -> None:
        assert addrsize == 16
        self.moved(device)
        self.data[at : at + len(data)] = data


class CircuitPython(Chip):
    """busio.I2C: only who holds its lock may use it."""

    locked = False

    def try_lock(self) -> bool:
        self.locked, before = True, self.locked
        return not before

    def unlock(self) -> None:
        self.locked = False

    def writeto(self, device: int, data: bytes) -> None:
        assert self.locked
        self.moved(device)
        at = int.from_bytes(data[:2], "big")
        self.data[at : at + len(data) - 2] = data[2:]

    def writeto_then_readfrom(self, device: int, out: bytes, data: bytearray) -> None:
        assert self.locked
        self.moved(device)
        at = int.from_bytes(out, "big")
        data[:] = self.data[at : at + len(data)]


@pytest.mark.parametrize("bus", [MicroPython, CircuitPython])
def test_an_inference_goes_on_from_it_and_each_access_is_one_transfer(bus: Any) -> None:
    net, chip, pure = planned(4, "fram-i2c", core="portable"), bus(), engine()
    run = session(net.blob, pure.FramI2c(chip))
    run.begin(1, net.input)
    run.step()
    before, fram = chip.transfers, pure.FramI2c(chip)
    fram.write(30_000, bytes(range(200)))
    assert fram.read(30_000, 200) == bytes(range(200)) and chip.transfers == before + 3
    run = session(net.blob, fram)
    while run.step() != pure.DONE:
        pass
    assert run.output() == net.output


@pytest.mark.parametrize("bus", [MicroPython, CircuitPython])
def test_a_chip_that_does_not_answer_is_one_line_and_the_bus_is_free(bus: Any) -> None:
    pure, chip = engine(), bus()
    with pytest.raises(pure.BoardError, match="NVM does not answer"):
        pure.FramI2c(chip, address=0x51)
    fram = pure.FramI2c(chip)
    chip.silent = True
    with pytest.raises(pure.BoardError, match="NVM does not answer"):
        fram.write(0, b"x")
    assert not getattr(chip, "locked", False)
    with pytest.raises(pure.BlobError, match="out of bounds"):
        fram.read(32768, 1)
