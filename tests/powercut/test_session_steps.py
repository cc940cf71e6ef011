"""What a step of a session does in which order, and what it leaves for the next one.

SECURITY S6.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools

import pytest
from relume.blob.pack import pack
from relume.plan.live import LiveMap
from relume.plan.types import Plan, Segment

from tests.powercut import session as rl
from tests.powercut.boards import finished, input_of
from tests.powercut.session import FLASH, RL_ERASED, RL_OK, Board
from tests.powercut.supplied import (
    FULL_MV,
    RL_RAN,
    RL_RESTED,
    Charging,
    Supplied,
    millivolts_for,
    paced,
)
from tests.powercut.test_recovery_edges import in_parts
from tests.powercut.test_supply_rule import staged


def in_pairs() -> Plan:
    """A plan of two tiles a segment."""
    plan = paced(3)
    ends = [*range(0, len(plan.tiles), 2), len(plan.tiles)]
    pairs = tuple(Segment(a, b, 1, 1, 1.0, 0, 0.0) for a, b in itertools.pairwise(ends))
    return dataclasses.replace(plan, segments=pairs)


def resting(plan: Plan) -> Charging:
    """A full board that can sleep, with its input committed."""
    board = Charging(plan, 0.0, FULL_MV)
    board.start()
    board.rest_with_hook()
    return board


def test_what_was_computed_is_committed_before_the_board_sleeps() -> None:
    board = resting(paced(3))
    assert board.step() == RL_RAN
    board.mv2 = 2000.0**2
    assert board.step() == rl.RL_MORE and board.rests == []
    assert board.step() == RL_RESTED


def test_a_segment_that_is_divided_stays_so_over_a_sleep_before_its_last_part() -> None:
    """However much is left then, its end is not passed."""
    before = resting(in_pairs())
    for _ in range(2):
        board = Charging(in_pairs(), 0.0, FULL_MV, before.memory)
    board.rest_with_hook()
    assert board.session.part == 1
    assert board.step() == rl.RL_MORE and board.record.tile == 1
    board.mv2 = 2000.0**2
    assert board.step() == RL_RESTED
    board.mv2 = float(FULL_MV**2)
    assert board.step() == rl.RL_MORE and board.record.tile == 2
    assert board.step() == RL_RAN


def test_a_session_that_has_nothing_to_run_is_at_the_first_tile() -> None:
    """As the host is told."""
    empty = Charging(paced(3), 0.0, FULL_MV)
    assert (empty.session.state, empty.session.tile) == (rl.EMPTY, 0)
    empty.start()
    assert empty.clear() == RL_OK
    idle = Charging(paced(3), 0.0, FULL_MV, empty.memory)
    assert (idle.session.state, idle.session.tile) == (rl.IDLE, 0)


@pytest.mark.parametrize("state", [rl.STUCK, rl.RUNNING])
def test_what_was_cleared_is_idle_and_was_not_halved(state: int) -> None:
    """Stuck, or another model's."""
    memory, blob = in_parts(17 if state == rl.STUCK else 0)
    board = Board(memory, blob)
    assert board.open() == RL_OK
    if state == rl.STUCK:
        assert board.step() == rl.RL_E_STUCK
    board = Board(memory, blob if state == rl.STUCK else pack(paced(3)))
    assert board.open() == (RL_OK if state == rl.STUCK else rl.RL_E_MODEL)
    assert board.session.state == state
    assert board.clear() == RL_OK
    again = Board(memory, blob)
    assert again.open() == RL_OK
    assert (again.session.state, again.record.flags) == (rl.IDLE, 0)


def test_what_another_model_gave_up_keeps_nobody_waiting() -> None:
    memory, blob = in_parts(17)
    board = Board(memory, blob)
    assert board.open() == RL_OK and board.step() == rl.RL_E_STUCK
    other = Charging(paced(3), 0.0, FULL_MV, memory)
    assert other.session.state == rl.IDLE
    other.start()
    assert other.step() == RL_RAN


@pytest.mark.parametrize("again", ["open", "begin"])
def test_constants_in_sram_are_not_taken_for_those_of_the_life_before(again: str) -> None:
    """What lay in the arena is gone when a session is opened, or the arena takes an input."""
    plan = staged(paced(2))
    board = Charging(plan, 0.0, FULL_MV)
    board.start()
    assert board.step() == RL_RAN and board.session.staged == 1
    if again == "begin":
        assert board.clear() == RL_OK
    board.arena[:] = [0xA5] * (len(board.arena) - 16) + [0x5A] * 16
    if again == "open":
        assert board.open() == RL_OK
    else:
        board.start()
    while (status := board.step()) != rl.RL_DONE:
        assert status == RL_RAN
    zeros = bytes(plan.graph.tensors[plan.graph.input].size)
    assert board.output() == board.checked.run(zeros)[plan.graph.output]


def test_an_inference_that_is_given_up_says_where() -> None:
    """The tile, and how much of it was done."""
    memory, blob = in_parts(5)
    board = Board(memory, blob)
    assert board.open() == RL_OK
    while (board.record.tile, board.record.part) != (1, 50):
        assert board.step() == rl.RL_MORE
    while board.session.state != rl.STUCK:
        board = Board(memory, blob)
        assert board.open() == RL_OK
        if board.session.stuck:
            assert board.step() == rl.RL_E_STUCK
    assert (board.record.state, board.record.tile, board.record.part) == (rl.STUCK, 1, 50)


def test_an_attempt_that_cannot_be_counted_is_told_of_also_where_it_is_the_last() -> None:
    memory, blob = in_parts(40)
    memory.spoil = lambda what, at, n: what == "write" and at in (128, 144)
    board = Board(memory, blob)
    assert board.open() == rl.RL_E_NVM and not board.session.stuck


@pytest.mark.parametrize(("failed", "stuck"), [(16, False), (17, True)])
def test_a_unit_alone_is_given_up_when_it_has_failed_eight_times(failed: int, stuck: bool) -> None:
    """Two halvings of three tiles, seven of 100 units, and eight more: SPEC 4.8."""
    board = Board(*in_parts(failed))
    assert board.open() == RL_OK and bool(board.session.stuck) == stuck
    if stuck:
        assert board.step() == rl.RL_E_STUCK
    else:
        assert board.step() == rl.RL_MORE and board.record.part == 1


def test_an_inference_begins_with_counts_and_a_rank_of_its_own() -> None:
    before = resting(paced(3))
    first = before.record.nvm_bytes
    board = Charging(paced(3), 0.0, FULL_MV, before.memory)
    while board.step() != rl.RL_DONE:
        pass
    assert board.record.brownouts == 1 and board.record.nvm_bytes > first
    assert board.take(1) == RL_OK
    board.session.priority, board.session.due, board.session.dated = 3, 77, 1
    assert board.begin(2, bytes(board.checked.header.tensor(
        board.checked.blob, board.checked.header.input)[1])) == RL_OK  # fmt: skip
    record = board.record
    assert (record.nvm_bytes, record.brownouts, record.commits) == (first, 0, 1)
    assert (record.priority, record.due, record.flags) == (3, 77, 2)


def test_what_is_stuck_takes_no_input_before_it_is_cleared() -> None:
    board = Board(*in_parts(17))
    assert board.open() == RL_OK and board.step() == rl.RL_E_STUCK
    assert board.begin(6, bytes(256)) == rl.RL_E_STUCK
    assert board.clear() == RL_OK and board.begin(6, bytes(256)) == RL_OK


def test_an_output_is_taken_once_and_its_record_says_that_all_tiles_were_done() -> None:
    board = resting(paced(3))
    board.mv2 = float(FULL_MV**2)
    while board.step() != rl.RL_DONE:
        pass
    assert board.take(1) == RL_OK
    assert (board.record.state, board.record.tile) == (rl.IDLE, len(paced(3).tiles))
    board.memory.writes()
    assert board.take(1) == RL_OK and not board.memory.writes()


def test_what_is_cleared_is_at_no_tile() -> None:
    memory, blob = in_parts(5)
    board = Board(memory, blob)
    assert board.open() == RL_OK
    while (board.record.tile, board.record.part) != (1, 50):
        assert board.step() == rl.RL_MORE
    assert board.clear() == RL_OK
    assert (board.record.tile, board.record.part) == (0, 0)


def test_with_a_new_input_all_of_it_is_live_whatever_was_before() -> None:
    """Where its first tile and the commit behind it do not fit, the brown-out is no surprise."""
    plan = paced(3, crc=50)
    live = LiveMap(plan.graph, plan.tiles)
    dirty = live.dirty(0, 1)
    need = 1000 + 100 + 2 * sum(end - lo for _, lo, end in dirty) + 10 * len(dirty)
    need += 50 * int(live.live_bytes[1])
    reading = [FULL_MV]
    board = Supplied(plan, lambda tile: reading[0])
    board.start()
    while board.step() != rl.RL_DONE:
        pass
    assert board.take(1) == RL_OK
    reading[0] = millivolts_for(need, plan.pace) - 2
    size = plan.graph.tensors[plan.graph.input].size
    assert board.begin(2, bytes(size)) == RL_OK
    assert board.record.flags == 1  # expected


def test_an_output_that_is_damaged_is_taken_as_one_behind_the_last_tile() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: FULL_MV)
    board.start()
    while board.step() != rl.RL_DONE:
        pass
    board.memory.data[256 + plan.nvm_off[plan.graph.output]] ^= 1
    after = Board(board.memory, pack(plan))
    assert after.open() == rl.RL_E_DAMAGED
    assert after.take(1) == RL_OK
    assert (after.record.state, after.record.tile) == (rl.IDLE, len(plan.tiles))


def test_an_input_waits_for_the_sector_that_its_commit_needs() -> None:
    """RL_ERASED: the caller comes again, when the charge may be another."""
    board = finished(FLASH)
    found = set()
    for number in range(6, 30):
        assert board.take(number - 1) == RL_OK
        data = input_of(board)
        status = board.call("begin", ctypes.c_uint32(number), data, ctypes.c_uint32(len(data)))
        found.add(status)
        assert board.session.state == (rl.IDLE if status == RL_ERASED else rl.RUNNING)
        assert board.begin(number, data) == RL_OK
        while board.step() != rl.RL_DONE:
            pass
    assert found == {RL_OK, RL_ERASED}
