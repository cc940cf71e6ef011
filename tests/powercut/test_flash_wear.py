"""Flash wears evenly, and as fast as `relume plan` says.

SECURITY K5.
"""

from __future__ import annotations

import pytest
from relume.blob.pack import pack
from relume.plan.wear import YEAR_S, wear, written_bytes

from tests.powercut import harness, plans
from tests.powercut.session import FLASH, FRAM, RL_DONE, RL_OK, Board, Memory
from tests.unit.plan_nets import BOARD, random_plan

SECTORS = 8


def worn(name: str, inferences: int) -> tuple[int, int]:
    """Erases of the sectors erased least and most, power never lost."""
    path = harness.BUILD / "blobs" / name
    found = harness.run(
        harness.program(), path, "flash", "--depth", "0", "--inferences", str(inferences),
        "--size", str(SECTORS * 4096), seconds=600,
    )  # fmt: skip
    assert found.code == 0, found.text
    return found.numbers["wear_low"], found.numbers["wear_high"]


def test_sectors_are_erased_as_often_as_the_plan_says() -> None:
    plan = random_plan(3, 6, 1.0, "flash")
    path = harness.BUILD / "blobs" / "wear.rlm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(plan))
    said = wear(plan, BOARD)
    assert said is not None
    low, high = worn(path.name, 5000)
    assert high - low < SECTORS  # a new sector's count begins with the highest there is
    most = 5000 * said.erases / SECTORS
    least = most * (said.pages - 1) / said.pages  # this host does not take every output
    assert least <= (low + high) / 2 <= most + SECTORS / 2


@pytest.mark.heavy
def test_no_sector_wears_twice_as_fast_over_100_000_inferences() -> None:
    low, high = worn(harness.blob_file(6, "flash").name, 100_000)
    assert low > 5_000 and high - low < SECTORS


def test_an_inference_erases_a_15th_of_a_sector_a_page() -> None:
    plan = random_plan(3, 6, 1.0, "flash")
    said = wear(plan, BOARD)
    assert said is not None
    source = plan.graph.tensors[plan.graph.input].size
    live = [source, *(segment.commit_bytes for segment in plan.segments)]
    pages = sum((n + 254) // 255 for n in live) + len(live) + 1
    assert (said.pages, said.erases) == (pages, pages / 15)
    assert said.inferences == pytest.approx(100_000 * 21 * 15 / pages)  # half of 42 sectors
    assert said.years(YEAR_S) == pytest.approx(said.inferences)


@pytest.mark.parametrize("nvm", ["fram", "fram-i2c", "flash"])
@pytest.mark.parametrize("seed", range(6))
def test_an_inference_writes_what_the_plan_says(seed: int, nvm: str) -> None:
    """What C counts until the output is taken; the record of that comes behind."""
    plan = plans.random_plan(seed, nvm=nvm)
    flash = nvm == "flash"
    board = Board(Memory(1 << 16, FLASH if flash else FRAM), pack(plan))
    assert board.open() == RL_OK
    size = plan.graph.tensors[plan.graph.input].size
    while board.begin(1, bytes(size)) != RL_OK:
        pass
    while board.step() != RL_DONE:
        pass
    assert board.record.nvm_bytes == written_bytes(plan) - (256 if flash else 64)


def test_other_nvm_does_not_wear_out() -> None:
    assert wear(random_plan(3, 6, 1.0, "fram"), BOARD) is None
