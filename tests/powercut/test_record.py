"""Records by themselves: which are valid, which is newer, whose inference comes first
(SPEC 4.1, 4.7).

SECURITY S3.
"""

from __future__ import annotations

import ctypes
import zlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import native
from tests.powercut.session import DONE, EMPTY, FILE, FLASH, FRAM, IDLE, RUNNING, STUCK, Record

MAGIC = int.from_bytes(b"RLR1", "little")
DATED, HALVED_SHIFT, HALVED_MOST = 2, 2, 16
WORDS = st.integers(0, 0xFFFFFFFF)


def record(**fields: int) -> Any:
    """A record of FRAM that runs, with its CRC."""
    made = Record(**{"magic": MAGIC, "state": RUNNING, "nvm_kind": FRAM, **fields})
    made.crc = zlib.crc32(bytes(made)[:-4]) ^ fields.get("crc", 0)
    return made


def valid(made: Any, kind: int = FRAM) -> bool:
    """rl_record_valid"""
    return bool(native.librelume().rl_record_valid(ctypes.byref(made), ctypes.c_uint8(kind)))


def after(a: int, b: int) -> bool:
    """rl_record_after"""
    return bool(native.librelume().rl_record_after(ctypes.c_uint32(a), ctypes.c_uint32(b)))


def first(a: Any, b: Any) -> bool:
    """rl_record_first"""
    return bool(native.librelume().rl_record_first(ctypes.byref(a), ctypes.byref(b)))


def test_states_from_running_to_stuck_are_valid() -> None:
    assert [valid(record(state=state)) for state in range(256)] == [
        state in (RUNNING, DONE, IDLE, STUCK) for state in range(256)
    ]
    assert EMPTY not in (RUNNING, DONE, IDLE, STUCK)


def test_as_many_halvings_as_make_one_unit_of_any_tile_are_valid() -> None:
    for flags in range(256):
        assert valid(record(flags=flags)) == (flags >> HALVED_SHIFT <= HALVED_MOST), flags


def test_a_record_of_another_kind_of_nvm_magic_or_crc_is_none() -> None:
    for kind in (FRAM, FLASH, FILE):
        for asked in (FRAM, FLASH, FILE):
            assert valid(record(nvm_kind=kind), asked) == (kind == asked)
    for bit in range(32):
        assert not valid(record(magic=MAGIC ^ 1 << bit))
        assert not valid(record(crc=1 << bit))


@settings(deadline=None)
@given(WORDS, WORDS)
def test_newer_is_ahead_by_less_than_half_the_range(a: int, b: int) -> None:
    assert after(a, b) == (0 < (a - b) % (1 << 32) < 1 << 31)


def test_numbers_that_are_equal_or_half_the_range_apart_are_not_newer() -> None:
    for a in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        assert not after(a, a) and not after(a, (a + (1 << 31)) % (1 << 32))
        assert after((a + 1) % (1 << 32), a) and after((a + (1 << 31) - 1) % (1 << 32), a)
        assert not after(a, (a + 1) % (1 << 32))


RANKS = st.builds(
    record,
    priority=st.integers(0, 3), due=st.integers(0, 4), flags=st.sampled_from((0, 1, DATED, 3)),
)  # fmt: skip


@settings(deadline=None)
@given(RANKS, RANKS)
def test_priority_then_a_deadline_then_the_earlier_one_comes_first(a: Any, b: Any) -> None:
    def rank(one: Any) -> tuple[int, bool, int]:
        return one.priority, bool(one.flags & DATED), -one.due

    assert first(a, b) == (rank(a) > rank(b))
