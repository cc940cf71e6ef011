"""Blocks in one memory: no byte is in use twice during a tile, and little memory is wasted."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.plan import overlap
from relume.plan.overlap import Use, forbidden, whole
from relume.plan.placing import place_uses

USES = st.builds(
    lambda first, sides: Use(
        64,
        first,
        np.array([low for low, _ in sides], dtype=np.int64),
        np.array([low + n for low, n in sides], dtype=np.int64),
    ),
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(0, 32), st.integers(-1, 32)), min_size=1, max_size=9),
)


def collide(a: Use, b: Use, difference: int) -> bool:
    """By the definition: some byte is in use for both during some tile, b at `difference`."""
    for tile in range(max(a.first, b.first), min(a.last, b.last)):
        mine = range(int(a.low[tile - a.first]), int(a.high[tile - a.first]))
        theirs = range(
            int(b.low[tile - b.first]) + difference, int(b.high[tile - b.first]) + difference
        )
        if max(mine.start, theirs.start) < min(mine.stop, theirs.stop):
            return True
    return False


@settings(max_examples=200, derandomize=True, deadline=None)
@given(USES, USES)
def test_forbidden_differences_are_those_at_which_bytes_meet(a: Use, b: Use) -> None:
    intervals = forbidden(a, b)
    for difference in range(-70, 71):
        inside = any(low < difference < high for low, high in intervals)
        assert inside == collide(a, b, difference)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(USES, min_size=1, max_size=7), st.sampled_from((1, 4, 16)))
def test_placed_blocks_never_collide(uses: list[Use], align: int) -> None:
    offsets, total = place_uses(uses, align)
    assert min(offsets) >= 0 and all(at % align == 0 for at in offsets)
    assert total == max(at + use.size for at, use in zip(offsets, uses, strict=True))
    for n, first in enumerate(uses):
        for m in range(n):
            assert not collide(uses[m], first, offsets[n] - offsets[m])


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(USES, min_size=1, max_size=5), st.lists(USES, min_size=1, max_size=5))
def test_guests_collide_with_nobody(hosts: list[Use], guests: list[Use]) -> None:
    uses = [*hosts, *guests]
    offsets, total = place_uses(uses, 4, guests=len(guests), width=3)
    assert min(offsets) >= 0 and all(at % 16 == 0 for at in offsets[len(hosts) :])
    assert total == max(at + use.size for at, use in zip(offsets, uses, strict=True))
    for n, first in enumerate(uses):
        for m in range(n):
            assert not collide(uses[m], first, offsets[n] - offsets[m])


def row_by_row(rows: int, size: int, first: int) -> Use:
    """A tensor that tiles [first, first + rows) write and the same number of tiles then read."""
    done = np.arange(1, rows + 1) * (size // rows)
    full = np.full(rows, size)
    return Use(
        size,
        first,
        np.concatenate((np.zeros(rows, dtype=np.int64), done - size // rows)),
        np.concatenate((done, full)),
    )


def test_an_output_takes_the_place_of_its_input_but_for_one_row() -> None:
    chain = [row_by_row(10, 1000, 10 * n) for n in range(3)]
    assert place_uses(chain, 4)[1] == 1200
    assert place_uses([whole(use) for use in chain], 4)[1] == 2000


def test_many_blocks_that_all_meet_are_placed_in_seconds() -> None:
    uses = [
        Use(64, 0, np.zeros(1000, dtype=np.int64), np.arange(1000) % 64 + n % 2)
        for n in range(300)
    ]
    assert len(uses) ** 2 / 2 > overlap.MAX_PAIRS
    begun = time.process_time()
    offsets, total = place_uses(uses, 4)
    assert total == 64 * 300 and len(set(offsets)) == 300
    assert time.process_time() - begun < 60  # a runaway, not a measurement
