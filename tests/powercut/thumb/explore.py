"""Power lost at every instruction of a life, and of the lives that follow.

All that a cut leaves is the NVM. So the boundaries between two changes of it need one recovery
between them, and equal images are one case however they came about: what is proven of an image
holds for every way that leads to it. A life's boundaries are covered once the recovery of each
image of that life has ended with the right output.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tests.powercut.thumb.board import (
    DELIVERED,
    ENDED,
    ERASE,
    FLASH,
    INFERENCE,
    PROGRAM,
    Board,
    Life,
    Subject,
)

PAGE, SECTOR = 256, 4096
PROBE = slice(160, 176)  # SPEC 4.2: changes at every mount
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class State:
    """What a cut leaves. weak: sectors whose erase was cut. given: the host has the output. path:
    which of the states of the first life, then of the life after it, and so on."""

    image: bytes
    weak: frozenset[int] = frozenset()
    given: bool = False
    path: tuple[int, ...] = ()

    @property
    def name(self) -> bytes:
        """The same for the same case."""
        tail = bytes([self.given, *sorted(self.weak)])
        return hashlib.blake2b(self.image + tail, digest_size=16).digest()


class Explorer:
    """Covers lives of one subject. Raises AssertionError when one ends wrong.

    shapes: torn states of each program and erase of flash, beside those in byte order."""

    def __init__(self, subject: Subject, expected: bytes, shapes: int = 6) -> None:
        self.subject, self.expected, self.shapes = subject, expected, shapes
        self.watched, self.plain = Board(subject, watched=True), Board(subject)
        self.known: dict[bytes, int] = {}  # state -> seq of its newest record
        self.counts: Counter[str] = Counter()

    def cover(self, start: bytes, depth: int = 1, most: int | None = None) -> Counter[str]:
        """From a board whose NVM holds `start`: cuts anywhere, and anywhere in what follows, to
        `depth`. most: lives covered at each depth beyond the first, evenly chosen.

        Counts: boundaries covered, pairs of image and address among them, images, lives,
        recoveries."""
        level = [State(start)]
        for _ in range(depth):
            step = 1 if most is None else max(1, -(-len(level) // most))
            level = [after for state in level[::step] for after in self._life(state)]
        return self.counts

    def old(self) -> bytes:
        """The NVM of a board that has lived: what it held before the first inference that erases
        a sector which was used, or before the fourth on FRAM."""
        now = b"\xff" * self.subject.nvm_size
        for inference in range(INFERENCE - 60, INFERENCE):
            life = self.plain.live(now, inference=inference)
            assert life.status == 0 and life.output == self.expected
            reused = any(a & 3 == PROGRAM and b & 3 == ERASE and a >> 2 == b >> 2
                         for a, b in zip(life.notes, life.notes[2:], strict=False))  # fmt: skip
            if reused or (self.subject.kind != FLASH and inference == INFERENCE - 57):
                return now
            now = life.nvm
        raise AssertionError("no inference erased a sector that was used")

    def follow(self, start: bytes, path: tuple[int, ...]) -> State:
        """The one state at the end of a path; its recovery is checked too. Errors: ValueError."""
        state = State(start)
        for number in path:
            life = self.watched.live(state.image)
            found = list(itertools.islice(states(state, life, self.shapes), number, number + 1))
            if not found:
                raise ValueError(f"no state {number} behind {state.path or 'the start'}")
            state = replace(found[0], path=(*state.path, number))
        self._check(state, self.plain.live(state.image))
        return state

    def _life(self, start: State) -> list[State]:
        """Covers one life; the states in it that were not known."""
        life = self.watched.live(start.image)
        self._check(start, life)
        fresh, newest = [], life.seq
        for number, one in enumerate(states(start, life, self.shapes)):
            state = replace(one, path=(*start.path, number))
            name = state.name
            if name not in self.known:
                self.known[name] = self._check(state, self.plain.live(state.image))
                fresh.append(state)
            newest = self._progress(state, newest, self.known[name])
        self.counts += Counter(
            lives=1, boundaries=life.boundaries, pairs=life.pairs, images=len(fresh)
        )
        return fresh

    @staticmethod
    def _progress(state: State, before: int, now: int) -> int:
        """Invariant S1: the record that was the newest, or the one after it."""
        path = ".".join(map(str, state.path))
        assert before <= now <= before + 1, f"record {now} follows {before}; path {path}"
        return now

    def _check(self, start: State, life: Life) -> int:
        """Fails unless the life was right; seq of the record that it began with."""
        self.counts["recoveries"] += 1
        wrong = self._wrong(start, life) or programs_weak(start.weak, life.notes)
        assert not wrong, f"{wrong}; path {'.'.join(map(str, start.path))}"
        return life.seq

    def _wrong(self, start: State, life: Life) -> str:
        """What is wrong with a life that was not cut, if anything."""
        if life.status != 0 or life.stuck:
            return "stuck" if life.stuck else f"status {life.status}"
        if life.delivered:
            return "" if life.output == self.expected else "another output"
        if not start.given:
            return "an output was lost"
        before, after = bytearray(start.image), bytearray(life.nvm)
        if self.subject.kind != FLASH:
            before[PROBE] = after[PROBE] = b""
        return "" if before == after else "the NVM changed after the end"


def programs_weak(weak: frozenset[int], notes: tuple[int, ...]) -> str:
    """A sector whose erase was cut is erased before a page behind its header is programmed."""
    left = set(weak)
    for note in notes:
        at = note >> 2
        if note & 3 == ERASE:
            left.discard(at // SECTOR)
        elif note & 3 == PROGRAM and at // SECTOR in left and at % SECTOR:
            return f"page {at:#x} was programmed after an erase that was cut"
    return ""


def states(start: State, life: Life, shapes: int) -> Iterator[State]:
    """What cuts of a life leave: each state of the NVM in it and, on flash, torn programs and
    erases too."""
    assert life.changes is not None
    now, state, told = bytearray(start.image), start, 0
    yield state
    for at, byte, notes in [*life.changes.tolist(), (0, -1, len(life.notes))]:
        for number in range(told, notes):
            note = life.notes[number]
            if note & 3 == PROGRAM:
                yield from _torn_programs(state, note >> 2, number + 1, life, shapes)
            if note & 3 == ERASE:
                state = replace(state, weak=state.weak | {(note >> 2) // SECTOR})
                yield from _torn_erases(state, note >> 2, shapes)
            if note & 3 == ENDED:
                ended = (life.notes[number - 1] >> 2) // SECTOR
                erased = life.notes[number - 1] & 3 == ERASE
                state = replace(state, weak=state.weak - ({ended} if erased else set()))
            state = replace(state, given=state.given or note & 3 == DELIVERED)
            yield state
        told = notes
        if byte >= 0:
            now[at] = byte
            state = replace(state, image=bytes(now))
            yield state


def _torn_programs(
    state: State, at: int, notes: int, life: Life, shapes: int
) -> Iterator[State]:
    """Some of the bits that the program clears are cleared."""
    assert life.changes is not None
    old = np.frombuffer(state.image[at : at + PAGE], np.uint8)
    new = old.copy()
    for place, byte, _ in life.changes[life.changes[:, 2] == notes].tolist():
        new[place - at] = byte
    random = np.random.default_rng([at, notes])
    for shape in range(shapes):
        odds = (0.5, 0.06, 0.94)[shape % 3]
        bits = np.packbits(random.random((PAGE, 8)) < odds, axis=1)[:, 0]
        yield _placed(state, at, old & (new | ~bits))


def _torn_erases(state: State, at: int, shapes: int) -> Iterator[State]:
    """Noise, some bits set, all read as erased, or all but the header's page."""
    old = np.frombuffer(state.image[at : at + SECTOR], np.uint8)
    random = np.random.default_rng([at, int(old[4:8].sum())])
    for shape in range(shapes):
        noise = random.integers(0, 256, SECTOR, dtype=np.uint8)
        kept = np.where(np.arange(SECTOR) < PAGE, old, 0xFF).astype(np.uint8)
        yield _placed(state, at, (np.full_like(old, 0xFF), noise, old | noise, kept)[shape % 4])


def _placed(state: State, at: int, part: Bytes) -> State:
    image = state.image[:at] + part.tobytes() + state.image[at + part.size :]
    return replace(state, image=image)
