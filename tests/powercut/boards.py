"""Boards with a tiny model in the states that the store and session tests start from."""

from __future__ import annotations

import ctypes

from tests.powercut import session as rl
from tests.powercut.plans import random_blob
from tests.powercut.session import FLASH, RL_OK, Board, Memory

BLOB = random_blob(0, nvm="fram")
OTHER = random_blob(1, nvm="fram")
FLASH_BLOB = random_blob(0, nvm="flash")
SECTORS = 6


def memory(kind: int) -> Memory:
    """A new NVM of a kind."""
    return Memory(SECTORS * 4096 if kind == FLASH else 1024, kind)


def board(kind: int, of: Memory | None = None) -> Board:
    """A board on a new NVM, or on one that was used."""
    return Board(of or memory(kind), FLASH_BLOB if kind == FLASH else BLOB)


def input_of(b: Board) -> bytes:
    """Some input of the right size."""
    return bytes(range(b.checked.header.tensor(b.checked.blob, b.checked.header.input)[1]))


def started(kind: int) -> Board:
    """A board with inference 5 committed."""
    b = board(kind)
    assert b.open() == RL_OK
    assert b.begin(5, input_of(b)) == RL_OK
    return b


def finished(kind: int) -> Board:
    """A board with the output of inference 5."""
    b = started(kind)
    while b.step() != rl.RL_DONE:
        pass
    return b


def store_call(b: Board, name: str, *arguments: object) -> int:
    """A function of store.h."""
    status = int(getattr(b.librelume, f"rl_store_{name}")(ctypes.byref(b.store), *arguments))
    b.memory.check()
    return status
