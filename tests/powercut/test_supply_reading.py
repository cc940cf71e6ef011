"""The scheduler follows the supply's voltage, whatever it reads, and writes behind the tiles.

SECURITY S6, S7.
"""

from __future__ import annotations

import pytest

from tests.powercut import harness

VOLTS = ("random", "high", "low", "true")
NETS = range(8)


@pytest.mark.parametrize("kind", ["fram", "flash", "file"])
@pytest.mark.parametrize("volts", VOLTS)
def test_every_cut_survives_whatever_the_reading_says(kind: str, volts: str) -> None:
    for seed in NETS:
        blob = harness.blob_file(seed, kind, paced=1 + seed % 2)
        found = harness.survives(blob, kind, "--volts", volts, "--seeds", "2")
        assert found["old"] > 0 and found["new"] > 0


@pytest.mark.parametrize("volts", ["none", *VOLTS])
def test_every_cut_survives_while_bytes_are_written_behind_the_tiles(volts: str) -> None:
    streams = 0
    for seed in range(20):
        blob = harness.blob_file(seed, "fram", paced=1 + seed % 2)
        streams += harness.survives(blob, "fram", "--volts", volts, "--behind")["streams"]
    assert (streams == 0) if volts == "low" else (streams > 10)  # low: a commit behind every tile


@pytest.mark.parametrize("volts", ["random", "high"])
def test_a_second_cut_changes_nothing_either(volts: str) -> None:
    for seed in (1, 6):
        blob = harness.blob_file(seed, "fram", paced=1)
        arguments = ("--volts", volts, "--behind", "--depth", "2", "--inferences", "1")
        assert harness.survives(blob, "fram", *arguments, "--every", "20")["cuts_2"] > 1000


@pytest.mark.parametrize("kind", ["fram", "flash"])
@pytest.mark.parametrize("volts", VOLTS)
def test_a_reading_that_lies_does_not_stop_progress(kind: str, volts: str) -> None:
    for seed in NETS:
        blob = harness.blob_file(seed, kind, paced=1)
        for tiles in ("1", "3"):
            harness.survives(blob, kind, "--volts", volts, "--behind", "--starve", tiles)
        harness.survives(blob, kind, "--volts", volts, "--starve", "0")


@pytest.mark.parametrize("volts", ["none", *VOLTS])
def test_random_brownouts_over_many_inferences_with_a_reading(volts: str) -> None:
    for seed in range(3):
        blob = harness.blob_file(seed, "fram", paced=2, scale=2)
        arguments = ("--volts", volts, "--behind", "--soak", "100000", "--inferences", "100")
        harness.survives(blob, "fram", *arguments)


def test_no_memory_error_with_a_reading_under_sanitizers() -> None:
    binary = harness.program(harness.SANITIZED)
    for seed in (4, 9):
        blob = harness.blob_file(seed, "fram", paced=1)
        for volts in ("random", "true"):
            arguments = ("--volts", volts, "--behind", "--real")
            harness.survives(blob, "fram", *arguments, binary=binary)
