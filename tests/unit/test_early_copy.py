"""The model's metadata in SRAM before the interpreter: a copy that is checked, never trusted, and
given back where an inference needs the memory.

SECURITY B5.
"""

from __future__ import annotations

import bisect
import ctypes
import struct
from collections.abc import Callable
from typing import Any

import pytest
from relume.link.messages import Kind

from tests import native
from tests.early import READ, Nvm
from tests.unit.plan_nets import RandomNet
from tests.unit.test_early_link import LEFT, ROOM, SLOT_DATA, Bench, _whole

OK = 0
META_SIZE = SLOT_DATA + 12  # of the image: its field in the blob's header


def bench() -> Bench:
    """Of a net that needs more memory than its metadata takes."""
    return Bench(RandomNet(13).graph(4))


def meta_size(of: Bench) -> int:
    return int(struct.unpack_from("<I", of.image, META_SIZE)[0])


def found(
    of: Bench, room: int = ROOM, spoil: Callable[[bytearray], None] = lambda data: None,
    status: int = OK,
) -> tuple[int, int, list[tuple[int, int]]]:  # fmt: skip
    """rl_early_find's status, the bytes kept, and (offset, bytes) of what it reads."""
    asked: list[tuple[int, int]] = []

    def read(_nvm: Any, at: int, data: int, n: int) -> int:
        asked.append((at, n))
        copy = bytearray(of.image.raw[at : at + n])
        spoil(copy)
        ctypes.memmove(data, bytes(copy), n)
        return status

    blobs = Nvm(kind=2, size=len(of.image) - 1)
    blobs.read = READ(read)
    memory = (ctypes.c_uint64 * (room // 8))()
    models = ctypes.create_string_buffer(64)
    result = native.librelume().rl_early_find(
        ctypes.byref(blobs), of.image, memory, ctypes.c_uint32(room), models
    )
    return int(result), int(struct.unpack_from("<III", models, 8)[2]), asked


def test_a_sound_copy_is_kept() -> None:
    of = bench()
    assert found(of) == (OK, meta_size(of), [(SLOT_DATA, meta_size(of))])


def _flip(at: int) -> Callable[[bytearray], None]:
    def spoil(data: bytearray) -> None:
        data[at] ^= 0x10

    return spoil


@pytest.mark.parametrize("at", [0, 12, 13, 16, 40, 200, -1])
def test_a_copy_that_is_not_the_metadata_is_not_kept(at: int) -> None:
    of = bench()
    assert found(of, spoil=_flip(at)) == (OK, 0, [(SLOT_DATA, meta_size(of))])


def test_a_copy_that_could_not_be_read_is_not_kept() -> None:
    assert found(bench(), status=-9)[:2] == (OK, 0)


def test_without_room_nothing_is_copied() -> None:
    of = bench()
    least = next(room for room in range(0, 1 << 14, 8) if found(of, room)[0] == OK)
    assert found(of, least + meta_size(of) - 8) == (OK, 0, [])
    assert found(of, least + meta_size(of))[:2] == (OK, meta_size(of))


@pytest.mark.parametrize("size", [0, 64, 120, 132, 1 << 30, 0xFFFFFFF0, 0xFFFFFFFF])
def test_of_a_header_that_claims_another_size_nothing_is_kept(size: int) -> None:
    of = bench()
    struct.pack_into("<I", of.image, META_SIZE, size)
    status, kept, asked = found(of)
    assert status != OK and kept == 0 and asked == []


def served(room: int, copies: bool) -> bool:
    """An inference is, in so much memory, and its output is the oracle's."""
    of = bench()
    of.room = room
    if not copies:
        of._blobs = lambda _nvm, at, data, n: -9  # type: ignore[method-assign]
    if of.run(_whole(of)) != LEFT:
        return False
    return [reply[5:] for reply in of.replies(Kind.OUTPUT)] == [of.expected[:240]]


def least(copies: bool) -> int:
    """Bytes of memory that an inference takes."""
    return bisect.bisect_left(range(1 << 15), True, key=lambda room: served(room, copies))


def test_an_inference_that_needs_the_memory_gets_it() -> None:
    of, room = bench(), least(copies=False)
    assert room == least(copies=True)
    assert found(of, room)[1] == meta_size(of), "a copy that is given back"
    assert all(served(more, True) for more in range(room, room + meta_size(of) + 16, 64))
