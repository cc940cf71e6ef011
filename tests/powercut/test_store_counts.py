"""What the store counts into its records, and the edges of its calls.

SECURITY S3.
"""

from __future__ import annotations

import ctypes
import itertools

import pytest

from tests.powercut import session as rl
from tests.powercut.boards import BLOB, SECTORS, board, input_of, started, store_call
from tests.powercut.session import FILE, FLASH, FRAM, QUANTILES, RL_OK, Board, Memory
from tests.powercut.supplied import FULL_MV, RL_RAN, Supplied, paced
from tests.powercut.test_behind import HOME, larger
from tests.powercut.test_recovery_edges import Sending, streaming

KINDS = pytest.mark.parametrize("kind", [FRAM, FLASH, FILE])
u32 = ctypes.c_uint32


def with_room(kind: int, live: int) -> Board:
    """A board whose store is mounted and has room for a commit of so many bytes."""
    b = board(kind)
    assert b.open() == RL_OK
    while store_call(b, "room", u32(live)) == rl.RL_ERASED:
        pass
    return b


def bytes_of_commits(memory: Memory, pages: set[int]) -> int:
    """Written since the last call; headers of a flash's sectors belong to no commit, nor do marks
    in pages that were programmed before."""
    if memory.kind != FLASH:
        return sum(n for _, n in memory.writes())
    new = {at for at, _ in memory.writes() if at % 4096 != 0} - pages
    pages |= new
    return 256 * len(new)


@KINDS
def test_the_record_counts_the_bytes_of_its_commits(kind: int) -> None:
    b, pages = board(kind), set[int]()
    assert b.open() == RL_OK
    b.memory.log.clear()
    assert b.begin(5, input_of(b)) == RL_OK
    total = bytes_of_commits(b.memory, pages)
    assert b.record.nvm_bytes == total > 0
    status = rl.RL_MORE
    while status == rl.RL_MORE:
        status = b.step()
        total += bytes_of_commits(b.memory, pages)
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


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_each_of_several_commits_counts_its_own_background_bytes_alone(seed: int) -> None:
    plan = streaming(seed)
    memory = Sending(HOME + plan.nvm_size)
    b = Supplied(plan, lambda tile: 2300 if tile % 5 == 0 else FULL_MV, memory)
    memory.log.clear()
    b.start()
    total, status, sent = sum(n for _, n in memory.writes()), rl.RL_MORE, []
    while status != rl.RL_DONE:
        status = b.step()
        total += sum(n for _, n in memory.writes())
        if status != RL_RAN:
            assert b.record.nvm_bytes == total
            sent.append(len(memory.sent))
    assert len(set(sent)) > 2, "several commits have some of their own"


def last_write(memory: Memory) -> int:
    """The access that was the newest record's write; what tiles took is written behind it."""
    return max(
        n for n, (what, at, _) in enumerate(memory.log) if what == "write" and at != QUANTILES
    )


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_the_record_counts_all_cycles_before_its_own_write(seed: int) -> None:
    """By a clock that goes on by one at each access to the NVM: the one before took some, too."""
    plan = streaming(seed)
    memory = Sending(HOME + plan.nvm_size)
    b = Supplied(plan, lambda tile: 2300 if tile % 5 == 0 else FULL_MV, memory)
    b.clock(lambda: len(memory.log))
    memory.log.clear()
    b.start()
    statuses = [rl.RL_MORE]
    while statuses[-1] != rl.RL_DONE:
        if statuses[-1] == rl.RL_MORE:
            assert b.record.cycles == last_write(memory)
        statuses.append(b.step())
    assert statuses.count(rl.RL_MORE) > 2 and RL_RAN in statuses


def test_cycles_go_on_behind_a_cut_and_begin_anew_with_an_input() -> None:
    plan, lives = streaming(3), []
    memory = Sending(HOME + plan.nvm_size)

    def life() -> Supplied:
        lives.append(Supplied(plan, lambda tile: 0, memory))
        lives[-1].clock(lambda: len(memory.log))
        memory.log.clear()
        return lives[-1]

    b = life()
    b.start()
    before = b.record.cycles
    assert before == last_write(memory)
    b = life()
    assert b.step() == rl.RL_MORE and b.record.cycles == before + last_write(memory)
    while b.step() != rl.RL_DONE:
        pass
    memory.log.clear()
    assert b.begin(2, input_of(b)) == RL_OK and b.record.cycles == last_write(memory)


@pytest.mark.parametrize("known", [0, 1, 0xFFFD, 0xFFFE, 0xFFFF])
def test_brownouts_are_counted_up_to_65535(known: int) -> None:
    b = started(FRAM)
    b.store.newest.brownouts = known
    for attempts in range(4):
        b.store.attempts = attempts
        counted = store_call(b, "brownouts") & 0xFFFF
        assert counted == min(known + attempts, 0xFFFF)


def test_the_drain_of_another_models_record_says_nothing() -> None:
    plan, other = paced(3), paced(4)
    memory = Memory(256 + max(plan.nvm_size, other.nvm_size))
    board = Supplied(other, lambda tile: FULL_MV, memory)
    board.session.drain = 1000
    board.start()
    assert board.clear() == RL_OK and board.record.drain == 1000
    board = Supplied(plan, lambda tile: FULL_MV, memory)
    board.start()
    assert board.record.drain == 256


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


def test_a_commit_that_found_no_room_ends_the_one_under_way() -> None:
    """Or its record would name pages that the search has left somewhere else."""
    b = with_room(FLASH, 10)
    assert store_call(b, "begin", u32(10)) == RL_OK
    assert store_call(b, "begin", u32(255 * 15 * SECTORS)) == rl.RL_E_FULL
    assert store_call(b, "put", u32(0), bytes(10), u32(10), u32(0)) == rl.RL_E_STATE


def test_an_output_is_taken_with_one_page_and_an_erase_for_it_is_a_step_of_its_own() -> None:
    b, room = board(FLASH), set()
    assert b.open() == RL_OK
    for number in range(1, 40):
        assert b.begin(number, input_of(b)) == RL_OK
        while b.step() != rl.RL_DONE:
            pass
        if number % 3 == 0:
            continue  # the next input gives it up: one page fewer
        pages = [store_call(b, "begin", u32(live)) == RL_OK for live in (0, 1)]
        room.add(sum(pages))
        b.memory.log.clear()
        if not pages[0]:
            assert b.call("take", u32(number)) == rl.RL_ERASED
            assert bytes_of_commits(b.memory, set()) == 0 and b.record.state == rl.DONE
        assert b.call("take", u32(number)) == RL_OK and b.record.state == rl.IDLE
        assert "erase" not in [what for what, _, _ in b.memory.log]
    assert room == {0, 1, 2}


@KINDS
def test_no_more_bytes_are_taken_than_were_announced_however_many_came_before(kind: int) -> None:
    b = with_room(kind, 10)
    assert store_call(b, "begin", u32(10)) == RL_OK
    assert store_call(b, "put", u32(0), bytes(6), u32(6), u32(0)) == RL_OK
    assert store_call(b, "put", u32(6), bytes(5), u32(5), u32(0)) == rl.RL_E_ARG
    assert store_call(b, "put", u32(6), bytes(4), u32(4), u32(0)) == RL_OK


@KINDS
def test_a_commit_that_has_ended_takes_no_bytes_and_ends_no_second_time(kind: int) -> None:
    b = with_room(kind, 0)
    record = rl.Record(state=rl.DONE)
    assert store_call(b, "begin", u32(0)) == RL_OK
    assert store_call(b, "end", ctypes.byref(record)) == RL_OK
    whole = bytes(b.memory.data)
    assert store_call(b, "put", u32(0), b"", u32(0), u32(0)) == rl.RL_E_STATE
    assert store_call(b, "end", ctypes.byref(record)) == rl.RL_E_STATE
    assert bytes(b.memory.data) == whole and b.record.seq == record.seq == 1


@KINDS
def test_a_commit_whose_nvm_failed_is_told_so_by_every_call(kind: int) -> None:
    """It is the NVM, not the order of the calls."""
    b = with_room(kind, 300)
    assert store_call(b, "begin", u32(300)) == RL_OK
    b.memory.spoil = lambda what, at, n: True
    assert store_call(b, "put", u32(0), bytes(300), u32(300), u32(0)) == rl.RL_E_NVM
    b.memory.spoil = lambda what, at, n: False
    b.memory.log.clear()
    assert store_call(b, "put", u32(0), bytes(300), u32(300), u32(0)) == rl.RL_E_NVM
    assert store_call(b, "end", ctypes.byref(rl.Record())) == rl.RL_E_NVM
    assert store_call(b, "begin", u32(0)) == rl.RL_E_NVM and b.memory.log == []


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
