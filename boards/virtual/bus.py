"""What chips and controllers have in common on a byte-wide bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Wait = Callable[[float], None]
"""Moves emulated time on to that instant in nanoseconds, or to the next alarm before it."""

FLOATING = 0xFF
"""What a data line with nobody on it reads."""


class SpiDevice(Protocol):
    """A chip on an SPI bus, seen byte by byte."""

    def select(self) -> None: ...
    def exchange(self, value: int) -> int: ...
    def deselect(self) -> None: ...


class I2cDevice(Protocol):
    """A chip on an I2C bus, seen byte by byte. holds: it keeps SDA down until it is clocked."""

    holds: int

    def start(self, address: int, read: bool) -> bool: ...
    def write(self, value: int) -> bool: ...
    def read(self) -> int: ...
    def stop(self) -> None: ...
    def clock(self) -> None: ...
