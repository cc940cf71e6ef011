"""A fresh virtual board for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unix.firmware import Board, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Flash and NVM as they leave the factory."""
    return Machine(tmp_path)


@pytest.fixture
def board(machine: Machine) -> Iterator[Board]:
    """The machine turned on, serving its link."""
    running = Board.boot(machine)
    yield running
    if running.process.poll() is None:
        running.cut()
