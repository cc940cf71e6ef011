"""The engine in Python with checkpoints in the nRF52840's flash: cuts anywhere, and the chip's
rules are kept (two writes of a word between two erases)."""

from __future__ import annotations

import functools
import importlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pure.nvmc import PAGE, Broken, Nvmc
from tests.pure.twin import PowerCut, engine, session
from tests.unix.nets import Net, planned

PAGES = 7  # 8 pages less an eighth


@functools.cache
def made(seed: int) -> Net:
    """A net of several segments in portable kernels, planned for flash."""
    return planned(seed, "flash", core="portable")


def life(net: Net, flash: Nvmc, number: int) -> bytes:
    """From a turn-on to the output of inference `number`, which is left to be taken next."""
    pure = engine()
    run = session(net.blob, flash)
    if run.state == 2 and run.inference != number:
        while run.take(run.inference) == pure.ERASED:
            pass
    while run.begin(number, net.input) == pure.ERASED:
        pass
    while run.step() != pure.DONE:
        pass
    return bytes(run.output())


def survived(net: Net, flash: Nvmc, number: int, cuts: list[int]) -> int:
    """Lives until the output is there and right; the power fails in these operations."""
    for count, left in enumerate([*cuts, None], 1):
        flash.left = left
        flash.torn = flash.torn if left is not None else 0.0
        try:
            assert life(net, flash, number) == net.output
            return count
        except PowerCut:
            continue
    raise AssertionError("the last life was cut")


def test_inferences_go_round_the_ring_and_no_word_is_written_three_times() -> None:
    net, flash = made(4), Nvmc(PAGES)
    for number in range(1, 120):
        assert survived(net, flash, number, []) == 1
    assert min(flash.erases) >= 2 and max(flash.erases) - min(flash.erases) <= 1
    assert flash.most == 1, "an uninterrupted life writes no word twice"


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_in_every_operation_of_an_inference(seed: int) -> None:
    """Each word and each erase in turn, on a ring that is old enough to erase."""
    net, start = made(4), Nvmc(4, seed)
    for number in range(1, 12 + seed):
        survived(net, start, number, [])
    before = start.operations
    flash = copied(start, seed)
    survived(net, flash, 99, [])
    count = flash.operations - before
    for cut in range(seed, count, 3):
        flash = copied(start, cut)
        assert survived(net, flash, 99, [cut]) <= 2


def copied(flash: Nvmc, seed: int) -> Nvmc:
    """The chip as it is, with dice of its own."""
    other = Nvmc(len(flash.data) // PAGE, seed)
    other.data, other.writes = bytearray(flash.data), list(flash.writes)
    other.erases, other.operations = list(flash.erases), flash.operations
    other.weak = list(flash.weak)
    return other


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 300), max_size=12))
def test_any_number_of_cuts_in_a_row(seed: int, cuts: list[int]) -> None:
    net, flash = made(4), Nvmc(4, seed)
    for number in range(1, 8):
        survived(net, flash, number, [])
    survived(net, flash, 50, cuts)
    survived(net, flash, 51, cuts[::-1])


def test_a_life_too_short_for_anything_ends_stuck() -> None:
    net, flash, pure = made(4), Nvmc(PAGES), engine()
    session(net.blob, flash).begin(1, net.input)
    run = session(net.blob, flash)
    while run.begin(1, net.input) == pure.ERASED:
        pass
    for _ in range(60):
        flash.left = 1  # an attempt's mark, no commit
        try:
            run = session(net.blob, flash)
            run.step()
        except PowerCut:
            continue
        except pure.BoardError as error:
            assert "does not fit a charge" in str(error)
            break
        if run.state == 4:
            break
    flash.left = None
    run = session(net.blob, flash)
    with pytest.raises(pure.BoardError, match="does not fit a charge"):
        while run.step() == pure.ERASED:
            pass
    assert session(net.blob, flash).state == 4


def broken_by(seeds: int) -> bool:
    """Do short lives, and erases of which every other is cut, break a rule of the chip?"""
    net = made(4)
    for seed in range(seeds):
        cuts, flash = random.Random(seed), Nvmc(4, seed)
        try:
            for number in range(1, 13):
                flash.torn = 0.5
                lives = [cuts.randrange(cuts.choice((4, 300))) for _ in range(5)]
                survived(net, flash, number, lives)
        except Broken:
            return True
    return False


def test_the_rules_hold_through_many_cuts() -> None:
    assert not broken_by(25)


def test_attempts_in_the_bits_of_one_word_break_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of C on this chip: what the other one is there for."""
    store = importlib.import_module("relume_pure.flash").FlashStore

    def attempt(self: Any) -> None:
        at = self._at // 15 * 4096 + (self._at % 15 + 1) * 256
        word = int.from_bytes(self._read(at + 64, 4), "little")
        self._write(at + 64, (word & word - 1).to_bytes(4, "little"))
        self.attempts += 1

    def boots(flash: Nvmc) -> None:
        run = session(made(4).blob, flash)
        while run.begin(1, made(4).input) == engine().ERASED:
            pass
        for _ in range(9):
            session(made(4).blob, flash)

    boots(flash := Nvmc(PAGES))
    assert flash.most == 1
    monkeypatch.setattr(store, "attempt", attempt)
    with pytest.raises(Broken, match="written 3 times"):
        boots(Nvmc(PAGES))


def test_an_erase_without_its_mark_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = importlib.import_module("relume_pure.flash").FlashStore
    mark = store._mark
    monkeypatch.setattr(
        store, "_mark", lambda self, at, start, end: start == 64 and mark(self, at, start, end)
    )
    assert broken_by(25)


def test_a_region_that_holds_something_else_is_left_alone() -> None:
    net, flash, pure = made(4), Nvmc(PAGES), engine()
    firmware = random.Random(1).randbytes(len(flash.data))
    flash.data[:] = firmware
    with pytest.raises(pure.BoardError, match="does not match"):
        session(net.blob, flash)
    assert flash.data == firmware and flash.operations == 0


def test_a_plan_for_fram_is_refused_and_so_is_a_small_ring() -> None:
    net, pure = made(4), engine()
    with pytest.raises(pure.BoardError, match="another kind of NVM"):
        session(planned(4, core="portable").blob, Nvmc(PAGES))
    with pytest.raises(pure.BoardError, match="another kind of NVM"):
        session(net.blob, bytearray(1 << 16))
    with pytest.raises(pure.BoardError, match="too small"):
        session(net.blob, Nvmc(2))


def erased(net: Net, marks: bool) -> list[tuple[int, int]]:
    """How twelve boots divided their work, all of which erased until the power went."""
    flash, found = Nvmc(4), []
    run = session(net.blob, flash)
    while run.begin(1, net.input):
        pass
    page = run._store._at // 15 * PAGE + (run._store._at % 15 + 1) * 256
    flash.data[page + 256 :] = bytes(len(flash.data) - page - 256)
    flash.torn = 1.0
    for _ in range(12):
        run = session(net.blob, flash)
        found.append((run._part, run._halved))
        with pytest.raises(PowerCut):
            run.step()
        if not marks:
            for i in range(page + 64, page + 252, 4):
                if flash.data[i : i + 4] == b"\xff\xff\0\0":
                    flash.data[i : i + 4] = b"\xff" * 4
    return found


def test_boots_that_begin_to_erase_divide_nothing() -> None:
    """Eight of them; without their marks each but the first divides."""
    net = made(4)
    divided = [set_out != (0, 0) for set_out in erased(net, marks=True)]
    assert not any(divided[:9]) and all(divided[9:])
    assert all(set_out != (0, 0) for set_out in erased(net, marks=False)[1:])
