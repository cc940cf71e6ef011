"""On the emulated Pico commits follow the capacitor's voltage, and the output stays the same.

SECURITY S6.
"""

from __future__ import annotations

import dataclasses

import pytest
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan, sufficient_capacitor
from relume.plan.types import Pace, Plan

from tests.emulated.alone import Alone
from tests.emulated.bench import BOARD
from tests.emulated.test_inference import random_bytes
from tests.kernels.netgen import random_net

pytestmark = pytest.mark.emulated

SUPPLY, SEED = BOARD.supply, 4
MODEL = random_net(SEED)


@pytest.fixture(scope="module")
def planned() -> tuple[Plan, float]:
    """A net on little more than the smallest capacitor for it: many segments of few tiles."""
    graph = read_tflite(MODEL)
    cap = sufficient_capacitor(graph, BOARD, SUPPLY.von_v, SUPPLY.voff_v, "fram", "exact")
    cap *= 1.2  # at 0.85 of the smallest the start alone takes the whole charge
    return make_plan(graph, BOARD, Budget(cap, SUPPLY.von_v, SUPPLY.voff_v)), cap


def finished(plan: Plan, cap: float, watts: float) -> Alone:
    """A run to the output, which is the reference's."""
    data = random_bytes(plan.graph.tensors[plan.graph.input].size, SEED)
    board = Alone(plan, data, cap, watts)
    board.run()
    assert board.output() == reference_output(MODEL, data)
    return board


def test_a_strong_harvest_passes_every_planned_commit(planned: tuple[Plan, float]) -> None:
    plan, cap = planned
    board = finished(plan, cap, 80e-3)
    assert board.charges == 1
    assert board.commits == 2 < len(plan.segments)  # input and output


def test_a_plan_that_is_not_followed_executes_every_commit(planned: tuple[Plan, float]) -> None:
    plan, cap = planned
    board = finished(dataclasses.replace(plan, pace=Pace()), cap, 80e-3)
    assert board.commits == len(plan.segments) + 1


@pytest.mark.parametrize("share", [1.0, 0.85])
def test_each_charge_ends_with_a_commit_just_before_it_is_empty(
    planned: tuple[Plan, float], share: float
) -> None:
    """Nothing is lost, also on a capacitor that is smaller than planned for. A second commit in a
    charge is behind a tile that was tried on hope, and kept."""
    plan, cap = planned
    board = finished(plan, share * cap, 2e-3)
    resumed = [event.tile for event in board.events if event.kind == "resumed"]
    late = sum(event.kind == "booted" for event in board.events)  # only to tell of the end
    assert len(resumed) + late == board.charges
    assert late <= 1 and len(resumed) >= 2
    assert resumed == sorted(set(resumed)), "a charge without progress"
    assert board.commits <= 2 * board.charges + 1
