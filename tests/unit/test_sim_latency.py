"""Times of one plan on a harvest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from relume.board.profile import BoardProfile, load_board
from relume.errors import PlanError
from relume.plan.planner import make_plan, smallest_capacitor
from relume.plan.types import Plan
from relume.power.capacitor import Budget
from relume.sim.latency import latency
from relume.sim.study import Study, run_policy

from tests.unit.sim_nets import SLOW, conv_net, rf_trace, steady, study_of


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(conv_net(), 4.0, rf_trace(7), starts=40)


@pytest.mark.parametrize("reading", [True, False])
def test_the_latency_is_that_of_the_policy(study: Study, reading: bool) -> None:
    plan = study.plan
    assert plan is not None
    found = latency(plan, SLOW, study.trace, reading=reading, starts=40)
    outcome = run_policy(study, "relume" if reading else "relume-fixed")
    assert (found.p50_s, found.p95_s) == (outcome.quantile(0.5), outcome.quantile(0.95))
    assert 0 < found.p50_s < found.p95_s and found.never == 0


def test_a_stronger_harvest_is_never_slower(study: Study) -> None:
    plan = study.plan
    assert plan is not None
    weak, strong = (latency(plan, SLOW, steady(mw), starts=5) for mw in (1.0, 10.0))
    assert strong.p50_s < weak.p50_s and strong.charges <= weak.charges


def test_a_plan_for_another_nvm_is_refused(study: Study) -> None:
    plan = study.plan
    assert plan is not None
    with pytest.raises(PlanError, match="planned for file"):
        latency(replace(plan, nvm="file"), SLOW, steady(3.0))


@pytest.fixture(scope="module", params=["RPI_PICO", "PCA10056"])
def on_flash(request: pytest.FixtureRequest) -> tuple[Plan, BoardProfile]:
    """A plan for the smallest capacitor that erases a sector."""
    board = load_board(request.param)
    graph, von, voff = conv_net(), board.supply.von_v, board.supply.voff_v
    cap_f = smallest_capacitor(graph, board, von, voff, "flash")
    return make_plan(graph, board, Budget(cap_f, von, voff), "flash"), board


def test_plans_on_flash_have_times_too(on_flash: tuple[Plan, BoardProfile]) -> None:
    """The charge's own time and a run of at least its tiles, at typical page times."""
    plan, board = on_flash
    found = latency(plan, board, steady(3.0), starts=5)
    charging = plan.charge_uj * 1e-6 / 3e-3
    tiles = sum(segment.typical_cycles for segment in plan.segments) / board.hz
    assert found.charges >= 1 and found.never == 0
    assert charging * found.charges + tiles < found.p50_s < charging * (found.charges + 1)


def test_pages_and_erases_that_take_longer_make_inferences_slower(
    on_flash: tuple[Plan, BoardProfile],
) -> None:
    plan, board = on_flash
    assert board.flash is not None
    usual = latency(plan, board, steady(3.0), starts=5)
    pages, erases = (
        replace(board, flash=replace(board.flash, **{name: 3 * getattr(board.flash, name)}))
        for name in ("program_typical_ms", "erase_typical_ms")
    )
    for slow in (pages, erases):
        assert latency(plan, slow, steady(3.0), starts=5).p50_s > usual.p50_s
