"""The oracle bounds every policy, and is reached where it can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.sim.oracle import follow_oracle
from relume.sim.policies import POLICIES
from relume.sim.study import run_policy
from relume.sim.supply import Supply

from tests.unit.sim_nets import conv_net, random_study, rf_trace, steady, study_of

CLOSE = 1e-6


@given(
    st.integers(0, 10_000),
    st.floats(1.0, 12.0),
    st.sampled_from((2.0, 20.0, 60.0)),
)
@settings(max_examples=8, deadline=None)
def test_no_policy_beats_the_oracle(seed: int, slack: float, scale: float) -> None:
    study = random_study(seed, slack, scale, starts=6)
    best = run_policy(study, "oracle").tally
    assert best is not None
    for name in POLICIES:
        tally = run_policy(study, name).tally
        assert tally is None or (tally.time_s >= best.time_s - CLOSE).all(), name


@pytest.mark.parametrize("charge_s", [0.4, 0.7, 1.5])
def test_the_oracle_is_the_least_over_all_ways_to_spend_the_charges(charge_s: float) -> None:
    """Two or three charges, each ended early at every point of a grid: none is faster."""
    supply = Supply(rf_trace(3), 0.0825, 0.0825 * charge_s)
    work, boot, begins = charge_s * 1.6, charge_s * 0.1, np.array([0.0, 3.3, 11.0])
    got = follow_oracle(work, boot, supply, begins, sleep_w=1.0).time_s
    for begin, time in zip(begins, got, strict=True):
        paid = supply.total(np.array([begin])) + supply.charge_j
        least = np.inf
        for share in np.linspace(0.0, 1.0, 201):
            on = supply.when(paid)
            life = float(supply.life(on, np.full(1, supply.charge_j))[0])
            first = boot + share * (life - boot)
            used = first * supply.active_w
            second = supply.when(paid + used)
            left = work - (first - boot)
            if boot + left <= float(supply.life(second, np.full(1, supply.charge_j))[0]):
                least = min(least, float(second[0]) + boot + left - begin)
        assert time <= least + CLOSE
        assert time >= least * 0.98 - 0.1


def test_one_charge_that_suffices_costs_a_boot_and_the_work() -> None:
    supply = Supply(steady(1.0), 0.1, 0.1)
    tally = follow_oracle(0.5, 0.2, supply, np.zeros(1), 1.0)
    assert tally.time_s[0] == pytest.approx(0.1 / 0.001 + 0.7)
    assert tally.charges[0] == 1


def test_a_charge_that_the_boot_eats_never_ends() -> None:
    tally = follow_oracle(0.5, 1.2, Supply(steady(1.0), 0.1, 0.1), np.zeros(2), 1.0)
    assert np.isinf(tally.time_s).all()


def test_a_cheaper_oracle_would_be_noticed() -> None:
    """The bound is tight: ten per cent more work in it, and restart passes it."""
    study = study_of(conv_net(), 40.0, steady(3.0))
    restart = run_policy(study, "restart").tally
    assert restart is not None
    work = float(study.whole.compute_s.sum())
    worse = follow_oracle(work * 1.5, study.boot_s, study.supply, study.begins, 0.005)
    assert (restart.time_s < worse.time_s).any()
