"""The interpreter's start on capacitors that the plan does not know, on the emulated Pico.

SECURITY R1.
"""

from __future__ import annotations

import pytest
from relume.blob.reader import read_blob
from relume.model.reference import reference_output
from relume_boards.virtual.record import Run

from tests.emulated.test_early import planned, smallest
from tests.emulated.test_inference import BOARD, SUPPLY, Bench, random_bytes
from tests.kernels.netgen import random_net

pytestmark = pytest.mark.emulated

MODEL = random_net(11)
START_J = BOARD.boot.ms * 1e-3 * BOARD.energy.active_mw * 1e-3


def interpreter_starts(run: Run) -> int:
    """What goes on before the interpreter says "booted" too, but much earlier."""
    early_us = 0.7e3 * BOARD.boot.emulated_ms
    return sum(event.kind == "booted" and event.boot_us > early_us for event in run.events)


def charge_j(cap_f: float) -> float:
    return cap_f * (SUPPLY.von_v**2 - SUPPLY.voff_v**2) / 2


def test_a_larger_capacitor_than_the_plans_starts_the_interpreter() -> None:
    planned_f, real_f = smallest(MODEL), 2.2e-3
    assert charge_j(planned_f) < START_J < charge_j(real_f)
    image = planned(MODEL, planned_f)
    data = random_bytes(read_blob(image).input_tensor.size, 1)
    with Bench(f"cap={real_f * 1e9:.0f}nF&power=20mW&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.unplug(empty=True)
        result = bench.board.run(data, blob=read_blob(image))
        seen = interpreter_starts(bench.emulated.run)
        assert result.output == reference_output(MODEL, data)
        assert bench.emulated.wait_until(lambda run: interpreter_starts(run) > seen, 120)


@pytest.mark.parametrize("planned_f", [1e-3, 10e-3])
def test_a_smaller_capacitor_than_the_plans_finishes_and_hands_out(planned_f: float) -> None:
    real_f = smallest(MODEL)
    assert charge_j(real_f) < START_J
    image = planned(MODEL, planned_f)
    data = random_bytes(read_blob(image).input_tensor.size, 1)
    with Bench(f"cap={real_f * 1e9:.0f}nF&power=8mW&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.unplug(empty=True)
        seen = interpreter_starts(bench.emulated.run)
        results = [bench.board.run(data, number=n, blob=read_blob(image)) for n in range(2)]
        assert [result.output for result in results] == [reference_output(MODEL, data)] * 2
        assert interpreter_starts(bench.emulated.run) == seen, "no charge carries the start"
