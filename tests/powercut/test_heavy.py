"""The long suites of power cuts: many more nets, two cuts everywhere, and real models.

SECURITY S2.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.powercut import harness
from tests.shared import model_file

pytestmark = pytest.mark.heavy
KINDS = ("fram", "flash", "file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", range(24, 424, 40))
def test_every_cut_of_many_nets_survives(kind: str, first: int) -> None:
    cuts = 0
    for seed in range(first, first + 40):
        cuts += harness.survives(harness.blob_file(seed, kind), kind, "--seeds", "4")["cuts"]
    assert cuts > 40_000


@pytest.mark.parametrize("kind", ["fram", "flash"])
@pytest.mark.parametrize("seed", range(2, 16))
def test_a_second_cut_anywhere_survives(kind: str, seed: int) -> None:
    blob = harness.blob_file(seed, kind)
    found = harness.survives(blob, kind, "--depth", "2", "--inferences", "1", "--seeds", "2")
    assert found["cuts_2"] > 1000


@pytest.mark.parametrize("kind", ["fram", "flash"])
@pytest.mark.parametrize("name", ["kws", "ad"])
def test_cuts_of_a_real_model_survive(kind: str, name: str, tmp_path: Path) -> None:
    from relume.blob.pack import pack
    from relume.board.profile import load_board
    from relume.model.tflite_reader import read_tflite
    from relume.plan.planner import Budget, make_plan

    graph = read_tflite(model_file(name))
    plan = make_plan(graph, load_board("RPI_PICO"), Budget(10e-3, 5.0, 1.8), kind)
    blob = tmp_path / f"{name}.rlm"
    blob.write_bytes(pack(plan))
    # FRAM: some of the bytes. Flash: every operation, torn in four ways.
    density = {"fram": ("--every", "97"), "flash": ("--every", "1", "--seeds", "4")}[kind]
    found = harness.survives(blob, kind, *density, "--inferences", "1")
    assert found["cuts"] > 100
