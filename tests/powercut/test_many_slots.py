"""Several models side by side: the slots are the table of what is deployed. It is the old one or
the new one, wherever a deploy or a removal is cut.

SECURITY F3, F6.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.reader import read_blob
from relume.link.messages import Slot
from relume.link.rooms import FLASH, largest_gap, store_bytes

from tests import native
from tests.powercut.plans import random_blob
from tests.powercut.slotflash import E_FULL, E_NVM_SIZE, OK, Row, SlotFlash, overlaps

A, B, C, D = (random_blob(seed) for seed in (1, 2, 3, 4))
A2 = random_blob(5)
ON_FLASH = random_blob(6, nvm="flash")
SCRIPTS = {
    "a second model": ([("a", A)], ("b", B)),
    "in place of one of its name": ([("a", A), ("b", B)], ("a", A2)),
    "under another name": ([("a", A), ("b", B)], ("c", A)),
    "in place of two": ([("a", A), ("b", B), ("d", D)], ("a", B)),
    "on flash": ([("a", A)], ("f", ON_FLASH)),
}


def deployed(models: list[tuple[str, bytes]]) -> SlotFlash:
    flash = SlotFlash()
    for name, blob in models:
        assert flash.deploy(name, blob) == OK
    return flash


def as_set(rows: list[Row]) -> set[Row]:
    return set(rows)


def check_whole(rows: list[Row]) -> None:
    for row in rows:
        native.accepted(row.blob)
    assert not overlaps(rows)
    assert len({row.name for row in rows}) == len({row.blob for row in rows}) == len(rows)


@pytest.mark.parametrize("case", SCRIPTS)
def test_a_deploy_that_is_cut_anywhere_leaves_the_old_table_or_the_new(case: str) -> None:
    models, (name, blob) = SCRIPTS[case]
    flash = deployed(models)
    old = as_set(flash.rows())
    flash.states = []
    assert flash.deploy(name, blob) == OK
    new = as_set(flash.rows())
    assert old != new and len(flash.states) > 20
    seen = {True: 0, False: 0}
    for state in dict.fromkeys(flash.states):
        cut = SlotFlash(image=state)
        rows = cut.rows()
        assert as_set(rows) in (old, new)
        seen[as_set(rows) == new] += 1
        check_whole(rows)
        assert cut.deploy(name, blob) == OK
        assert {(r.name, r.blob) for r in cut.rows()} == {(r.name, r.blob) for r in new}
        check_whole(cut.rows())
    assert all(seen.values())


def test_a_removal_that_is_cut_anywhere_leaves_the_old_table_or_the_new() -> None:
    flash = deployed([("a", A), ("b", B), ("c", C)])
    old = flash.rows()
    flash.states = []
    flash.remove("b")
    new = flash.rows()
    assert [row.name for row in new] == ["a", "c"]
    found = {str(SlotFlash(image=state).rows()) for state in flash.states}
    assert found == {str(old), str(new)}


def test_a_slot_that_outlived_its_successor_is_given_up_by_the_next_deploy() -> None:
    flash = deployed([("a", A), ("b", B)])
    flash.states = []
    assert flash.deploy("a", A2) == OK
    stale = [s for s in flash.states if SlotFlash(image=s).rows() == flash.rows()]
    assert stale[0].count(b"RLSL") == 3 and flash.image.raw.count(b"RLSL") == 2
    cut = SlotFlash(image=stale[0])
    assert cut.begin("c", C)[0] == OK
    assert cut.image.raw.count(b"RLSL") == 2


def test_a_failed_deploy_leaves_the_old_model_and_the_others() -> None:
    flash = deployed([("a", A), ("b", B)])
    rows = flash.rows()
    need = store_bytes(read_blob(C))
    assert flash.deploy("c", C, (max(r.store_at + r.store_size for r in rows) + need - 1, 0)) \
        == E_NVM_SIZE  # fmt: skip
    assert flash.rows() == rows
    assert flash.deploy("f", ON_FLASH, (1 << 16, 2 * 4096)) == E_NVM_SIZE
    assert flash.rows() == rows
    assert flash.deploy("a", A2) == OK


def test_eight_models_fit_and_a_ninth_is_refused() -> None:
    blobs = [random_blob(seed) for seed in range(20, 29)]
    flash = SlotFlash(40)
    for n in range(8):
        assert flash.deploy(f"m{n}", blobs[n]) == OK
    check_whole(flash.rows())
    assert flash.begin("m8", blobs[8])[0] == E_FULL
    assert flash.begin("m3", blobs[8])[0] == OK
    assert len(flash.rows()) == 8


def test_a_region_without_a_gap_refuses_and_keeps_what_is_there() -> None:
    flash = SlotFlash(4)
    rows = 0
    while (status := flash.deploy(f"m{rows}", random_blob(30 + rows))) == OK:
        rows += 1
    assert status == E_FULL and rows >= 2
    assert len(flash.rows()) == rows


def stores(rows: list[Row]) -> dict[bytes, tuple[int, int]]:
    return {row.blob: (row.store_at, row.store_size) for row in rows}


STEPS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.booleans()), min_size=1, max_size=12
)


@given(STEPS, st.integers(2, 40), st.integers(3, 30))
@settings(deadline=None, max_examples=60)
def test_whatever_is_deployed_and_removed_no_two_stores_overlap(
    steps: list[tuple[str, int, bool]], pages: int, sectors: int
) -> None:
    """And the host foresees what the board refuses."""
    flash = SlotFlash(24)
    bytes_room, flash_room = 256 * pages, 4096 * sectors
    for name, number, gone in steps:
        blob = random_blob(40 + number, nvm="flash" if number % 3 == 2 else "fram")
        if gone:
            flash.remove(name)
            continue
        before = flash.rows()
        others = [
            Slot(len(r.blob), 0, False, r.name, r.blob[25], r.store_at, r.store_size)
            for r in before
            if r.name != name and r.blob != blob and (r.blob[25] == FLASH) == (blob[25] == FLASH)
        ]
        room = flash_room if blob[25] == FLASH else bytes_room
        fits = store_bytes(read_blob(blob)) <= largest_gap(others, room)
        there = any(r.blob == blob for r in before)
        status = flash.deploy(name, blob, (bytes_room, flash_room))
        assert status == (OK if fits or there else E_NVM_SIZE)
        rows = flash.rows()
        check_whole(rows)
        if status == OK:
            assert not there or stores(before)[blob] == stores(rows)[blob]
            (row,) = (r for r in rows if r.name == name)
            assert row.active and row.blob == blob
            assert row.store_size >= store_bytes(read_blob(blob))
            assert row.store_at + row.store_size <= room
        else:
            assert rows == before


def test_the_names_of_a_torn_header_are_never_believed() -> None:
    flash, dice = deployed([("a", A), ("b", B)]), random.Random(1)
    good = flash.image.raw
    at = good.rindex(b"RLSL")
    for _ in range(300):
        torn = bytearray(good)
        torn[at + dice.randrange(64)] ^= 1 << dice.randrange(8)
        assert len(SlotFlash(image=bytes(torn)).rows()) == 1
