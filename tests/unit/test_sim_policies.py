"""Each policy against the figure or formula that was published for it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from relume.power.capacitor import Budget
from relume.sim import engines, policies
from relume.sim import published as pub
from relume.sim.batches import follow_batches
from relume.sim.route import Route, follow
from relume.sim.snapshots import Snapshots, follow_snapshots
from relume.sim.study import Study, run_policy
from relume.sim.supply import Supply

from tests.unit.sim_nets import SLOW, conv_net, steady, study_of


@pytest.fixture(scope="module")
def study() -> Study:
    """Four convolutions, charges of about a fifth of them."""
    return study_of(conv_net(), 4.0, steady(3.0))


def _plain(ends: list[float], starts: float = 0.0) -> Route:
    """Boundaries with free commits."""
    n = len(ends)
    zeros = np.zeros(n)
    points = np.arange(1, n)
    return Route(np.array(ends), zeros, zeros, np.arange(n) * 1.0, np.full(n, starts), points,
                 np.arange(n))  # fmt: skip


def _supply(charge_s: float) -> Supply:
    return Supply(steady(1e-6), 0.1, 0.1 * charge_s)


def test_restart_finishes_only_within_one_charge() -> None:
    route = replace(_plain([0.0, 1.0, 2.0]), points=np.array([2]))
    for charge, finishes in ((2.01, True), (1.99, False)):
        tally = follow([route], _supply(charge), np.zeros(1))
        assert math.isfinite(tally.time_s[0]) == finishes


def test_layerwise_never_ends_when_a_layer_exceeds_a_charge() -> None:
    assert math.isinf(follow([_plain([0.0, 1.0, 3.1])], _supply(2.0), np.zeros(1)).time_s[0])
    tally = follow([_plain([0.0, 1.0, 2.9])], _supply(2.0), np.zeros(1))
    assert tally.charges[0] == 2 and tally.wasted_s[0] == pytest.approx(1.0, rel=1e-3)


def test_mementos_looks_through_the_published_resistance() -> None:
    assert pub.adc_ohm(3.0) == 3346 * 3 + 1041
    assert pub.adc_j(3.0, 1.0) == pytest.approx(9 / 11079)


def test_mementos_tears_a_snapshot_that_begins_too_late() -> None:
    base = Snapshots(np.arange(0.0, 5.01, 0.5), 0.0, 0.1, 0.3, 100, 0.0)
    late = follow_snapshots(replace(base, low_j=0.1 * 0.2), _supply(2.0), np.zeros(1))
    early = follow_snapshots(replace(base, low_j=0.1 * 0.8), _supply(2.0), np.zeros(1))
    assert math.isinf(late.time_s[0]) and math.isfinite(early.time_s[0])
    assert early.commits[0] >= early.charges[0] - 1


def test_hibernus_threshold_leaves_exactly_one_snapshot(study: Study) -> None:
    volts = pub.hibernus_volts(2e-3, 1e-3, 1.8)
    assert 0.5 * 1e-3 * (volts**2 - 1.8**2) == pytest.approx(2e-3)
    tally = run_policy(study, "hibernus").tally
    assert tally is not None and np.isfinite(tally.time_s).all()
    assert (tally.wasted_s < 1e-6).all()


def test_bfree_costs_what_was_measured_for_its_heap(study: Study) -> None:
    """118 ms boot, 74.6 ms checkpoint and 81.1 ms restore of 32 KB: 200 ms before any work."""
    assert pytest.approx(0.2, abs=0.001) == pub.BFREE_BOOT_S + pub.BFREE_RESTORE_S
    small = replace(study, budget=Budget(study.budget.cap_f / 4, 5.0, 1.8))
    assert small.supply.charge_s < pub.BFREE_BOOT_S
    assert run_policy(small, "bfree").livelock
    tally = run_policy(study, "bfree").tally
    assert tally is not None and (tally.charges > 1).all() and np.isfinite(tally.time_s).all()
    share = min(map(study.snapshot_bytes, study.works.values())) / pub.BFREE_HEAP
    again = pub.BFREE_BOOT_S + share * pub.BFREE_RESTORE_S
    assert (tally.start_s >= pub.BFREE_BOOT_S + (tally.charges - 1) * again - 1e-9).all()


def test_alpaca_copies_each_byte_twice(study: Study) -> None:
    tally = run_policy(study, "alpaca").tally
    outputs = sum(study.graph.tensors[op.output].size for op in study.graph.ops)
    assert tally is not None
    nvm = tally.nvm_bytes - tally.commits * (pub.ALPACA_ENTRY + pub.ALPACA_POINTER)
    assert nvm == pytest.approx(2.0 * outputs)


def test_sonic_stores_once_for_each_tap_and_output(study: Study) -> None:
    tally = run_policy(study, "sonic").tally
    assert tally is not None
    assert tally.commits == pytest.approx(4 * (3 * 3 * 8) * (12 * 12 * 8))
    assert tally.nvm_bytes == pytest.approx(4 * tally.commits)


def test_tails_halves_its_tile_until_one_fits() -> None:
    large, half, quarter = (_plain(list(np.arange(0.0, 12.01, step))) for step in (4.0, 2.0, 1.0))
    units = [np.arange(0, 13, step) for step in (4, 2, 1)]
    routes = [replace(route, units=u) for route, u in zip((large, half, quarter), units,
                                                          strict=True)]  # fmt: skip
    tally = follow(routes, _supply(2.5), np.zeros(1))
    # One charge fails with 4 s tiles; then 2 s tiles, one a charge.
    assert tally.charges[0] == 1 + 6 and tally.commits[0] == 6


def test_hawaii_writes_a_counter_and_its_version_behind_each_batch(study: Study) -> None:
    tally = run_policy(study, "hawaii").tally
    outputs = sum(study.graph.tensors[op.output].size for op in study.graph.ops)
    assert tally is not None
    assert tally.nvm_bytes == pytest.approx(outputs + (3 + 1) * tally.commits)


def test_japari_computes_and_writes_one_output_more_a_batch(study: Study) -> None:
    assert pub.japari_outputs(16) == 17
    work = study.whole
    tally = run_policy(study, "japari").tally
    outputs = float(work.out_bytes.sum())
    assert tally is not None
    assert tally.nvm_bytes == pytest.approx(outputs + tally.commits)
    assert (tally.useful_s > work.compute_s.sum()).all()


def test_stateful_searches_the_jobs_by_halves_and_writes_outputs_alone(study: Study) -> None:
    assert [pub.stateful_reads(jobs) for jobs in (1, 2, 3, 64, 65)] == [0, 1, 2, 6, 7]
    tally = run_policy(study, "stateful").tally
    assert tally is not None
    assert tally.nvm_bytes == pytest.approx(study.whole.out_bytes.sum())


def test_nodpa_records_take_little_more_than_a_byte(study: Study) -> None:
    assert pub.nodpa_record_bytes() == pytest.approx((255 * 1 + 4) / 256)
    hawaii, nodpa = (run_policy(study, name) for name in ("hawaii", "nodpa"))
    assert nodpa.tally is not None and hawaii.tally is not None
    assert nodpa.median(nodpa.tally.commit_s) < hawaii.median(hawaii.tally.commit_s)


def test_inas_needs_a_power_cycle_a_batch_and_each_fits(study: Study) -> None:
    assert pub.inas_cycle_j(1, 2, 3, 4, 5, 6) == 21
    for margin in policies.MARGINS:
        work = policies.inas_work(study, margin)
        written = work.access_s(work.out_bytes) + work.access_s(pub.INAS_INDEX)
        cycle = work.start_s()[:-1] + work.compute_s + written
        several = np.array([tile.count > 1 for tile in work.tiles])
        assert (cycle[several] <= margin * study.supply.charge_s).all()
    tally = run_policy(study, "inas").tally
    assert tally is not None and (tally.charges == tally.commits).all()
    assert (tally.wasted_s < 1e-9).all()


def test_inas_recharges_only_what_a_power_cycle_took() -> None:
    """V_pce: E_av - Epc is still there, so the pause lasts Epc by the harvested power."""
    supply = Supply(steady(1.0), 0.1, 0.2)
    tally = follow_batches(_plain([0.0, 1.0, 2.0], 0.5), supply, np.zeros(1), False)
    cycle = 1.5 * (0.1 - 0.001)
    assert tally.time_s[0] == pytest.approx(0.2 / 0.001 + 1.5 + cycle / 0.001 + 1.5)


def test_inasplus_goes_on_while_the_next_batch_fits() -> None:
    route = _plain([0.0, 1.0, 2.0, 3.0], 0.5)
    tally = follow_batches(route, _supply(2.6), np.zeros(1), True)
    assert tally.charges[0] == 2 and tally.wasted_s[0] == 0.0


def test_dynbal_takes_the_tile_that_costs_each_layer_least(study: Study) -> None:
    prices = [engines._reuse_and_refetch(study, work) for work in study.works.values()]
    best = np.minimum.reduce(prices)
    for candidate in engines.dynbal(study):
        assert candidate.run(study.begins).time_s.max() < math.inf
    for work, price in zip(study.works.values(), prices, strict=True):
        assert (best <= price).all()
        fits = work.start_s()[:-1] + work.compute_s < study.supply.charge_s
        assert fits.all() or np.isinf(price).any()


def test_tinas_uses_six_tenths_of_a_charge(study: Study) -> None:
    """24.4 mJ of 5 mF, 2.29 of 470 uF and 0.49 of 100 uF between 4.535 and 3.29 V, times 0.6."""
    for cap_f, mj in ((5e-3, 24.4), (470e-6, 2.29), (100e-6, 0.49)):
        assert 0.5e3 * cap_f * (4.535**2 - 3.29**2) == pytest.approx(mj, rel=0.01)
    assert pub.TINAS_MARGIN == 0.6
    tinas, inas = (run_policy(study, name) for name in ("tinas", "inas"))
    assert tinas.tally is not None and inas.tally is not None
    assert (tinas.tally.charges >= inas.tally.charges).all()


def test_chinchilla_lengthens_its_intervals_and_shortens_them_without_progress() -> None:
    fine = _plain([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    routes = [replace(fine, points=np.array([6])), fine]
    tally = follow(routes, _supply(2.5), np.zeros(1), up=True, last_first=True)
    # Fine: 2 s kept; coarse: nothing; fine: 2 s more; coarse: the rest.
    assert tally.charges[0] == 4 and math.isfinite(tally.time_s[0])


def test_relume_without_a_reading_follows_its_plan(study: Study) -> None:
    plan, outcome = study.plan, run_policy(study, "relume-fixed")
    assert plan is not None and outcome.tally is not None
    assert (outcome.tally.commits == len(plan.segments)).all()
    data = sum(segment.commit_bytes for segment in plan.segments)
    # Bursts carry bytes too that a later tile makes needless.
    assert (outcome.tally.nvm_bytes >= data + 64 * len(plan.segments)).all()
    assert outcome.tally.charges.max() <= plan.forecast()[0] + len(plan.segments)


def test_relume_is_refused_where_the_plan_is() -> None:
    study = study_of(conv_net(), 0.9, steady(3.0))
    for name in ("relume", "relume-fixed"):
        outcome = run_policy(study, name)
        assert outcome.livelock and outcome.facts()["time_p50_s"] is None
    assert SLOW.name == "RPI_PICO"
