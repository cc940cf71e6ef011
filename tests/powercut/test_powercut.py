"""Power is lost at every point of whole inferences: nothing is lost, doubled or wrong.

SECURITY S1, S2, S4, S5.
"""

from __future__ import annotations

import pytest
from relume.model.graph import Kind

from tests.powercut import harness, plans

KINDS = ("fram", "flash", "file")
NETS = range(24)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_leaves_the_old_or_the_new_state_and_the_same_output(kind: str) -> None:
    cuts = 0
    for seed in NETS:
        found = harness.survives(harness.blob_file(seed, kind), kind, "--seeds", "4")
        assert found["old"] > 0 and found["new"] > 0, "a run without cuts around records"
        cuts += found["cuts"]
    assert cuts > 20_000


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_inside_ops_with_repeated_operands_change_nothing(kind: str) -> None:
    for seed in range(3):
        blob = harness.blob_file(seed, kind, gates=1)
        found = harness.survives(blob, kind, "--real", "--seeds", "2")
        assert found["old"] > 0 and found["new"] > 0


@pytest.mark.parametrize(("kind", "least"), [("fram", 300_000), ("flash", 50_000)])
def test_a_second_cut_at_any_point_of_any_recovery_changes_nothing(kind: str, least: int) -> None:
    cuts = 0
    for seed in (1, 6, 16):
        blob = harness.blob_file(seed, kind)
        arguments = ("--depth", "2", "--inferences", "1", "--seeds", "3")
        cuts += harness.survives(blob, kind, *arguments)["cuts_2"]
    assert cuts > least


def test_nets_that_are_cut_move_bytes_in_several_tiles() -> None:
    """What the test above cuts is cut inside these ops, too."""
    cut = set()
    for seed in NETS:
        plan = plans.random_plan(seed)
        cut |= {plan.graph.ops[tile.op].kind for tile in plan.tiles if tile.first}
    assert cut >= {Kind.GATHER, Kind.CONCATENATION}


def test_three_cuts_in_a_row_change_nothing() -> None:
    for kind in ("fram", "flash"):
        blob = harness.blob_file(6, kind)
        found = harness.survives(blob, kind, "--depth", "3", "--inferences", "1", "--every", "8")
        assert found["cuts_3"] > 1000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fill", [0, 255, 256])
def test_a_new_nvm_may_hold_anything(kind: str, fill: int) -> None:
    for seed in (2, 3, 10):
        harness.survives(harness.blob_file(seed, kind), kind, "--fill", str(fill))


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_may_lie_anywhere_in_the_nvm(kind: str) -> None:
    base = "8192" if kind == "flash" else "1000"
    harness.survives(harness.blob_file(0, kind), kind, "--base", base)


def test_fram_above_64_kb_takes_three_address_bytes() -> None:
    blob = harness.blob_file(0, "fram")
    harness.survives(blob, "fram", "--base", "70000", "--soak", "200", "--inferences", "20")


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernels_really_compute_again_what_was_lost(kind: str) -> None:
    for seed in range(8):
        harness.survives(harness.blob_file(seed, kind), kind, "--real")


def test_a_large_tensor_runs_over_pages_and_sectors_of_flash() -> None:
    blob = harness.blob_file(13, "flash", scale=10)
    found = harness.survives(blob, "flash", "--inferences", "4")
    assert found["size"] > 6 * 4096 and found["erases"] > 8


def test_no_tensor_passes_for_a_record() -> None:
    for kind in KINDS:
        for seed in (13, 0):
            blob = harness.blob_file(seed, kind, scale=2)
            harness.survives(blob, kind, "--forge", "--seeds", "6")


@pytest.mark.parametrize("kind", KINDS)
def test_random_brownouts_over_many_inferences(kind: str) -> None:
    for seed in range(6):
        blob = harness.blob_file(seed, kind)
        harness.survives(blob, kind, "--soak", "100000", "--inferences", "150")


def test_flash_sectors_wear_evenly_in_spite_of_brownouts() -> None:
    blob = harness.blob_file(0, "flash")
    arguments = ("--soak", "1000000", "--inferences", "5000", "--size", str(8 * 4096))
    found = harness.survives(blob, "flash", *arguments)
    assert found["wear_low"] > 1000
    assert found["wear_high"] - found["wear_low"] <= 2 + found["wear_low"] // 75


@pytest.mark.parametrize("kind", ["fram", "flash"])
@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_a_weak_supply_gets_through_with_smaller_parts(kind: str, tiles: int) -> None:
    for seed in range(8):
        harness.survives(harness.blob_file(seed, kind), kind, "--starve", str(tiles))


@pytest.mark.parametrize("kind", ["fram", "flash"])
def test_a_tile_that_never_fits_ends_in_the_state_stuck(kind: str) -> None:
    for seed in range(8):
        found = harness.survives(harness.blob_file(seed, kind), kind, "--starve", "0")
        assert 8 < found["lives"] < 20


@pytest.mark.parametrize("kind", KINDS)
def test_an_nvm_that_refuses_any_call_is_noticed(kind: str) -> None:
    for seed in (1, 6):
        assert harness.survives(harness.blob_file(seed, kind), kind, "--refuse")["cuts"] > 40


def test_a_flash_that_refuses_any_call_of_a_long_commit_is_noticed() -> None:
    blob = harness.blob_file(31, "flash", scale=4)
    found = harness.survives(blob, "flash", "--refuse", "--inferences", "2")
    assert found["cuts"] > 1000


@pytest.mark.parametrize("kind", KINDS)
def test_an_nvm_that_stops_taking_writes_is_noticed(kind: str) -> None:
    for seed in (1, 6):
        assert harness.survives(harness.blob_file(seed, kind), kind, "--deaf")["cuts"] > 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_never_gives_a_wrong_output(kind: str) -> None:
    for seed in (3, 6):
        found = harness.survives(harness.blob_file(seed, kind), kind, "--rot")
        assert found["old"] > 0, "no flip was refused"


@pytest.mark.parametrize("kind", KINDS)
def test_no_memory_error_under_sanitizers(kind: str) -> None:
    binary = harness.program(harness.SANITIZED)
    for seed in (4, 9):
        blob = harness.blob_file(seed, kind)
        harness.survives(blob, kind, "--real", binary=binary)
    blob = harness.blob_file(2, kind)
    harness.survives(blob, kind, "--refuse", binary=binary)
    harness.survives(blob, kind, "--starve", "0", binary=binary)
    harness.survives(blob, kind, "--rot", "--inferences", "1", binary=binary)
