"""The simulator's charges against the firmware's: the same planned segments and capacitor.

Segment and resume times are the emulated board's own, so that what is compared is the simulator's
supply, its restarts and its rule for what a charge keeps, not the cost model's margins.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.model.dead import without_dead_channels
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Pace
from relume.power.trace import constant
from relume.sim.route import Route, Tally, follow
from relume.sim.supply import Supply
from relume_boards.virtual.record import BoardEvent, Run

from tests.emulated.bench import BOARD
from tests.emulated.test_inference import Bench
from tests.shared import model_file, model_input

CAP_UF, MILLIWATT = 330, 3.0


def _segments(events: list[BoardEvent]) -> dict[int, float]:
    """First tile of a segment -> seconds to its commit, from the first resume on."""
    found: dict[int, float] = {}
    resumed = False
    for before, after in itertools.pairwise(events):
        resumed = resumed or before.kind == "resumed"
        if resumed and after.kind in ("committed", "done") and after.tile > before.tile:
            found[before.tile] = (after.boot_us - before.boot_us) * 1e-6
    return found


def _predicted(
    segments: dict[int, float], resume_s: float, first: int, begin: float, slower: float = 1.0
) -> Tally:
    """From the brown-out at `begin` on, with the segments from tile `first` on."""
    times = [seconds * slower for tile, seconds in sorted(segments.items()) if tile >= first]
    ends = np.concatenate(([0.0], np.cumsum(times)))
    zeros, places = np.zeros(len(ends)), np.arange(len(ends))
    route = Route(
        ends, zeros, zeros, places * 1.0, np.full(len(ends), resume_s), places[1:], places
    )
    supply = BOARD.supply
    joules = Budget(CAP_UF * 1e-6, supply.von_v, supply.voff_v).charge_uj * 1e-6
    harvest = Supply(constant(MILLIWATT * 1e-3), BOARD.energy.active_mw * 1e-3, joules)
    return follow([route], harvest, np.array([begin]))


def _observed(run: Run, events: list[BoardEvent]) -> tuple[float, int, float, int, float, float]:
    """(begin, first tile, a resume's seconds, charges, active seconds, seconds to the end)."""
    first = next(event for event in events if event.kind == "resumed")
    done = next(event for event in events if event.kind == "done")
    ons = [change.t for change in run.power if change.on and change.t < done.t]
    offs = [change.t for change in run.power if not change.on]
    on = max(t for t in ons if t < first.t)
    begin = max(t for t in offs if t < on)
    mine = [t for t in ons if t >= on]
    ends = [min([t for t in offs if t > start] + [done.t]) for start in mine]
    active = sum(end - start for start, end in zip(mine, ends, strict=True))
    return begin, first.tile, first.t - on, len(mine), active, done.t - begin


@pytest.mark.emulated
@pytest.mark.heavy
def test_charges_and_active_time_are_those_of_the_firmware() -> None:
    graph = without_dead_channels(read_tflite(model_file("kws")))
    budget = Budget(CAP_UF * 1e-6, BOARD.supply.von_v, BOARD.supply.voff_v)
    plan = dataclasses.replace(make_plan(graph, BOARD, budget), pace=Pace())
    image, data = pack(plan), model_input("kws")
    blob = read_blob(image)
    with Bench(f"cap={CAP_UF}uF&power={MILLIWATT:g}mW&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.unplug(empty=True)
        result = bench.board.run(data, blob=blob)
        run, events = bench.emulated.run, bench.emulated.events
    segments = _segments(events)
    begin, first, resume_s, charges, active_s, time_s = _observed(run, events)
    assert charges >= 3 and result.charges >= charges
    tally = _predicted(segments, resume_s, first, begin)
    assert tally.charges[0] == charges
    assert tally.spent_s[0] == pytest.approx(active_s, rel=0.05)
    assert tally.time_s[0] == pytest.approx(time_s, rel=0.05)
    slower = _predicted(segments, resume_s, first, begin, slower=1.5)
    assert slower.spent_s[0] > 1.05 * active_s
