"""Times of one plan on a harvest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from relume.errors import PlanError
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
    with pytest.raises(PlanError, match="planned for flash"):
        latency(replace(plan, nvm="flash"), SLOW, steady(3.0))
