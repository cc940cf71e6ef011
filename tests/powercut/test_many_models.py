"""Two models in one NVM, cut at every operation while both run: each result is the same bytes,
each model keeps to its own part, and the inference that comes first goes on first.

SECURITY F6.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.link.frames import encode
from relume.link.messages import EventKind, Kind, State

from tests.powercut.manyboard import LEFT, ManyBoard
from tests.powercut.plans import random_blob
from tests.powercut.session import DONE, FLASH, FRAM, RL_MORE, RL_OK
from tests.powercut.supplied import RL_RAN, Supplied, paced

PAIRS = {
    "both on FRAM": (random_blob(1), random_blob(2)),
    "both on flash": (random_blob(3, nvm="flash"), random_blob(4, nvm="flash")),
    "one on each": (random_blob(5), random_blob(6, nvm="flash")),
    "the same net twice": (random_blob(7), random_blob(7, paced=1)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_cut_at_every_operation_both_results_are_the_same_bytes(pair: str) -> None:
    board = ManyBoard(PAIRS[pair])
    board.states = {}
    assert board.run(board.whole()) == LEFT
    wanted = [board.expected(n) for n in range(2)]
    assert board.outputs() == wanted
    both = 0
    assert len(board.states) > 40
    for state in list(board.states):
        again = ManyBoard(PAIRS[pair])
        again.state = state
        assert again.run(again.whole()) == LEFT
        assert again.outputs() == wanted
        both += len(again.events(EventKind.RESUMED)) == 2
        assert all(status.state == State.DONE for status in again.statuses())
        assert all(status.brownouts <= 1 for status in again.statuses())
    assert both > 5, "no cut hit both while they ran"


@pytest.mark.parametrize("pair", PAIRS)
def test_no_write_leaves_the_part_of_one_model(pair: str) -> None:
    board = ManyBoard(PAIRS[pair])
    board.run(board.whole())
    parts = [
        (FLASH if r.blob[25] == FLASH else FRAM, r.store_at, r.store_at + r.store_size)
        for r in board.rows
    ]
    hit = set()
    for kind, at, n in board.writes:
        inside = [p for p in parts if p[0] == kind and p[1] <= at and at + n <= p[2]]
        assert len(inside) == 1
        hit.add(inside[0])
    assert len(hit) == 2


def begun(
    board: ManyBoard, n: int, *, due: int = 0, dated: bool = False, priority: int = 0
) -> None:
    """Commits the input of model n with this rank, as the interpreter does."""
    session = board.session(n)
    assert session.open() == RL_OK
    ranked = session.session
    ranked.due, ranked.dated, ranked.priority = due, dated, priority
    assert session.begin(100 + n, board.input(n)) == RL_OK


def order_of(board: ManyBoard) -> list[int]:
    """The models in the order in which they end."""
    board.frames = []
    board.run(iter([]))
    return [event.inference - 100 for event in board.events(EventKind.DONE)]


@dataclasses.dataclass(frozen=True)
class Rank:
    priority: int
    dated: bool
    due: int


RANKS = st.builds(Rank, st.integers(0, 3), st.booleans(), st.integers(0, 9))
THREE = tuple(random_blob(seed) for seed in (11, 12, 13))


@functools.cache
def three() -> ManyBoard:
    return ManyBoard(THREE)


@given(st.lists(RANKS, min_size=3, max_size=3, unique=True), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_priority_then_deadline_then_age_decide_who_goes_on(ranks: list[Rank], now: int) -> None:
    board = three()
    board.state = bytes(1 << 14), b"\xff" * len(board.memories[FLASH])
    for n, rank in enumerate(ranks):
        due = now + rank.due & 0xFFFFFFFF
        begun(board, n, due=due, dated=rank.dated, priority=rank.priority)
    wanted = sorted(
        range(3), key=lambda n: (-ranks[n].priority, not ranks[n].dated, ranks[n].due)
    )
    assert order_of(board) == wanted
    board.run(board.whole())
    assert board.outputs() == [board.expected(n) for n in range(3)]


def test_inputs_of_one_host_run_in_the_order_in_which_they_came() -> None:
    for order in itertools.permutations(range(3)):
        board = ManyBoard(THREE)
        board.run(iter([b"".join(board.give(n) for n in order)]))
        done = [event.inference - 100 for event in board.events(EventKind.DONE)]
        assert done == list(order)


@pytest.mark.parametrize("asked", [False, True])
def test_a_model_that_waits_counts_no_attempt(asked: bool) -> None:
    """Whether it is asked for its output, or given its input once more, or not."""
    board = ManyBoard(THREE[:2])
    begun(board, 0, priority=1)
    begun(board, 1)
    board.states = {}
    board.run(iter([]), (board.ask(Kind.OUTPUT, 1, 101, 0) + board.give(1)) * asked)
    counted = {False: 0, True: 0}
    for state in board.states:
        board.state = state
        first, waits = board.session(0), board.session(1)
        assert first.mount() == waits.mount() == RL_OK
        done = first.record.state == DONE
        assert waits.store.attempts == 0 or done
        counted[done] += first.store.attempts + waits.store.attempts > 0
    assert counted[False] and counted[True]


def test_requests_to_a_model_that_waits_are_answered_from_its_record() -> None:
    board = ManyBoard(THREE[:2])
    begun(board, 0, priority=1)
    begun(board, 1)
    ask = board.ask
    asked = ask(Kind.STATUS, 1) + board.give(1) + ask(Kind.OUTPUT, 1, 101, 0)
    asked += ask(Kind.TAKE, 1, 101) + encode(Kind.INPUT, 77, struct.pack("<III", 9, 1, 0))
    board.run(iter([]), asked)
    assert [(s.state, s.inference, s.tile) for s in board.statuses()] == [(State.RUNNING, 101, 0)]
    size = struct.pack("<I", len(board.input(1)))
    assert board.replies(Kind.INPUT)[0] == b"\0" + size
    assert [board.replies(kind)[0][0] for kind in (Kind.OUTPUT, Kind.TAKE)] == [14, 14]
    assert [e.inference for e in board.events(EventKind.DONE)] == [100, 101]


@pytest.mark.parametrize("yields", [0, 1])
def test_a_segment_ends_with_a_commit_while_another_one_waits(yields: int) -> None:
    """A full capacitor passes the ends of segments, but for one that is less urgent."""
    board = Supplied(paced(21), lambda _tile: 5500)
    board.start()
    board.session.yields[0] = yields
    assert board.step() == (RL_MORE if yields else RL_RAN)


def test_a_model_that_is_not_there_asks_for_the_interpreter() -> None:
    board = ManyBoard(THREE[:2])
    wire = encode(Kind.STATUS, 5, struct.pack("<I", 123456))
    assert board.run(iter([wire, board.ask(Kind.STATUS, 0)])) == LEFT
    assert not board.statuses()


def test_without_a_model_the_active_one_is_meant() -> None:
    board = ManyBoard(THREE)
    assert board.rows[2].active
    data = board.input(2)
    wire = encode(Kind.INPUT, 9, struct.pack("<III", 7, len(data), 0) + data)
    ask = encode(Kind.OUTPUT, 11, struct.pack("<II", 7, 0))
    board.run(iter([wire, encode(Kind.STATUS, 10, b""), ask]))
    assert board.statuses()[0].model == board.model(2)
    assert board.outputs() == [board.expected(2)]


def test_short_of_memory_one_after_the_other_has_it() -> None:
    worked = []
    for room in range(1800, 8000, 200):
        board = ManyBoard(THREE[:2])
        begun(board, 0)
        begun(board, 1, due=1)
        board.room = room
        board.run(board.whole())
        done = len(board.events(EventKind.DONE))
        worked.append(done)
        if done == 2:
            assert board.outputs() == [board.expected(n) for n in range(2)]
    assert worked == sorted(worked) and worked[0] < 2 == worked[-1]


def test_what_is_done_is_kept_until_it_is_taken() -> None:
    board = ManyBoard(THREE[:1])
    data = board.input(0)
    board.run(board.whole())
    board.frames = []
    head = struct.pack("<III", 55, len(data), 0)
    board.run(iter([encode(Kind.INPUT, 1, head + data), board.ask(Kind.OUTPUT, 0, 100, 0)]))
    assert board.replies(Kind.INPUT)[0][0] == 14
    assert board.outputs() == [board.expected(0)]
