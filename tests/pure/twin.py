"""The Python engine of firmware/relume_pure, under CPython."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.kernels import netgen, oracle

FOLDER = Path(__file__).resolve().parent.parent.parent / "firmware"


@functools.cache
def engine() -> ModuleType:
    """Package relume_pure."""
    sys.path.insert(0, str(FOLDER))
    try:
        import relume_pure
    finally:
        sys.path.remove(str(FOLDER))
    return relume_pure


def turned_on() -> None:
    """Forgets, as a turn-on does, that a session was opened."""
    engine().session._opened.clear()


@functools.cache
def net(seed: int) -> tuple[bytes, oracle.Packed, bytes]:
    """(model, blob of portable kernels with random tiles, input)."""
    model = netgen.random_net(seed)
    packed = oracle.packed(model, seed)
    return model, packed, oracle.random_input(packed.input_size, seed)


class PowerCut(Exception):
    """The supply is gone."""


class Memory:
    """FRAM of a bytearray whose power fails after a number of written bytes."""

    def __init__(self, size: int, fill: int = 0xFF) -> None:
        self.data = bytearray([fill]) * size
        self.left: int | None = None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, part: slice) -> bytes:
        return bytes(self.data[part])

    def __setitem__(self, part: slice, value: bytes) -> None:
        n = len(value)
        if self.left is not None:
            n = min(n, self.left)
            self.left -= n
        self.data[part.start : part.start + n] = value[:n]
        if n < len(value):
            raise PowerCut


def session(blob: bytes, memory: Any) -> Any:
    """An opened session behind a turn-on."""
    pure = engine()
    turned_on()
    made = pure.Session(blob, memory)
    made.open()
    return made
