"""The shipped Thumb code loses power at every instruction; what is left is always recovered.

SECURITY S1, S2.
"""

from __future__ import annotations

import pytest

from tests.native import NATIVE
from tests.powercut import harness, replay, tally
from tests.powercut.tally import Tally
from tests.powercut.test_seeded_faults import BYTES_FAULTS, FLASH_FAULTS, SESSION_FAULTS
from tests.powercut.thumb.board import Board
from tests.powercut.thumb.cases import HEAVY, Case, parse
from tests.powercut.thumb.elf import shipped
from tests.powercut.thumb.explore import Explorer, State, states
from tests.powercut.thumb.subjects import subject

FAULTS = {fault.name: fault for fault in (*BYTES_FAULTS, *SESSION_FAULTS, *FLASH_FAULTS)}


def test_a_million_instructions_on_fram_and_of_what_follows_may_be_the_last() -> None:
    counts = Case(3, "fram", 2, 9).run()
    assert counts["boundaries"] > 1_000_000
    assert counts["pairs"] > 100_000 and counts["images"] > 1000


def test_every_instruction_may_be_the_last_while_fram_is_written_in_the_background() -> None:
    counts = Case(6, "dma").run()
    assert counts["boundaries"] > 80_000 and counts["images"] > 200


def test_every_instruction_on_flash_may_be_the_last() -> None:
    counts = Case(6, "flash", old=True).run()
    assert counts["boundaries"] > 200_000 and counts["images"] > 500


@pytest.mark.parametrize("kind", ["fram", "flash"])
def test_a_cut_between_any_two_instructions_leaves_the_image_that_was_counted_there(
    kind: str,
) -> None:
    """What the counts rest on: a life that is really halted leaves one of the known images."""
    what, expected = subject(6, kind)
    start = b"\xff" * what.nvm_size
    board, after = Board(what, watched=True), Board(what)
    whole = board.live(start)
    known = [state.image for state in states(State(start), whole, shapes=0)]
    seen = 0
    for stop in range(0, whole.steps, whole.steps // 60):
        cut = board.live(start, stop=stop)
        assert cut.status is None and cut.steps == stop + 1
        at = known.index(cut.nvm)
        assert at >= seen, "the NVM went back"
        seen = at
        assert cut.delivered or after.live(cut.nvm).output == expected


@pytest.mark.parametrize(
    ("fault", "kind", "seed"),
    [
        ("record_before_data", "fram", 6), ("newest_slot_overwritten", "fram", 6),
        ("record_crc_ignored", "fram", 6), ("output_not_live", "fram", 6),
        ("done_before_the_last_tile", "fram", 6), ("no_open_mark", "flash", 6),
    ],
)  # fmt: skip
def test_a_seeded_fault_of_the_thumb_code_is_caught(fault: str, kind: str, seed: int) -> None:
    name, text = harness.faulty_source(FAULTS[fault])
    what, expected = subject(seed, kind, {name: text})
    _, start = Case(seed, kind, old=kind == "flash").explorer()
    with pytest.raises(AssertionError, match="path"):
        Explorer(what, expected).cover(start, 2, 10)


def test_the_image_holds_all_that_the_firmware_has_of_store_and_session() -> None:
    names = {path.name for path in shipped()}
    assert {*harness.STORE, "engine.c", "conv.c", "crc32.c", "blob.c"} <= names
    assert set(shipped()) <= set(tally.LEVELS["instruction"]())
    assert NATIVE / "session.h" in tally.LEVELS["instruction"]()


def test_an_id_leads_to_its_image_again() -> None:
    case, path = parse("thumb/6/2x4/fram:40.7")
    explorer, start = case.explorer()
    assert case.name == "thumb/6/2x4/fram" and path == (40, 7)
    assert explorer.follow(start, path) == explorer.follow(start, path)
    assert replay.replay("thumb/6/2x4/fram:40.7")[0] == 0
    with pytest.raises(ValueError, match="no state"):
        replay.replay("thumb/6/1/fram:99999")
    assert all(parse(one.name) == (one, ()) for one in HEAVY)


@pytest.mark.heavy
@pytest.mark.parametrize("case", HEAVY, ids=lambda case: case.name)
def test_every_instruction_of_many_lives_may_be_the_last(case: Case) -> None:
    counts = Tally("instruction").once(case.name, case.run)
    assert counts["boundaries"] > 10_000
