"""Charges that go into the erase of a flash sector divide no tile (SPEC 4.8).

SECURITY S2, S5.
"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.powercut import session as rl
from tests.powercut.plans import random_blob
from tests.powercut.session import FLASH, RL_OK, Board, Memory

SECTORS = 6
MARK, HEADERS = 1.0, 3.0  # programs of a boot's start, and around an erase
SPARED = 8
ATTEMPTS, ERASES = slice(64, 96), slice(96, 128)  # marks in a record's page
DIVIDED = 1 + 17 + 16 + 8  # attempts that the largest segment survives before it is stuck


class Charges:
    """One flash and boards that live as long as their charge: a program takes 1 of it."""

    def __init__(self, seed: int, erase: int, tile: int) -> None:
        self.blob = random_blob(seed, nvm="flash", scale=3)
        self.memory, self.erase, self.tile = Memory(SECTORS * 4096, FLASH), erase, tile
        self.left, self.ran, self.erases = float("inf"), 1 << 32, 0
        self.memory.spoil = self._spoil
        self.board = self._turned_on()

    def _turned_on(self) -> Board:
        self.ran = 1 << 32  # nothing, before the session is open
        self.board = Board(self.memory, self.blob)
        assert self.board.open() == RL_OK
        self.ran = self.board.session.tile
        return self.board

    def kept(self) -> Board:
        """What the store holds; nobody counts an attempt."""
        self.left = float("inf")
        board = Board(self.memory, self.blob)
        assert board.mount() == RL_OK
        return board

    def _spoil(self, what: str, at: int, n: int) -> bool:
        """Tiles are paid for when the commit behind them begins."""
        tile = max(self.board.session.tile, self.ran)
        self.left -= self.tile * (tile - self.ran)
        self.left -= {"read": 0.0, "write": 1.0, "erase": self.erase}[what]
        self.ran = tile
        self.erases += what == "erase" and self.left >= 0
        return self.left < 0

    def start(self, number: int) -> None:
        """The next inference's input, with power to spare."""
        self.left = float("inf")
        if number > 1:
            assert self._turned_on().take(number - 1) == RL_OK
            self.ran = 0
        size = self.board.checked.header.tensor(self.blob, self.board.checked.header.input)[1]
        assert self.board.begin(number, bytes(size)) == RL_OK

    def live(self, charge: float) -> tuple[int, int]:
        """One life. Returns how the work was divided at its start: tiles of a part, halvings."""
        self.left = charge
        board = self._turned_on()
        divided = (board.session.part, board.session.halved)
        status = rl.RL_MORE
        while status in (rl.RL_MORE, rl.RL_ERASED):
            status = board.call("step")
        assert status in (rl.RL_DONE, rl.RL_E_NVM, rl.RL_E_STUCK)
        self.left = float("inf")
        return divided

    @property
    def page(self) -> int:
        """Where the newest record is."""
        ring = int(self.kept().store.at)
        return ring // 15 * 4096 + (ring % 15 + 1) * 256

    def marks(self, of: slice) -> bytearray:
        """Bytes of its page."""
        return self.memory.data[self.page + of.start : self.page + of.stop]

    def set_marks(self, of: slice, to: int) -> None:
        """Sets them."""
        at = self.page
        self.memory.data[at + of.start : at + of.stop] = bytes([to]) * 32

    def fill(self) -> None:
        """No page behind the newest record is erased."""
        at = self.page + 256
        self.memory.data[at:] = bytes(len(self.memory.data) - at)

    @property
    def state(self) -> int:
        """What the newest record says."""
        return int(self.kept().record.state)


def costliest(flash: Charges) -> float:
    """The most that a segment and its commit take."""
    flash.start(1)
    most, status = 0.0, rl.RL_MORE
    while status != rl.RL_DONE:
        flash.left, erases = 1e9, flash.erases
        status = flash.board.call("step")
        spent = 1e9 - flash.left
        most = max(most, spent if flash.erases == erases else 0.0)
    return most


def ring_round(flash: Charges, charge: float, *, marks: bool = True) -> tuple[int, int, bool]:
    """Inferences until each sector was erased twice: (lives, what they did, was any divided)."""
    lives, steps, divided, number = 0, 0, False, 2
    flash.erases = 0
    while flash.erases < 2 * SECTORS:
        flash.start(number)
        before, first = flash.erases, flash.board.record.seq
        while flash.state != rl.DONE:
            if not marks:
                flash.set_marks(ERASES, 0xFF)
            divided |= flash.live(charge) != (0, 0)
            lives += 1
        steps += flash.erases - before + flash.kept().record.seq - first
        number += 1
    return lives, steps, divided


@settings(deadline=None, max_examples=12)
@example(3, 45, 1, 1.0)
@given(st.integers(0, 2000), st.integers(1, 200), st.integers(0, 20), st.floats(1.0, 1.8))
def test_a_charge_as_planned_erases_a_sector_or_commits_a_segment(
    seed: int, erase: int, tile: int, more: float
) -> None:
    """The plan promises no more than one of both (DESIGN 5, 6): and no less comes of a life."""
    flash = Charges(seed, erase, tile)
    charge = more * (MARK + max(costliest(flash), erase + HEADERS))
    lives, steps, divided = ring_round(flash, charge)
    assert not divided
    assert lives <= steps


def test_without_the_marks_erases_would_divide_segments() -> None:
    """The negative control."""
    flash = Charges(3, 45, 1)
    charge = MARK + max(costliest(flash), 45.0 + HEADERS)
    assert ring_round(flash, charge, marks=False)[2]


def test_an_erase_that_never_fits_a_charge_ends_stuck() -> None:
    flash = Charges(3, 45, 1)
    number, lives = 1, 0
    while flash.state != rl.STUCK:
        if flash.state != rl.RUNNING:
            flash.start(number)
            number, lives = number + 1, 0
        part, halvings = flash.live(40.0)
        lives += 1
        assert (part, halvings) == (0, 0) or lives > SPARED
        assert lives <= SPARED + DIVIDED
    assert lives > SPARED + 8


def test_a_segment_that_fails_beside_erases_is_divided_all_the_same() -> None:
    """What a life erases does not hide that the ones between fail for their tiles."""
    flash = Charges(3, 45, 30)
    flash.start(1)
    found = [flash.live(49.0) for _ in range(30) if flash.state == rl.RUNNING]
    assert max(halvings for _, halvings in found) > 0 or (1, 0) in found


def test_each_boot_that_erases_has_a_bit_of_its_own() -> None:
    flash = Charges(3, 45, 1)
    flash.start(1)
    flash.fill()
    assert flash.board.call("step") == rl.RL_ERASED
    assert flash.marks(ERASES)[0] == 0xFE  # that of the boot that wrote the record
    for _ in range(2):
        flash.live(1)  # the attempt's mark
    assert flash.state == rl.RUNNING and flash.marks(ATTEMPTS)[0] == 0xFC
    flash.fill()
    flash.live(2)  # the third boot: both marks
    assert flash.marks(ATTEMPTS)[0] == 0xF8 and flash.marks(ERASES)[0] == 0xF6
    assert flash.kept().store.erasing == 1 and flash.kept().store.first_erasing == 1


def counts(board: Board) -> tuple[int, int, int]:
    """What a store says of the boots behind its record."""
    return board.store.attempts, board.store.erasing, board.store.first_erasing


def test_a_store_counts_what_the_next_mount_finds() -> None:
    """Of the boot that wrote the record, and of the next; a second erase of a boot is no more."""
    flash = Charges(3, 45, 1)
    flash.start(1)
    for board, erased in ((flash.board, (0, 0, 1)), (None, (1, 1, 1))):
        board = board or flash._turned_on()
        for _ in range(2):
            flash.fill()
            assert board.call("step") == rl.RL_ERASED
            assert counts(board) == counts(flash.kept()) == erased


def test_behind_a_commit_a_store_counts_nothing_as_the_next_mount_finds() -> None:
    flash = Charges(3, 45, 1)
    flash.start(1)
    for _ in range(2):
        flash.fill()
        assert flash.board.call("step") == rl.RL_ERASED
        flash._turned_on()
    flash.fill()
    assert flash.board.call("step") == rl.RL_ERASED
    assert counts(flash.board) == (2, 2, 1)
    assert flash.board.step() == rl.RL_MORE
    assert counts(flash.board) == counts(flash.kept()) == (0, 0, 0)


def test_the_sixtieth_boot_has_its_bit_too() -> None:
    flash = Charges(3, 45, 1)
    flash.start(1)
    flash.fill()
    flash.set_marks(ATTEMPTS, 0xFF)
    at = flash.page + ATTEMPTS.start
    flash.memory.data[at : at + 8] = bytes(7) + b"\xf8"  # 59 of them
    board = flash._turned_on()
    assert board.call("step") == rl.RL_ERASED and board.store.attempts == 60
    assert flash.marks(ERASES) == b"\xff" * 7 + b"\xef" + b"\xff" * 24
    assert counts(flash.kept()) == (60, 1, 0)


def test_marks_of_a_record_that_does_not_run_count_nothing() -> None:
    flash = Charges(3, 45, 1)
    flash.start(1)
    flash.live(float("inf"))
    assert flash.state == rl.DONE
    flash.set_marks(ATTEMPTS, 0)
    flash.set_marks(ERASES, 0)
    assert counts(flash.kept()) == (0, 0, 0)


def test_a_mark_that_fails_counts_nothing() -> None:
    flash = Charges(3, 45, 1)
    flash.start(1)
    flash.fill()
    flash.memory.spoil = lambda what, at, n: what == "write"
    assert flash.board.call("step") == rl.RL_E_NVM
    assert counts(flash.board) == (0, 0, 0)


def test_where_all_attempts_are_marked_no_erase_is() -> None:
    flash = Charges(3, 45, 1)
    flash.start(1)
    flash.fill()
    flash.set_marks(ATTEMPTS, 0)
    board = flash._turned_on()
    assert board.call("step") == rl.RL_ERASED
    assert flash.marks(ERASES) == b"\xff" * 32 and flash.state == rl.RUNNING
    assert board.step() == rl.RL_E_STUCK


def test_an_nvm_that_fails_at_the_mark_is_told_of() -> None:
    for operation in range(200):
        flash = Charges(3, 45, 1)
        flash.start(1)
        flash.fill()
        count = iter(range(operation + 1))
        flash.memory.spoil = lambda what, at, n, count=count: next(count, None) is None
        if flash.board.call("step") == rl.RL_ERASED:
            assert operation > 100
            return
        flash.memory.spoil = flash._spoil
        assert flash.kept().store.newest.state == rl.RUNNING
        flash.live(float("inf"))
        assert flash.state == rl.DONE
    raise AssertionError("no end of it")
