"""Our engine with a reading of the voltage: when it commits, sleeps, goes on; what it streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.sim import ours
from relume.sim.route import Tally
from relume.sim.study import Study, run_policy
from relume.sim.supply import FloatArray, Supply
from relume.sim.voltage import Guided, Rest, _Runs, _sleep, follow_voltage
from relume.sim.work import Work

from tests.powercut.supplied import RL_RESTED, Charging, paced
from tests.unit.plan_nets import RandomNet
from tests.unit.sim_nets import SLOW, conv_net, random_study, steady, study_of

TILE_BYTES, BYTE_S, COMMIT_S, START_S = 100, 0.001, 0.05, 0.5


def _guided(tiles: int, worst: float = 1.0, **changes: object) -> Guided:
    """Tiles of 1 s that all write 100 bytes, live to the end."""
    place = np.arange(tiles + 1)
    dirty = np.maximum(place[None, :] - place[:, None], 0) * float(TILE_BYTES)
    made = Guided(
        np.ones(tiles), np.full(tiles, worst),
        np.full(tiles + 1, START_S), dirty, np.full(tiles + 1, COMMIT_S), BYTE_S, 64, _truth,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def _truth(joules: FloatArray) -> FloatArray:
    return joules


def _run(guided: Guided, charge_s: float, harvest_mw: float = 1e-6) -> Tally:
    """0.1 W active, from the start of the trace."""
    return follow_voltage(guided, Supply(steady(harvest_mw), 0.1, 0.1 * charge_s), np.zeros(1))


def test_a_charge_that_suffices_has_one_commit() -> None:
    tally = _run(_guided(4), START_S + 4.0 + 0.4 + COMMIT_S + 0.01)
    assert (tally.charges[0], tally.commits[0], tally.nvm_bytes[0]) == (1, 1, 4 * TILE_BYTES + 64)
    assert tally.wasted_s[0] == 0


def test_the_commit_comes_before_the_tile_that_does_not_fit() -> None:
    """Two tiles and a commit fit a charge, three do not: 2 + 2 tiles, two commits."""
    fits = START_S + 2 * (1.0 + TILE_BYTES * BYTE_S) + COMMIT_S
    tally = _run(_guided(4), fits + 0.5)
    assert (tally.charges[0], tally.commits[0]) == (2, 2)
    assert tally.wasted_s[0] == pytest.approx(0.5, rel=1e-3)
    less = _run(_guided(4), fits - 0.01)
    assert (less.charges[0], less.commits[0]) == (4, 4)


def test_the_worst_case_decides_and_the_typical_is_spent() -> None:
    """A tile that may take 2 s and takes 1: what is left goes to a tile that is then kept."""
    charge = START_S + 2 * 1.1 + COMMIT_S + 0.4
    tally = _run(_guided(4, worst=2.0), charge)
    assert (tally.charges[0], tally.commits[0]) == (2, 4)
    assert tally.useful_s[0] == pytest.approx(4.0)


@pytest.mark.parametrize(("measured", "charges"), [(False, 3), (True, 6)])
def test_what_was_measured_gives_no_hope_for_a_part_of_it(measured: bool, charges: int) -> None:
    """Behind the commit of a charge's one tile 1.1 s are left: more than half of 1.3, which the
    next one may take, and a commit. It takes 0.6."""
    charge = START_S + 0.6 + 2 * (TILE_BYTES * BYTE_S + COMMIT_S) + 0.95
    rest = replace(REST, first_s=1e-6)
    tally = _run(
        _guided(6, worst=1.3, compute_s=np.full(6, 0.6), measured=measured, rest=rest), charge
    )
    assert tally.charges[0] == charges


@pytest.mark.parametrize("nvm", ["fram", "flash"])
def test_what_was_measured_decides_where_it_is_kept(nvm: str) -> None:
    study = study_of(conv_net(), 1.5, steady(1.0))
    assert study.plan is not None
    study.costs.nvm = nvm
    study.costs.ops = tuple(replace(op, typical_unit=op.unit / 2) for op in study.costs.ops)
    work = Work.of(study.costs, study.plan.tiles)
    pairs = [(study.costs.ops[tile.op], tile.count) for tile in work.tiles]
    more = np.array([op.worst(n) - op.typical(n) for op, n in pairs]) / study.board.hz
    worst = work.compute_s + more
    measured = np.minimum(worst, 1.1 * work.compute_s)
    assert (measured < worst).any()
    assert ours.needs_s(work) == pytest.approx(worst if nvm == "flash" else measured)


def test_a_reading_that_promises_too_much_loses_the_charge() -> None:
    """The third tile is begun, dies, and the two before it with it; promising less only costs."""
    charge = START_S + 2.35 + COMMIT_S
    honest, liar, modest = (
        _run(_guided(4, believe=lambda joules, add=add: joules + add), charge)
        for add in (0.0, 0.1, -0.1)
    )
    assert honest.charges[0] == 2 and np.isinf(liar.time_s[0])
    assert honest.time_s[0] < modest.time_s[0] < np.inf


def test_what_streamed_is_not_written_again() -> None:
    """A burst behind each tile but the last, under way while the next computes."""
    charge = START_S + 4 * 1.2 + 1.0
    alone, behind = _run(_guided(4), charge), _run(_guided(4, burst_s=0.01), charge)
    assert alone.nvm_bytes[0] == behind.nvm_bytes[0] == 4 * TILE_BYTES + 64
    assert alone.commit_s[0] == pytest.approx(COMMIT_S + 4 * TILE_BYTES * BYTE_S)
    # The last burst begins when all tiles are done: the commit waits for it.
    assert behind.commit_s[0] == pytest.approx(COMMIT_S + TILE_BYTES * BYTE_S + 4 * 0.01)


def test_a_burst_under_way_keeps_the_next_from_starting() -> None:
    """Bursts of 1.5 s behind tiles of 1 s: every second boundary finds one under way."""
    slow = _guided(4, byte_s=0.015, burst_s=0.0)
    tally = _run(slow, 20.0)
    # Bursts behind tiles 1 (100 bytes, 1.5 s) and 3 (200 bytes, 3 s); 1 s of that in tile 4.
    assert tally.commit_s[0] == pytest.approx(COMMIT_S + 2.0 + 1.5)


REST = Rest(0.005, 0.9, 0.01, 8, 1e-4)


def test_asleep_under_a_strong_harvest_no_boot_is_paid() -> None:
    charge = START_S + 2.4
    tired, rested = (_run(_guided(12, rest=each), charge, 40.0) for each in (None, REST))
    assert rested.charges[0] == 1 < tired.charges[0]
    assert rested.time_s[0] < tired.time_s[0] and rested.sleep_s[0] > 0


def test_asleep_under_a_weak_harvest_a_look_is_all_that_is_lost() -> None:
    charge = START_S + 2.4
    tired, looked = (_run(_guided(12, rest=each), charge, 4.0) for each in (None, REST))
    assert looked.charges[0] == tired.charges[0]
    look_s = 0.005 * 0.01 / 0.1 + 1e-4
    assert looked.sleep_s[0] <= look_s * looked.commits[0] + 1e-12


@pytest.mark.parametrize(("left_s", "looks"), [(0.75, 1), (0.6, 3)])
def test_from_the_second_charge_on_a_tile_that_may_be_kept_comes_before_a_look(
    left_s: float, looks: int
) -> None:
    """Half a tile and its commit take 0.65 s. A tile a charge; behind the last nobody looks."""
    tally = _run(_guided(4, rest=REST), START_S + 1.1 + COMMIT_S + left_s)
    assert tally.charges[0] == tally.commits[0] == 4
    look_s = 0.005 * 0.01 / 0.1 + 1e-4
    assert tally.sleep_s[0] == pytest.approx(looks * look_s)


@given(st.integers(0, 10_000), st.floats(1.05, 4.0), st.floats(0.2, 0.9))
@settings(max_examples=8, deadline=None)
def test_where_no_sleep_pays_the_looks_take_no_more_than_the_first_charge_s(
    seed: int, slack: float, times: float
) -> None:
    """From then on they are made of what would be lost without them."""
    study = study_of(RandomNet(seed).graph(5), slack, steady(times * SLOW.energy.sleep_mw), 1)
    assert study.plan is not None
    work, rest = Work.of(study.costs, study.plan.tiles), ours.sleeper(study)
    never, now = (
        follow_voltage(ours.guided(study, work, each), study.supply, study.begins)
        for each in (None, rest)
    )
    assert now.charges[0] <= never.charges[0] + 1


@pytest.mark.parametrize("times", [0.5, 1.2, 2.0, 4.0, 9.0, 19.0])
@pytest.mark.parametrize("stored", [0.01, 0.04])
def test_the_simulator_sleeps_as_the_firmware_does(times: float, stored: float) -> None:
    """Look by look, from what is stored under a harvest of so many times what sleep takes."""
    plan = paced(3)
    von2, voff2 = (1e6 * volts**2 for volts in (plan.budget.von_v, plan.budget.voff_v))
    watt, charge_j = 0.005, 0.002
    per_j = (von2 - voff2) / charge_j
    board = Charging(
        plan, (times - 1) * watt * 1e-3 * per_j, (voff2 + stored * (von2 - voff2)) ** 0.5
    )
    cycles = watt * 1e-3 * per_j * plan.pace.mv2 / 65536
    board.rest_with_hook(round(cycles))
    board.start()
    board.session.tile, reading = 0, board.mv2
    while board.step() == RL_RESTED and len(board.rests) < 200:
        pass
    rest = Rest(watt, 0.75, board.rests[0] * 1e-3, 8, 0.0)
    half_s = np.full(5, charge_j / 2 / 0.1)  # what the firmware takes a start for without one
    free = {"commit_s": np.zeros(5), "dirty": np.zeros((5, 5))}
    ours = _guided(4, worst=0.0, rest=rest, start_s=half_s, **free)
    supply = Supply(steady(times * watt * 1e3), 0.1, charge_j)
    runs, who = _Runs.at(np.zeros(1)), np.zeros(1, np.int64)
    runs.feed(supply, who, np.zeros(1), np.array([(reading - voff2) / per_j]))
    runs.on[:], runs.asleep[:] = True, True
    runs.look[:], runs.seen[:] = rest.first_s, (reading - voff2) / per_j
    looks = []
    while runs.asleep[0]:
        looks.append(round(runs.look[0] * 1e3))
        _sleep(ours, rest, supply, runs, who)
    assert looks == board.rests


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(conv_net(), 4.0, steady(3.0))


def test_the_reading_is_never_above_the_truth(study: Study) -> None:
    guided = ours.guided(study, study.whole, None)
    joules = np.linspace(0.0, study.supply.charge_j, 50)
    believed = guided.believe(joules)
    assert (believed[1:] < joules[1:]).all() and believed[0] == 0
    assert believed[-1] > 0.85 * joules[-1]


def test_what_is_dirty_is_the_commits_of_the_plan(study: Study) -> None:
    plan = study.plan
    assert plan is not None
    dirty = ours.dirty_bytes(Work.of(study.costs, plan.tiles))
    for segment in plan.segments:
        assert dirty[segment.start, segment.end] == segment.commit_bytes


@given(st.integers(0, 10_000), st.floats(1.05, 8.0))
@settings(max_examples=8, deadline=None)
def test_all_energy_is_accounted_for(seed: int, slack: float) -> None:
    """Drawn while on = starts, compute, commits, lost; each byte that the result needs written."""
    study = random_study(seed, slack)
    tally = run_policy(study, "relume").tally
    assert tally is not None and np.isfinite(tally.time_s).all()
    whole = ours.guided(study, Work.of(study.costs, study.plan.tiles), None)  # type: ignore[union-attr]
    assert tally.useful_s == pytest.approx(np.full(len(tally.time_s), whole.compute_s.sum()))
    drawn = (tally.spent_s * study.supply.active_w).max()
    assert (
        drawn
        <= tally.charges.max() * study.supply.charge_j
        + study.supply.total(study.begins + tally.time_s).max()
    )


def test_commit_overhead_counts_the_input_and_every_commit(study: Study) -> None:
    plan = study.plan
    assert plan is not None
    work = Work.of(study.costs, plan.tiles)
    ends = np.array([segment.end for segment in plan.segments])
    share = ours.overhead(work, ours.fixed_route(work, ends))
    only_last = ours.overhead(work, ours.fixed_route(work, ends[-1:]))
    assert 0 < only_last < share < 1
