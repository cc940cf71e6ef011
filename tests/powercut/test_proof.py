"""Cuts by the million at the level of NVM operations, counted in build/powercut/proof.

SECURITY S1, S2.
"""

from __future__ import annotations

import pytest

from tests.powercut import cases
from tests.powercut.cases import Case, Family
from tests.powercut.tally import Tally

QUICK = (Family("quick", 3, (("depth", 2), ("every", 6), ("seeds", 3), ("inferences", 2))),)
OPERATION = dict(cases.batches(cases.OPERATION))
CONSECUTIVE = dict(cases.batches(cases.CONSECUTIVE))
AGED = (("seq", 0xFFFF_FFF0), ("erases", 0xFFFF_FFF0))


def survive(level: str, batch: list[Case]) -> list[int]:
    """Cuts of each case; those that are noted already are not run again."""
    tally = Tally(level)
    return [tally.once(case.name, case.run)["cuts"] for case in batch]


def test_a_hundred_thousand_cuts_change_nothing() -> None:
    found = [case.run() for _, batch in cases.batches(QUICK) for case in batch]
    assert sum(counts["cuts"] for counts in found) > 100_000


@pytest.mark.parametrize("kind", ["fram", "flash", "file"])
def test_cuts_in_a_row_change_nothing_while_counters_wrap(kind: str) -> None:
    """Sequence numbers pass 2^32; erase counts stay at their highest."""
    arguments = (("soak", 10**7), ("inferences", 4000), *AGED)
    assert Case(3, (), arguments, kind).run()["cuts"] > 10_000


@pytest.mark.parametrize("kind", ["fram", "flash"])
@pytest.mark.parametrize("seq", [0xFFFF_FFFD, 0x7FFF_FFFD])
def test_every_cut_around_a_wrap_leaves_the_old_or_the_new_state(kind: str, seq: int) -> None:
    arguments = (("seq", seq), ("erases", 0xFFFF_FFFE), ("depth", 2), ("every", 15))
    assert Case(6, (), arguments, kind).run()["cuts"] > 1000


@pytest.mark.heavy
@pytest.mark.parametrize("name", OPERATION)
def test_cuts_at_every_operation_are_survived(name: str) -> None:
    assert min(survive("operation", OPERATION[name])) > 10


@pytest.mark.heavy
@pytest.mark.parametrize("name", CONSECUTIVE)
def test_a_hundred_thousand_cuts_in_a_row_are_survived(name: str) -> None:
    assert min(survive("consecutive", CONSECUTIVE[name])) > 100_000
