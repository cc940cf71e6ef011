"""Every policy by name: `relume`, the oracle, and what was published. Rules: docs/SIMULATE.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from relume.plan.tiles import cut
from relume.sim import engines
from relume.sim import published as pub
from relume.sim.batches import follow_batches
from relume.sim.oracle import follow_oracle
from relume.sim.ours import ADC_S, relume, relume_fixed
from relume.sim.route import Route, Tally, follow
from relume.sim.snapshots import Snapshots, follow_snapshots
from relume.sim.study import Candidate, Study
from relume.sim.supply import FloatArray, IntArray
from relume.sim.work import TARGETS_MS, Work, units_for

MARGINS = (0.6, 0.8, 0.9, 1.0)
THRESHOLDS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
WAKE_SHARES = (0.1, 0.3, 1.0)  # of a charge, above V_H
LEVELS = 8


def oracle(study: Study) -> list[Candidate]:
    """See relume.sim.oracle."""
    work_s = float(study.whole.compute_s.sum())
    sleep_w = study.board.energy.sleep_mw * 1e-3

    return [Candidate("knows the harvest", lambda begins: follow_oracle(
        work_s, study.boot_s, study.supply, begins, sleep_w))]  # fmt: skip


def mementos(study: Study) -> list[Candidate]:
    """A look at the voltage behind each tile; below the threshold, a snapshot."""
    look = pub.adc_j(study.budget.von_v, ADC_S) / study.supply.active_w + ADC_S
    found = []
    for name, work in study.cuts.items():
        for factor in THRESHOLDS:
            policy = _snapshots(study, work, factor, look)
            setting = f"{name}, V_thresh at {factor:g} snapshots"
            found.append(_snapshot_candidate(study, setting, policy))
    return found


def _snapshots(study: Study, work: Work, factor: float, look_s: float = 0.0) -> Snapshots:
    size = study.snapshot_bytes(work)
    copy = float(work.access_s(size) + work.access_s(1.0))  # the marker of the bundle
    tiles = work.compute_s + look_s
    tiles[-1] += float(work.access_s(float(work.out_bytes[-1])))
    ends = np.concatenate(([0.0], np.cumsum(tiles)))
    low = copy * factor * study.supply.active_w
    fresh = float(work.start_s()[0])
    return Snapshots(ends, fresh, study.boot_s + copy, copy, size + 1, low)


def _snapshot_candidate(study: Study, setting: str, policy: Snapshots) -> Candidate:
    return Candidate(setting, lambda begins: follow_snapshots(policy, study.supply, begins))


def hibernus(study: Study) -> list[Candidate]:
    """One snapshot when the voltage falls to V_H, then sleep until it is back or gone."""
    return [one for work in study.works.values() for one in _hibernus(study, work)]


def _hibernus(study: Study, work: Work) -> list[Candidate]:
    """With this tiling, which matters for what a snapshot holds and what a tile costs."""
    base, budget = _snapshots(study, work, 1.0), study.budget
    snapshot_j = base.snapshot_s * study.supply.active_w
    volts = pub.hibernus_volts(snapshot_j, budget.cap_f, budget.voff_v)
    if volts >= budget.von_v:
        return []
    low = 0.5 * budget.cap_f * (volts**2 - budget.voff_v**2)
    found = []
    for share in WAKE_SHARES:
        policy = replace(
            base,
            low_j=low * (1 + 1e-9),
            anywhere=True,
            wake_j=low + share * (study.supply.charge_j - low),
            sleep_w=study.board.energy.sleep_mw * 1e-3,
        )
        setting = f"V_H {volts:.2f} V, V_R at {share:.0%}"
        found.append(_snapshot_candidate(study, setting, policy))
    return found


def bfree(study: Study) -> list[Candidate]:
    """Checkpoints of the interpreter's heap: at intervals, or when the power is about to fail."""
    found = []
    for name, work in study.cuts.items():
        share = min(1.0, study.snapshot_bytes(work) / pub.BFREE_HEAP)
        size = share * pub.BFREE_HEAP
        boot = max(pub.BFREE_BOOT_S, study.boot_s)
        copy, restore = share * pub.BFREE_CHECKPOINT_S, share * pub.BFREE_RESTORE_S
        for period in pub.BFREE_PERIODS_S:
            points = _each(work.compute_s, period)
            made = np.isin(np.arange(1, work.n_tiles + 1), points).astype(np.float64)
            start = np.full(work.n_tiles + 1, boot + restore)
            start[0] = boot + float(work.start_s()[0]) - study.boot_s
            route = Route.make(work, made * copy, made * size, start_s=start, points=points)
            setting = f"TIME {period * 1e3:g} ms, {name}"
            found.append(Candidate(setting, _route_runner(study, route)))
        base = _snapshots(study, work, 1.0)
        low = copy * study.supply.active_w * (1 + 1e-9)
        fresh = float(start[0])
        policy = Snapshots(base.ends, fresh, boot + restore, copy, round(size), low, True)
        found.append(_snapshot_candidate(study, f"TRIGGER, {name}", policy))
    return found


def _route_runner(study: Study, route: Route) -> Callable[[FloatArray], Tally]:
    return lambda begins: follow([route], study.supply, begins)


def _each(compute_s: FloatArray, period: float) -> IntArray:
    """Boundaries behind which `period` has passed since the last, and the end."""
    points, since = [], 0.0
    for tile, seconds in enumerate(compute_s):
        since += float(seconds)
        if since >= period:
            points.append(tile + 1)
            since = 0.0
    if not points or points[-1] != len(compute_s):
        points.append(len(compute_s))
    return np.array(points)


def chinchilla(study: Study) -> list[Candidate]:
    """Checkpoints disabled for a time that doubles with success and halves without progress."""
    found = []
    for ms in TARGETS_MS:
        if ms not in study.works:
            continue
        work = study.works[ms]
        routes = [_logged(work, _each(work.compute_s, ms * 1e-3 * 2**level))
                  for level in reversed(range(LEVELS))]  # fmt: skip
        found.append(Candidate(f"{ms:g} ms tiles", _levels_runner(study, routes)))
    return found


def _levels_runner(study: Study, routes: list[Route]) -> Callable[[FloatArray], Tally]:
    return lambda begins: follow(routes, study.supply, begins, up=True, last_first=True)


def _logged(work: Work, points: IntArray) -> Route:
    """Each tile's output and its undo log; registers at each checkpoint."""
    made = np.isin(np.arange(1, work.n_tiles + 1), points).astype(np.float64)
    log = work.access_s(2.0 * work.out_bytes, 2.0)
    registers = work.access_s(pub.CHINCHILLA_REGISTERS) * made
    nvm = 2.0 * work.out_bytes + pub.CHINCHILLA_REGISTERS * made
    return Route.make(work, log + registers, nvm, points=points)


def inas(study: Study) -> list[Candidate]:
    """One batch that fits a power cycle, written and counted, then off."""
    return [_batches(study, margin, False) for margin in MARGINS]


def inasplus(study: Study) -> list[Candidate]:
    """iNAS that goes on while the capacitor holds enough for the next batch."""
    return [_batches(study, margin, True) for margin in MARGINS] + [
        Candidate(name, _batch_runner(study, _indexed(work), True), work.tiles)
        for name, work in study.cuts.items()
    ]


def tinas(study: Study) -> list[Candidate]:
    """iNAS at TiNAS's margin, tiles by the least share of preservation and recovery."""
    return [_batches(study, pub.TINAS_MARGIN, False)]


def _indexed(work: Work) -> Route:
    commit = work.access_s(work.out_bytes) + work.access_s(pub.INAS_INDEX)
    start = work.start_s() + work.access_s(pub.INAS_INDEX)
    return Route.make(work, commit, work.out_bytes + pub.INAS_INDEX, start_s=start)


def _batches(study: Study, margin: float, go_on: bool) -> Candidate:
    work = inas_work(study, margin)
    tiles = work.tiles if go_on else None
    return Candidate(f"margin {margin:g}", _batch_runner(study, _indexed(work), go_on), tiles)


def _batch_runner(study: Study, route: Route, go_on: bool) -> Callable[[FloatArray], Tally]:
    return lambda begins: follow_batches(route, study.supply, begins, go_on)


def inas_work(study: Study, margin: float) -> Work:
    """The largest even pieces of each op whose power cycle Epc stays within margin * charge."""
    graph, costs, fine = study.graph, study.costs, next(iter(study.works.values()))
    index, start = float(fine.access_s(pub.INAS_INDEX)), fine.start_s()
    counts = []
    for number, op in enumerate(graph.ops):
        units = graph.units(op)
        reboot = float(start[:-1][fine.op == number].max())
        unit_s = float(fine.access_s(1.0 * graph.unit_bytes(op), 0.0))
        fixed = pub.inas_cycle_j(reboot, 0.0, index, 0.0, float(fine.access_s(0.0)), index)
        room = margin * study.supply.charge_s - fixed
        per_s = study.board.hz
        share = room * per_s / max(1.0, costs.ops[number].typical_slope + unit_s * per_s)
        cycles = costs.ops[number].typical_slope * share
        count = max(1, units_for(graph, costs, number, cycles))
        counts.append(-(-units // -(-units // count)))
    return Work.of(costs, cut(graph, counts))


POLICIES: dict[str, Callable[[Study], list[Candidate]]] = {
    "relume": relume,
    "relume-fixed": relume_fixed,
    "oracle": oracle,
    "restart": engines.restart,
    "layerwise": engines.layerwise,
    "mementos": mementos,
    "hibernus": hibernus,
    "bfree": bfree,
    "alpaca": engines.alpaca,
    "sonic": engines.sonic,
    "tails": engines.tails,
    "hawaii": engines.hawaii,
    "japari": engines.japari,
    "stateful": engines.stateful,
    "nodpa": engines.nodpa,
    "inas": inas,
    "inasplus": inasplus,
    "dynbal": engines.dynbal,
    "tinas": tinas,
    "chinchilla": chinchilla,
}
