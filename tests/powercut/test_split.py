"""Tiles that do not fit a charge are computed in parts, with a commit behind each (SPEC 4.8).

SECURITY S2, S5.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.plan.live import LiveMap

from tests.powercut import harness
from tests.powercut.harness import Fault
from tests.powercut.plans import random_plan

KINDS = ("fram", "flash", "file")
OWN_HOMES = {"paced": 2}
FAULTS = (
    Fault("units_counted_twice", "session_step.c",
          (("    tile.first += s->units;\n", ""),)),
    Fault("units_forgotten_by_the_record", "session_commit.c",
          (("    record.part = part_of(s);\n", "    record.part = 0;\n"),)),
    Fault("units_not_live_after_a_restore", "session_commit.c",
          (("        rl_live_grow(l, &done);\n", ""),)),
    Fault("halvings_forgotten", "session_commit.c",
          (("                             | s->halved << RL_HALVED_SHIFT);", ");"),)),
    Fault("parts_not_committed", "session_step.c",
          (("    } while (s->tile < end && s->units == 0);", "    } while (s->tile < end);"),)),
    Fault("tiles_never_halved", "session.c", (("    s->halved += more;\n", ""),)),
)  # fmt: skip


@pytest.mark.parametrize("options", [{}, OWN_HOMES], ids=["shared", "own"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_charge_of_less_than_a_tile_gets_through_in_parts(
    kind: str, options: dict[str, int]
) -> None:
    split = 0
    for seed in range(10):
        for units in (1, 5):
            blob = harness.blob_file(seed, kind, **options)
            split += harness.survives(blob, kind, "--ration", str(units))["split"]
    assert split > 1000


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000), st.sampled_from(KINDS), st.integers(1, 60), st.integers(1, 3),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_what_is_live_in_the_middle_of_a_tile_is_enough(
    seed: int, kind: str, units: int, scale: int, gates: bool, real: bool
) -> None:
    """SRAM is noise in each life but for what was restored."""
    blob = harness.blob_file(seed, kind, scale=scale, gates=int(gates))
    arguments = ("--ration", str(units), "--inferences", "1")
    try:
        harness.survives(blob, kind, *arguments, *(("--real",) if real else ()))
    finally:
        blob.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["fram", "flash"])
def test_a_cut_anywhere_between_parts_changes_nothing(kind: str) -> None:
    for seed, options in ((3, {}), (2, OWN_HOMES)):
        blob = harness.blob_file(seed, kind, **options)
        found = harness.survives(blob, kind, "--hungry", "3", "--inferences", "1")
        assert found["cuts"] > 100 and found["split"] > 1000


def test_parts_are_written_in_the_background_too() -> None:
    for seed in range(6):
        blob = harness.blob_file(seed, "fram", **OWN_HOMES)
        assert harness.survives(blob, "fram", "--ration", "3", "--behind")["split"] > 0


def test_a_reading_of_the_voltage_does_not_keep_a_tile_from_being_split() -> None:
    for volts in ("random", "high", "low"):
        for seed in range(4):
            blob = harness.blob_file(seed, "fram", **OWN_HOMES)
            harness.survives(blob, "fram", "--ration", "4", "--volts", volts)


@pytest.mark.parametrize("kind", KINDS)
def test_one_unit_that_never_fits_ends_in_the_state_stuck(kind: str) -> None:
    for seed in range(8):
        found = harness.survives(harness.blob_file(seed, kind), kind, "--ration", "0")
        assert 8 < found["lives"] < 8 + 17 + 16


def test_no_memory_error_in_parts_under_sanitizers() -> None:
    binary = harness.program(harness.SANITIZED)
    for kind in ("fram", "flash"):
        blob = harness.blob_file(3, kind)
        harness.survives(blob, kind, "--ration", "6", "--real", binary=binary)
        harness.survives(blob, kind, "--ration", "0", binary=binary)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_the_parts_is_caught(fault: Fault) -> None:
    binary = harness.faulty_program(fault)
    for seed in range(10):
        blob = harness.blob_file(seed, "fram")
        if harness.run(binary, blob, "fram", "--ration", "3", "--inferences", "1").code:
            return
    pytest.fail(f"{fault.name} survived")


def _flash_blob(seed: int, folder: Path, *, between_tiles: bool) -> Path:
    """A larger net; between_tiles: its nvm_size counts live bytes at tile boundaries alone."""
    plan = random_plan(seed, nvm="flash", scale=8, tiles=2)
    if between_tiles:
        live = LiveMap(plan.graph, plan.tiles)
        most = max(int(live.live_bytes.max()), *(t.size for t in plan.graph.tensors))
        plan = dataclasses.replace(plan, nvm_size=most)
    path = folder / f"{seed}-{between_tiles}.rlm"
    path.write_bytes(pack(plan))
    return path


def test_flash_has_room_for_a_commit_in_the_middle_of_a_tile(tmp_path: Path) -> None:
    full = 0
    for seed in range(12):
        arguments = ("--ration", "40", "--inferences", "1")
        harness.survives(_flash_blob(seed, tmp_path, between_tiles=False), "flash", *arguments)
        small = _flash_blob(seed, tmp_path, between_tiles=True)
        full += harness.run(harness.program(), small, "flash", *arguments).code
    assert full > 0, "the room between tiles was enough for all nets"
