"""Behind a commit a board that can sleep does so while that brings more than the next charge.

SECURITY S6.
"""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.plan.types import OpPace, Plan

from tests.powercut.plans import random_plan
from tests.powercut.session import (
    _CYCLES,
    _REST,
    FLASH,
    RL_DONE,
    RL_ERASED,
    RL_MORE,
    RL_OK,
    Memory,
)
from tests.powercut.supplied import (
    RL_RAN,
    RL_RESTED,
    Charging,
    Supplied,
    cycles_of,
    millivolts_for,
    paced,
    steps,
)


def test_a_board_that_can_sleep_rests_while_the_voltage_rises() -> None:
    plan = paced(3)
    rising = iter([*range(2000, 2200, 20), *[2180] * 10_000])
    board = Supplied(plan, lambda tile: next(rising))
    board.rest_with_hook(0)
    board.start()
    found = [board.step() for _ in range(6)]
    assert found[:3] == [RL_RESTED] * 3 and len(board.rests) >= 3
    assert RL_MORE in found  # it rises no more: the board tries on


def stored(plan: Plan, mv2: float) -> float:
    """The share of a charge that is stored."""
    von, voff = plan.budget.von_v * 1e3, plan.budget.voff_v * 1e3
    return (mv2 - voff**2) / (von**2 - voff**2)


def first_rest(plan: Plan, sleep_cycles: int) -> int:
    """The least power of two from 8 to 1024 that takes a 128th of a charge."""
    von, voff = plan.budget.von_v * 1e3, plan.budget.voff_v * 1e3
    share = round(von**2 - voff**2) * plan.pace.mv2 >> 23
    return next((ms for ms in (8 << n for n in range(8)) if ms * sleep_cycles >= share), 1024)


@settings(deadline=None, max_examples=40)
@given(sleep=st.integers(1, 2**20), mv2=st.integers(1, 2**20))
def test_a_first_rest_takes_a_small_part_of_a_charge(sleep: int, mv2: int) -> None:
    """A look that finds nothing coming in has cost a 64th at most, where 8 ms are not more."""
    board = Charging(plan := paced(3, mv2=mv2, commit=2**31), 0)
    board.rest_with_hook(sleep)
    board.start()
    assert board.step() == RL_RESTED and board.step() == RL_MORE
    assert board.rests == [first_rest(plan, sleep)]


@pytest.mark.parametrize("gain", [-400.0, -1.0, 0.0])
def test_a_board_that_loses_charge_asleep_sleeps_once_and_tries_on(gain: float) -> None:
    """The harvest is below what sleep takes: off is better, so what is left is spent on tiles."""
    board = Charging(plan := paced(3), gain)
    board.rest_with_hook()
    board.start()
    found = steps(board)
    for before, after in itertools.pairwise(found):
        assert before != RL_RESTED or after != RL_RESTED
    assert len(board.rests) == found.count(RL_RESTED) <= len(plan.tiles)


@settings(deadline=None, max_examples=60)
@given(harvest=st.floats(1.1, 30.0), sleep=st.integers(1, 300))
def test_a_board_that_rests_goes_on_at_three_quarters_of_a_charge(
    harvest: float, sleep: int
) -> None:
    """Rests follow the rate of rise: few of them, and none far beyond what is waited for.

    harvest: what comes in beyond what sleep takes, by what sleep takes."""
    plan = paced(3)
    von, voff = plan.budget.von_v * 1e3, plan.budget.voff_v * 1e3
    gain = harvest * sleep * 65536 / plan.pace.mv2
    board = Charging(plan, gain)
    board.rest_with_hook(sleep)
    board.start()
    needed = (0.75 * (von**2 - voff**2) + voff**2 - board.mv2) / gain
    while board.step() == RL_RESTED:
        pass
    first = first_rest(plan, sleep)
    assert stored(plan, board.mv2) >= 0.749
    assert sum(board.rests) <= needed * 1.01 + max(first, 0.5 * min(needed, 8 * first))
    assert {*board.rests} <= {first << n for n in range(4)}
    assert len(board.rests) <= needed / (8 * first) + 8


def test_a_board_that_was_turned_on_commits_before_it_rests() -> None:
    """The plan's charge is for the segment: nothing is slept away before there is progress."""
    plan = paced(3)
    board = Charging(plan, 1000.0)
    board.start()
    again = Charging(plan, 1000.0)
    again.memory = board.memory
    assert again.open() == RL_OK
    again.rest_with_hook()
    assert again.store.attempts == 1 and again.step() == RL_MORE
    assert again.rests == [] and again.store.attempts == 0
    assert again.step() == RL_RESTED


@settings(deadline=None, max_examples=100)
@given(
    harvest=st.floats(0.2, 8.0), begun=st.floats(0.1, 0.95), held=st.floats(0.001, 0.05),
    sleep=st.integers(1, 200),
)  # fmt: skip
def test_sleep_goes_on_while_it_brings_more_than_the_next_charge(
    harvest: float, begun: float, held: float, sleep: int
) -> None:
    """Against the two waits themselves, until the same energy is there for tiles.

    harvest: by what sleep takes. begun, held: shares of a charge, behind a restore and now."""
    plan = paced(3, commit=2**31)
    von2, voff2 = plan.budget.von_v**2 * 1e6, plan.budget.voff_v**2 * 1e6
    takes = sleep * 65536 / plan.pace.mv2
    board = Charging(plan, (harvest - 1) * takes, (voff2 + held * (von2 - voff2)) ** 0.5)
    board.rest_with_hook(sleep)
    board.start()
    board.session.begun = round(begun * (von2 - voff2))
    assert board.step() == RL_RESTED
    bring = begun - stored(plan, board.mv2)
    off, asleep = 1 / harvest, bring / (harvest - 1) if harvest > 1 else float("inf")
    gained = abs(board.rests[-1] * board.gain)
    coarse = 2 * board.mv2**0.5 / gained if gained else 0.0  # a look's gain, read in millivolts
    if abs(off - asleep) > (0.02 + coarse) * off:
        assert (board.step() == RL_RESTED) == (asleep < off)


def test_what_a_restore_leaves_is_what_sleep_is_compared_with() -> None:
    plan = paced(3)
    board = Charging(plan, 0.0)
    board.start()
    again = Charging(plan, 0.0, 4000)
    again.memory = board.memory
    again.rest_with_hook()
    assert again.open() == RL_OK and again.session.begun == 0
    again.step()
    assert again.session.begun == 4000**2 - round(plan.budget.voff_v * 1e3) ** 2


def test_rests_are_forgotten_at_a_commit() -> None:
    board = Charging(paced(3), 0.0)
    board.rest_with_hook()
    board.start()
    while board.step() != RL_MORE:
        pass
    assert board.session.rest_ms == 0 and board.rests


def test_a_board_whose_tile_fits_does_not_rest() -> None:
    board = Supplied(paced(3), lambda tile: 3000)
    board.rest_with_hook()
    board.start()
    assert RL_RESTED not in steps(board) and board.rests == []


def test_a_supply_that_reads_low_is_tried_on_without_a_rest() -> None:
    board = Supplied(plan := paced(3), lambda tile: 1900)
    board.start()
    assert steps(board) == [RL_MORE] * (len(plan.tiles) - 1) + [RL_DONE]


# --- what is left where sleep does not pay -------------------------------------------------------


def dwindling(plan: Plan, millivolts: int, restored: bool, sleep: float = 0.0) -> Charging:
    """A board behind the first commit of its charge, which has left so much. restored: the charge
    before ended."""
    board = Charging(plan, 0.0, 2100 if restored else 5000)
    board.start()
    board.rest_with_hook()
    if restored:
        board.session.rest = _REST()
        assert board.step() == RL_MORE
        before, board = board, Charging(plan, 0.0, 2100)
        board.memory = before.memory
        assert board.open() == RL_OK
        board.rest_with_hook()
        assert board.step() == RL_MORE and board.rests == [] and board.store.attempts == 0
    board.session.drain, board.mv2, board.gain = 256, float(millivolts**2), sleep
    return board


COMMIT = 7 << 20  # of the plans below, whatever is dirty; so a tile of as much is the plan's


def hopeful(tile: int = 6 << 20) -> tuple[Plan, int]:
    """A plan, and the least reading by which a commit and half a tile are left."""
    plan = paced(3, byte=0, access=0, crc=0, commit=COMMIT, mv2=1 << 20)
    pace = dataclasses.replace(plan.pace, ops=tuple(OpPace(tile, 0, 0) for _ in plan.pace.ops))
    plan = dataclasses.replace(plan, pace=pace)
    return plan, millivolts_for(COMMIT + tile // 2, pace, margin=99)


def test_where_the_charge_before_ended_a_tile_that_may_be_kept_is_tried_without_a_look() -> None:
    """Half of the worst, and the reading as it is: a look would take what it needs."""
    plan, enough = hopeful()
    hope = dwindling(plan, enough, restored=True)
    assert hope.step() == RL_MORE and hope.rests == []
    none = dwindling(plan, enough - 1, restored=True)
    assert none.step() == RL_RESTED and len(none.rests) == 1


def test_in_the_first_charge_nobody_knows_what_sleep_brings_so_there_is_a_look() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough, restored=False)
    assert board.step() == RL_RESTED


@pytest.mark.parametrize("restored", [False, True])
def test_a_commit_comes_so_early_that_falling_asleep_is_carried(restored: bool) -> None:
    """By the reading as it is; where the charge before ended nothing is kept back."""
    sleep = 1 << 18
    plan, _ = hopeful(tile=1000)
    keep = sleep * first_rest(plan, sleep) * 3 // 2
    enough = millivolts_for(COMMIT + 1000, plan.pace)
    carries = millivolts_for(COMMIT + 1000 + keep, plan.pace, margin=99)
    assert carries > enough + 1
    for reading, rests in ((carries, False), (carries - 1, not restored)):
        board = dwindling(plan, reading, restored)
        board.session.rest_cycles = sleep
        assert (board.step() == RL_RESTED) == rests


def test_what_the_drain_takes_leaves_less_hope() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough, restored=True)
    board.session.drain = 260
    assert board.step() == RL_RESTED


def test_a_sleep_that_paid_is_sought_again_behind_the_next_commit() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough - 1, restored=True, sleep=2e4)
    assert [board.step() for _ in range(2)] == [RL_RESTED, RL_RAN]
    board.mv2 = 2000.0**2
    assert board.step() == RL_MORE
    board.mv2 = float(enough**2)
    assert board.step() == RL_RESTED


def test_the_next_charge_knows_of_no_sleep_that_paid() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough - 1, restored=True, sleep=2e4)
    assert [board.step() for _ in range(2)] == [RL_RESTED, RL_RAN]
    assert not board.session.vain
    board.mv2 = 2000.0**2
    assert board.step() == RL_MORE
    assert board.open() == RL_OK and board.session.vain


def test_an_input_s_commit_says_nothing_of_sleep() -> None:
    """Whoever committed it may have been somebody else, with power of another kind."""
    plan, _ = hopeful()
    board = Charging(plan, 0.0, 2100)
    board.start()
    assert board.open() == RL_OK and board.store.attempts == 1 and not board.session.vain


def waited(board: Charging, tick: int, ticks: int = 10**6) -> list[int]:
    """The clock, read by read, in the step behind a look that showed nothing coming in. It stands
    still after so many ticks."""
    reads = [1 << 40]

    def cycles() -> int:
        reads.append(reads[-1] + tick * (len(reads) <= ticks))
        return reads[-1]

    assert board.step() == RL_RESTED
    board.clock(cycles)
    return reads


TICK = 1 << 18


def test_without_hope_what_is_left_is_waited_out_for_twice_as_long_as_it_lasts() -> None:
    """Then the tile is tried all the same: a reading that lies must not stop progress."""
    plan, enough = hopeful()
    lasts = cycles_of(enough - 1, plan.pace.mv2, margin=99)
    board = dwindling(plan, enough - 1, restored=True)
    reads = waited(board, TICK)
    assert board.step() == RL_MORE and len(board.rests) == 1
    waits = reads[-1] - reads[0] - 10 * TICK  # a step and its commit read the clock a few times
    assert 2 * lasts - 10 * TICK < waits <= 2 * lasts + TICK


def test_the_wait_is_over_when_twice_its_cycles_have_gone_by() -> None:
    plan, enough = hopeful()
    lasts = cycles_of(enough - 1, plan.pace.mv2, margin=99)
    looks = []
    for tick in (2 * lasts, 2 * lasts - 1):
        board = dwindling(plan, enough - 1, restored=True)
        reads = waited(board, tick)
        assert board.step() == RL_MORE
        looks.append(len(reads))
    assert looks[0] + 1 == looks[1]


def test_with_hope_behind_a_look_nothing_is_waited_out() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough, restored=False)
    reads = waited(board, TICK)
    assert board.step() == RL_MORE and len(reads) < 10


def test_a_wait_ends_when_the_tile_fits_after_all() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough - 1, restored=True)
    reads = waited(board, TICK)
    board.on_reading = lambda: len(reads) > 12 and setattr(board, "mv2", 25e6)
    assert board.step() == RL_RAN and 12 < len(reads) < 24


@pytest.mark.parametrize("ticks", [0, 4])
def test_a_clock_that_stands_still_keeps_nobody_waiting(ticks: int) -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough - 1, restored=True)
    reads = waited(board, TICK, ticks)
    assert board.step() == RL_MORE and len(reads) < 20


def test_without_a_clock_nobody_waits() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough - 1, restored=True)
    waited(board, TICK)
    board.session.cycles = _CYCLES()
    assert board.step() == RL_MORE


def test_nobody_sleeps_where_the_flash_has_to_be_erased_first() -> None:
    """The step says so; the next one may sleep."""
    plan = random_plan(3, nvm="flash", paced=1)
    board = Charging(plan, 0.0, memory=Memory(6 * 4096, FLASH))
    board.rest_with_hook()
    erased = 0
    for number in range(1, 40):
        assert board.begin(number, bytes(plan.graph.tensors[plan.graph.input].size)) == RL_OK
        status = RL_OK
        while status != RL_DONE:
            rested = len(board.rests)
            status = board.call("step")
            assert len(board.rests) - rested == (status == RL_RESTED)
            erased += status == RL_ERASED
        assert board.take(number) == RL_OK
    assert erased > 3 and board.rests


def test_a_board_that_cannot_sleep_waits_for_nothing() -> None:
    plan, enough = hopeful()
    board = dwindling(plan, enough - 1, restored=True)
    board.session.rest = _REST()
    reads = [0]
    board.clock(lambda: reads.append(reads[-1] + TICK) or reads[-1])
    assert board.step() == RL_MORE and len(reads) < 10
