"""The simulator's charges against the firmware's: the same planned segments and capacitor."""

from __future__ import annotations

import dataclasses

import pytest
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.model.dead import without_dead_channels
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Pace

from tests.emulated.bench import BOARD
from tests.emulated.forecast import forecast, observed, segments
from tests.emulated.test_inference import Bench
from tests.shared import model_file, model_input

CAP_UF, MILLIWATT = 330, 3.0


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
    seen = observed(run, events, budget.cap_f, MILLIWATT * 1e-3)
    assert seen.charges >= 3 and result.charges >= seen.charges
    tally = forecast(segments(events), seen, budget.cap_f, MILLIWATT * 1e-3)
    assert tally.charges[0] == seen.charges
    assert tally.spent_s[0] == pytest.approx(seen.active_s, rel=0.05)
    assert tally.time_s[0] == pytest.approx(seen.time_s, rel=0.05)
    slower = forecast(segments(events), seen, budget.cap_f, MILLIWATT * 1e-3, slower=1.5)
    assert slower.spent_s[0] > 1.05 * seen.active_s
