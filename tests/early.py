"""The board before the interpreter (early.c) through ctypes: one turn-on, its host a script."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from relume.link.frames import Decoder, Frame

from tests import native

E_NVM = -9
LOOK_MS = 100  # between looks while nothing runs
REST_CYCLES = 8788


class Nvm(ctypes.Structure):
    """rl_nvm (nvm.h)."""


READ = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(Nvm), ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32
)
ERASE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Nvm), ctypes.c_uint32)
Nvm._fields_ = [
    ("kind", ctypes.c_uint8), ("size", ctypes.c_uint32), ("ctx", ctypes.c_void_p),
    ("read", READ), ("write", READ), ("erase", ERASE),
    ("start", ctypes.c_void_p), ("busy", ctypes.c_void_p), ("finish", ctypes.c_void_p),
]  # fmt: skip

_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.POINTER(Nvm))
)
_U64 = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)
_U32 = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
_TAKE_BYTE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8))
_SEND = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_uint32, ctypes.c_int
)
_REST = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)


class _Board(ctypes.Structure):
    _fields_ = (
        ("ctx", ctypes.c_void_p), ("memory", ctypes.c_void_p), ("room", ctypes.c_uint32),
        ("blobs_size", ctypes.c_uint32), ("board", ctypes.c_char_p), ("version", ctypes.c_char_p),
        ("nvm", _OPEN), ("cycles", _U64), ("micros", _U32), ("millivolts", _U32),
        ("receive", _TAKE_BYTE), ("send", _SEND), ("rest", _REST),
        ("rest_cycles", ctypes.c_uint32), ("start_us", ctypes.c_uint32),
        ("crc", ctypes.c_void_p),
        ("fetch", ctypes.c_void_p * 2),
    )  # fmt: skip


def turn_on(
    blobs: ctypes.Structure,
    image: Any,
    nvm_of: Callable[[int], Nvm | None],
    script: Iterator[bytes],
    frames: list[Frame],
    *,
    room: int,
    millivolts: Callable[[], int],
    start_us: int,
    waits: int,
    at_once: bytes = b"",
    later: Iterator[bytes] | None = None,
    micros: Callable[[], int] = lambda: 0,
    asleep: Callable[[int], None] = lambda ms: None,
) -> int:
    """What rl_early() ends with; what the board says is added to `frames`.

    blobs, image: the region of the slots. nvm_of: by kind; None: it does not answer. script: what
    comes whenever the board waits with nothing running; after `waits` turns of silence Ctrl-C.
    at_once: there before anything runs. later: what comes before each step from the second on.
    room: bytes of memory. start_us: what the interpreter's start takes.
    asleep: told of each sleep's milliseconds.
    """
    library = native.librelume()
    memory = ctypes.create_string_buffer(room + 8)
    start = ctypes.c_void_p((ctypes.addressof(memory) + 7) & ~7)
    models = ctypes.create_string_buffer(64)
    assert library.rl_early_find(ctypes.byref(blobs), image, start, room, models) == 0
    pending = deque(at_once)
    decoder = Decoder()
    left = waits

    def opened(_ctx: Any, kind: int, at: Any) -> int:
        nvm = nvm_of(kind)
        if nvm is None:
            return E_NVM
        at[0] = ctypes.pointer(nvm)
        return 0

    def receive(_ctx: Any, byte: Any) -> int:
        if not pending:
            pending.extend(next(later, b"") if later else b"")
            return 0
        byte[0] = pending.popleft()
        return 1

    def send(_ctx: Any, wire: Any, n: int, _brief: int) -> None:
        frames.extend(decoder.feed(bytes(wire[:n])))

    def rest(_ctx: Any, ms: int) -> None:
        nonlocal left
        asleep(ms)
        if ms != LOOK_MS:
            return  # behind a commit: an inference runs
        data = next(script, None)
        if data is None:
            left -= 1
            data = b"" if left else b"\x03"
        pending.extend(data)

    board = _Board(
        memory=start, room=room, blobs_size=1 << 20, board=b"BENCH", version=b"9.9",
        nvm=_OPEN(opened), cycles=_U64(lambda _c: 0), micros=_U32(lambda _c: micros()),
        millivolts=_U32(lambda _c: millivolts()), receive=_TAKE_BYTE(receive), send=_SEND(send),
        rest=_REST(rest), rest_cycles=REST_CYCLES, start_us=start_us,
    )  # fmt: skip
    return int(library.rl_early(ctypes.byref(board), models))
