"""Other policies as plans for the firmware: same bytes, the simulator's charges, ours first."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from relume.model.dead import without_dead_channels
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, sufficient_capacitor
from relume.plan.types import Plan
from relume.power.trace import constant
from relume.sim.firmware import firmware_plan, firmware_tally
from relume.sim.study import Study, run_policy

from tests.emulated.alone import Alone
from tests.emulated.bench import BOARD
from tests.emulated.forecast import forecast, observed, segments
from tests.emulated.test_inference import random_bytes
from tests.kernels.netgen import random_net
from tests.shared import model_file, model_input

pytestmark = pytest.mark.emulated

WATTS = 3e-3
POLICIES = ("relume-fixed", "layerwise", "nodpa", "inasplus", "dynbal")
SEED = 4
NET = random_net(SEED)


@dataclass(frozen=True)
class Ran:
    """A policy's run on the emulated Pico, and what the simulator's cost model expects."""

    seconds: float
    expected: float


def _study(model: bytes, cap_f: float) -> Study:
    graph = without_dead_channels(read_tflite(model))
    budget = Budget(cap_f, BOARD.supply.von_v, BOARD.supply.voff_v)
    return Study(graph, BOARD, budget, constant(WATTS), starts=1)


def _plan(study: Study, name: str) -> Plan:
    return firmware_plan(study, run_policy(study, name))


def _run(study: Study, plan: Plan, data: bytes, output: bytes) -> Alone:
    """To the output, which is right; the input and every tile's output were committed."""
    board = Alone(plan, data, study.budget.cap_f, WATTS)
    board.run()
    assert board.output() == output
    assert board.commits == len(plan.segments) + 1
    return board


def _compare(study: Study, plan: Plan, board: Alone) -> Ran:
    """By its own segments' times the simulator has the run's charges, active time and time."""
    seen = observed(board.pico.run_record, board.events, study.budget.cap_f, WATTS)
    tally = forecast(segments(board.events), seen, study.budget.cap_f, WATTS)
    assert tally.charges[0] == seen.charges
    assert tally.spent_s[0] == pytest.approx(seen.active_s, rel=0.05)
    assert tally.time_s[0] == pytest.approx(seen.time_s, rel=0.05)
    return Ran(seen.time_s, float(firmware_tally(study, plan).time_s[0]))


@pytest.mark.parametrize("name", POLICIES)
def test_a_small_net_is_computed_as_another_policy_would(name: str) -> None:
    graph = read_tflite(NET)
    supply = BOARD.supply
    cap_f = 2 * sufficient_capacitor(graph, BOARD, supply.von_v, supply.voff_v, "fram", "exact")
    study = _study(NET, cap_f)
    data = random_bytes(graph.tensors[graph.input].size, SEED)
    _run(study, _plan(study, name), data, reference_output(NET, data))


@pytest.mark.heavy
def test_ours_is_first_on_the_board_too() -> None:
    """Keyword spotting on 330 uF, several charges each."""
    model, data = model_file("kws").read_bytes(), model_input("kws")
    study, output = _study(model, 330e-6), reference_output(model, data)
    plans = {name: _plan(study, name) for name in POLICIES}
    ran = {name: _compare(study, plan, _run(study, plan, data, output))
           for name, plan in plans.items()}  # fmt: skip
    ours = ran.pop("relume-fixed")
    assert all(ours.seconds < other.seconds for other in ran.values())
    assert all(ours.expected < other.expected for other in ran.values())
