"""A tile that does not fit a charge: the Python engine divides it as C does (SPEC 4.8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.powercut import session as c_side
from tests.pure.twin import Memory, PowerCut, engine, session
from tests.unix.nets import Net, planned

SIZE = 1 << 15


def made(seed: int) -> Net:
    """A net of several segments in portable kernels."""
    return planned(seed, core="portable")


def c_session(net: Net, memory: c_side.Memory) -> c_side.Board:
    """C's session behind a turn-on."""
    board = c_side.Board(memory, net.blob)
    assert board.open() == c_side.RL_OK
    return board




@pytest.mark.parametrize("first", [0, 1])
def test_c_and_python_hand_a_half_done_tile_to_each_other(first: int) -> None:
    net, memory = made(8), c_side.Memory(SIZE)
    python = lambda: session(net.blob, engine().Bytes(memory.data))  # noqa: E731
    python().begin(7, net.input)
    taken_up: set[tuple[int, bool]] = set()
    for turn in range(first, 200):
        mounted = c_side.Board(memory, net.blob)
        assert mounted.mount() == c_side.RL_OK
        was = mounted.record
        for _ in range(7):  # charges that were too short, at most
            if was.flags >> 2 or python()._halved:
                break
        if turn % 2:
            run: Any = python()
            units, halved = run._units, run._halved
            done = run.step() == engine().DONE
        else:
            run = c_session(net, memory)
            units, halved = run.session.units, run.session.halved
            done = run.step() == c_side.RL_DONE
        assert turn < 199
        taken_up.add((turn % 2, was.part > 0))
        assert (units > 0) == (was.part > 0) and (halved > 0 or not was.part)
        if done:
            break
    assert bytes(run.output()) == net.output
    assert taken_up >= {(0, True), (1, True)}


def test_both_write_the_same_records_of_a_divided_tile() -> None:
    net = made(8)
    mine, theirs = c_side.Memory(SIZE), c_side.Memory(SIZE)
    session(net.blob, engine().Bytes(mine.data)).begin(7, net.input)
    assert c_session(net, theirs).begin(7, net.input) == c_side.RL_OK
    seen = set()
    for _ in range(60):
        run, board = session(net.blob, engine().Bytes(mine.data)), c_session(net, theirs)
        for _ in range(5):
            run, board = session(net.blob, engine().Bytes(mine.data)), c_session(net, theirs)
        run.step()
        assert board.step() >= 0
        mine_is = [getattr(run._store.newest, name) for name in FIELDS]
        assert mine_is == [getattr(board.record, name) for name in FIELDS]
        assert run._store.newest.halved == board.record.flags >> 2
        seen.add(run._store.newest.part)
        if run.state == 2:
            break
    assert len(seen) > 3


FIELDS = ("seq", "tile", "part", "state", "live_crc", "live_bytes", "commits", "brownouts")


def test_a_life_too_short_for_a_tile_ends_with_the_output() -> None:
    """Every life ends after so many units; each commit is whole."""
    net, memory, pure = made(8), Memory(SIZE), engine()
    session(net.blob, memory).begin(7, net.input)
    run, split, lives = session(net.blob, memory), 0, 0
    was = pure.session.run_part, pure.session.run_tiles
    left = 0

    def run_part(blob: Any, arena: Any, number: int, done: int, count: int) -> None:
        nonlocal left
        left -= count
        if left < 0:
            raise PowerCut
        was[0](blob, arena, number, done, count)

    def run_tiles(blob: Any, arena: Any, start: int, end: int) -> None:
        for number in range(start, end):
            run_part(blob, arena, number, 0, blob.tile(number)[2])

    pure.session.run_part, pure.session.run_tiles = run_part, run_tiles
    try:
        while run.state != 2:
            lives, left = lives + 1, 5
            run = session(net.blob, memory)
            split += run._units > 0
            try:
                while run.step() != pure.DONE:
                    pass
            except PowerCut:
                continue
            assert lives < 5000
    finally:
        pure.session.run_part, pure.session.run_tiles = was
    assert run.output() == net.output and split > 50
