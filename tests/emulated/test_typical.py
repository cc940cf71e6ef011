"""What plans typically expect of a board, against the emulated Pico, every flash miss counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relume.model.dead import without_dead_channels
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import make_plan
from relume.plan.types import Pace, Plan
from relume.power.capacitor import Budget
from relume.power.trace import constant
from relume.sim.firmware import firmware_plan, firmware_tally
from relume.sim.ours import fixed_route, start_s
from relume.sim.study import Study, run_policy
from relume.sim.work import Work

from tests.emulated.alone import Alone
from tests.emulated.bench import BOARD
from tests.emulated.forecast import observed
from tests.shared import model_file, model_input

pytestmark = [pytest.mark.emulated, pytest.mark.heavy]

ENOUGH = 0.2  # watt: more than the board draws
WATTS = 3e-3
CLOSE = 0.05


def _study(name: str, cap_f: float) -> tuple[Study, Plan]:
    """A model, and its plan for a board that does not look at the voltage."""
    graph = without_dead_channels(read_tflite(model_file(name)))
    budget = Budget(cap_f, BOARD.supply.von_v, BOARD.supply.voff_v)
    plan = replace(make_plan(graph, BOARD, budget), pace=Pace())
    return Study(graph, BOARD, budget, constant(WATTS), starts=1, made=plan), plan


@pytest.mark.parametrize(("name", "cap_f"), [("kws", 330e-6), ("vww", 470e-6), ("ic", 470e-6)])
def test_an_inference_takes_what_is_typical(name: str, cap_f: float) -> None:
    """From turn-on to the output's commit, and its segments alone; the power never fails."""
    study, plan = _study(name, cap_f)
    board = Alone(plan, model_input(name), cap_f, ENOUGH, traced=True)
    board.run()
    resumed, done = (
        next(e for e in board.events if e.kind == kind) for kind in ("resumed", "done")
    )
    assert board.charges == 1
    work = Work.of(study.costs, plan.tiles)
    expected = float(fixed_route(work, np.array([one.end for one in plan.segments])).ends[-1])
    seen = (done.boot_us - resumed.boot_us) * 1e-6
    assert expected == pytest.approx(seen, rel=CLOSE)
    assert expected + start_s(work)[0] == pytest.approx(done.boot_us * 1e-6, rel=CLOSE)
    worst = sum(segment.worst_cycles for segment in plan.segments) / BOARD.hz
    assert worst > (1 + CLOSE) * seen, "the worst case is not what is typical"


@pytest.mark.parametrize("name", ["relume-fixed", "layerwise"])
def test_the_plans_own_costs_foretell_charges_and_times(name: str) -> None:
    """Keyword spotting, 330 uF, 3 mW."""
    cap_f = 330e-6
    study, _ = _study("kws", cap_f)
    plan = firmware_plan(study, run_policy(study, name))
    board = Alone(plan, model_input("kws"), cap_f, WATTS, traced=True)
    board.run()
    seen = observed(board.pico.run_record, board.events, cap_f, WATTS)
    tally = firmware_tally(study, plan)
    assert tally.charges[0] == seen.charges >= 3
    assert tally.spent_s[0] == pytest.approx(seen.active_s, rel=CLOSE)
    assert tally.time_s[0] == pytest.approx(seen.time_s, rel=CLOSE)
