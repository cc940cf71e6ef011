"""What the store counts into its records, and the edges of its calls.

SECURITY S3.
"""

from __future__ import annotations

import ctypes
import itertools

import pytest

from tests.powercut import session as rl
from tests.powercut.boards import BLOB, board, input_of, started, store_call
from tests.powercut.session import FILE, FLASH, FRAM, RL_OK, Board, Memory
from tests.powercut.supplied import FULL_MV, Supplied
from tests.powercut.test_behind import HOME, larger
from tests.powercut.test_recovery_edges import Sending, streaming

KINDS = pytest.mark.parametrize("kind", [FRAM, FLASH, FILE])
u32 = ctypes.c_uint32


def bytes_of_commits(memory: Memory) -> int:
    """Written since the last call; headers of a flash's sectors belong to no commit."""
    return sum(n for at, n in memory.writes() if memory.kind != FLASH or at % 4096 != 0)


@KINDS
def test_the_record_counts_the_bytes_of_its_commits(kind: int) -> None:
    b = board(kind)
    assert b.open() == RL_OK
    b.memory.log.clear()
    assert b.begin(5, input_of(b)) == RL_OK
    total = bytes_of_commits(b.memory)
    assert b.record.nvm_bytes == total > 0
    status = rl.RL_MORE
    while status == rl.RL_MORE:
        status = b.step()
        total += bytes_of_commits(b.memory)
        assert b.record.nvm_bytes == total
    assert status == rl.RL_DONE


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_bytes_written_in_the_background_are_counted_with_the_commit_behind_them(
    seed: int,
) -> None:
    plan = streaming(seed)
    memory = Sending(HOME + plan.nvm_size)
    b = Supplied(plan, lambda tile: FULL_MV, memory)
    memory.log.clear()
    b.start()
    while b.step() != rl.RL_DONE:
        pass
    assert memory.sent
    assert b.record.nvm_bytes == sum(n for _, n in memory.writes())


@pytest.mark.parametrize("known", [0, 1, 0xFFFD, 0xFFFE, 0xFFFF])
def test_brownouts_are_counted_up_to_65535(known: int) -> None:
    b = started(FRAM)
    b.store.newest.brownouts = known
    for attempts in range(4):
        b.store.attempts = attempts
        counted = store_call(b, "brownouts") & 0xFFFF
        assert counted == min(known + attempts, 0xFFFF)


def test_what_was_written_is_read_back_whole_whatever_its_length() -> None:
    b = started(FRAM)
    for n in range(1, 100):
        at = 300
        data = bytes(range(n))
        b.memory.data[at : at + n] = data
        b.memory.log.clear()
        assert store_call(b, "verify", u32(at), data, u32(n)) == RL_OK
        reads = [(where, size) for what, where, size in b.memory.log if what == "read"]
        assert reads[0][0] == at and sum(size for _, size in reads) == n
        assert all(a + size == then for (a, size), (then, _) in itertools.pairwise(reads))
        b.memory.data[at + n - 1] ^= 1
        assert store_call(b, "verify", u32(at), data, u32(n)) == rl.RL_E_NVM


def test_a_commit_that_found_no_room_takes_no_bytes() -> None:
    b = board(FLASH)
    assert b.open() == RL_OK
    assert store_call(b, "begin", u32(10)) == rl.RL_E_FULL
    assert store_call(b, "put", u32(0), bytes(10), u32(10), u32(0)) == rl.RL_E_STATE
    assert store_call(b, "end", ctypes.byref(rl.Record())) == rl.RL_E_STATE


@pytest.mark.parametrize(("base", "size"), [(512, 513), (512, 1024), (1024, 512), (0, 1025)])
def test_a_region_that_ends_behind_the_chip_is_refused_untouched(base: int, size: int) -> None:
    b = Board(Memory(1024, FRAM), BLOB, base=base, size=size)
    assert b.open() == rl.RL_E_NVM_SIZE and b.memory.log == []


def test_after_an_opening_that_was_refused_no_call_passes() -> None:
    for memory in (Memory(1024, 0), Memory(1024, 4), Memory(1024, FRAM)):
        b = Board(memory, BLOB, size=2048)
        assert b.mount() in (rl.RL_E_NVM_KIND, rl.RL_E_NVM_SIZE)
        assert store_call(b, "begin", u32(1)) == rl.RL_E_NVM
        assert store_call(b, "room", u32(1)) == rl.RL_E_NVM and memory.log == []


def test_larger_plans_are_worth_writes_in_the_background() -> None:
    """What the test of the background counts rests on."""
    assert max(t.size for t in larger(3).graph.tensors) >= 64
