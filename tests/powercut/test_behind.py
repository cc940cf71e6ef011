"""What is written behind the tiles, and when, is what SPEC 4.5 says, at every boundary.

SECURITY S7.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.plan.live import LiveMap
from relume.plan.types import Plan

from tests.powercut.plans import TinyNet, plan_of, random_order, random_plan, tile_pace
from tests.powercut.session import (
    _ASK,
    _READ,
    FRAM,
    RL_DONE,
    RL_E_NVM,
    RL_E_STATE,
    RL_OK,
    Board,
    Memory,
)
from tests.powercut.supplied import FULL_MV, Supplied
from tests.powercut.test_live import tile_by_tile

HOME = 256  # the store's own bytes before the homes
LEAST = 16
NETS = range(24)


class _Live(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("blob", "done", "clean", "end", "lo")
    )


class _Behind(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("tensor", "first", "to"))


class Streaming(Memory):
    """FRAM that takes bytes while the core computes."""

    def __init__(self, size: int) -> None:
        super().__init__(size, FRAM)
        self.answers: Iterator[int] = iter(())  # is a write under way?
        self.begins = self.ends = RL_OK
        self.finished = 0
        more = (
            _READ(self._guard(self._start)), _ASK(self._guard(self._busy)),
            _ASK(self._guard(self._finish)),
        )  # fmt: skip
        self._functions += more  # type: ignore[assignment]
        self.nvm.start, self.nvm.busy, self.nvm.finish = more
        self.sent: list[tuple[int, bytes]] = []

    def _start(self, nvm: int, at: int, data: int, n: int) -> int:
        self.sent.append((at, ctypes.string_at(data, n)))
        return self.begins

    def _busy(self, nvm: int) -> int:
        return next(self.answers)

    def _finish(self, nvm: int) -> int:
        self.finished += 1
        return self.ends


class Rule:
    """SPEC 4.5 on a plan's tiles."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.live = plan, LiveMap(plan.graph, plan.tiles)
        self.clean = [0] * len(plan.graph.tensors)
        self.under_way: tuple[int, int, int] | None = None

    def look(self, tiles: int, busy: bool, asked: int = -1) -> tuple[int, int, int] | None:
        """The tensor and its bytes whose write begins behind so many tiles. asked: the op whose
        output is asked first, -1: that of the last tile."""
        spans = {tensor: (lo, end) for tensor, lo, end in self.live.live(tiles)}
        if self.under_way is not None:
            tensor, first, to = self.under_way
            if busy and tensor in spans and spans[tensor][0] <= first:
                return None
            self.clean[tensor] = to
        last = self.plan.tiles[tiles - 1].op if asked < 0 else asked
        self.under_way = self.next(tiles, spans, last)
        return self.under_way

    def next(
        self, tiles: int, spans: dict[int, tuple[int, int]], last: int
    ) -> tuple[int, int, int] | None:
        ops = self.plan.graph.ops
        done = [0] * len(ops)
        for tile in self.plan.tiles[:tiles]:
            done[tile.op] += tile.count
        for n in range(len(ops)):
            number = (last - n) % len(ops)
            out = ops[number].output
            end = done[number] * unit_bytes(self.plan, number)
            if end < self.clean[out] + LEAST:
                continue
            if out not in spans:
                self.clean[out] = end
                continue
            first = max(spans[out][0], self.clean[out])
            if end >= first + LEAST:
                return out, first, end
        return None


def unit_bytes(plan: Plan, number: int) -> int:
    """Output bytes of one unit of an op."""
    units = sum(tile.count for tile in plan.tiles if tile.op == number)
    return plan.graph.tensors[plan.graph.ops[number].output].size // units


class Looker:
    """rl_behind_look on a board between its tiles, which are only counted as finished."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.memory = Streaming(HOME + plan.nvm_size)
        self.board = Board(self.memory, pack(plan))
        assert self.board.mount() == RL_OK
        noise = random.Random(1).randbytes(len(self.board.arena))
        self.board.arena[:] = noise  # type: ignore[assignment]
        work = ctypes.addressof(self.board.work)
        ops, tensors = len(plan.graph.ops), len(plan.graph.tensors)
        at = [work, work + 4 * ops, work + 4 * (ops + tensors), work + 4 * (ops + 2 * tensors)]
        self.live = _Live(self.board.session.blob, *at)
        self.call("rl_live_restart", ctypes.byref(self.live))
        self.behind = _Behind(0, 0, 0)
        self.tiles = 0

    def call(self, name: str, *arguments: object) -> int:
        """A function of the C library, with what it must not touch checked."""
        status = int(getattr(self.board.librelume, name)(*arguments))
        self.memory.check()
        assert bytes(self.board.work)[-16:] == b"\x5a" * 16
        return status

    def look(self, asked: int = -1) -> int:
        """One more tile is finished, then rl_behind_look. asked: as in Rule.look."""
        tiles = ctypes.c_uint32(self.tiles), ctypes.c_uint32(self.tiles + 1)
        self.call("rl_live_finish", ctypes.byref(self.live), *tiles)
        self.tiles += 1
        return self.call(
            "rl_behind_look", ctypes.byref(self.behind), ctypes.byref(self.live),
            ctypes.byref(self.board.store), self.board.arena,
            ctypes.c_uint32(self.plan.tiles[self.tiles - 1].op if asked < 0 else asked),
        )  # fmt: skip

    def finish(self) -> int:
        """rl_behind_finish."""
        return self.call(
            "rl_behind_finish", ctypes.byref(self.behind), ctypes.byref(self.live),
            ctypes.byref(self.board.store),
        )  # fmt: skip

    def clean(self) -> list[int]:
        """What counts as written, tensor by tensor."""
        n = len(self.plan.graph.tensors)
        return list((ctypes.c_uint32 * n).from_address(self.live.clean))


def larger(seed: int) -> Plan:
    """A plan whose tensors are worth writes behind tiles."""
    return tile_by_tile(random_plan(seed, scale=1 + seed % 4, classes=48 * (seed % 2)))


BUSY: dict[str, Callable[[random.Random], int]] = {
    "always": lambda draw: 1, "never": lambda draw: 0, "at times": lambda draw: draw.randrange(2),
}  # fmt: skip


@pytest.mark.parametrize("order", ["last tile first", "any first"])
@pytest.mark.parametrize("busy", BUSY)
def test_behind_each_tile_goes_home_what_the_rule_says(busy: str, order: str) -> None:
    begun = went_on = skipped = 0
    for seed in NETS:
        plan = larger(seed)
        looker, rule, draw = Looker(plan), Rule(plan), random.Random(seed)
        for tiles in range(1, len(plan.tiles) + 1):
            before = rule.under_way
            answer = BUSY[busy](draw)
            looker.memory.answers = iter((answer,))
            asked = -1 if order != "any first" else draw.randrange(len(plan.graph.ops))
            assert looker.look(asked) == RL_OK
            want = rule.look(tiles, bool(answer), asked)
            went_on += want is None and rule.under_way is not None and rule.under_way == before
            assert looker.clean() == rule.clean, f"net {seed}, tile {tiles}"
            sent, looker.memory.sent = looker.memory.sent, []
            if want is None:
                assert sent == []
                skipped += 1
                continue
            tensor, first, to = want
            at = plan.arena_off[tensor] + first
            data = bytes(looker.board.arena)[at : at + to - first]
            assert sent == [(HOME + plan.nvm_off[tensor] + first, data)], f"net {seed}, {tiles}"
            begun += 1
    assert begun > 50 and skipped > 50
    assert (went_on == 0) if busy == "never" else (went_on > 5)


def test_what_is_under_way_is_clean_when_it_is_finished_and_then_nothing_is() -> None:
    for seed in NETS:
        plan = larger(seed)
        looker = Looker(plan)
        looker.memory.answers = iter([1] * len(plan.tiles))
        while not looker.memory.sent and looker.tiles < len(plan.tiles):
            assert looker.look() == RL_OK
        if not looker.memory.sent:
            continue
        tensor, to = looker.behind.tensor - 1, looker.behind.to
        before = looker.clean()
        assert looker.memory.finished == 0
        assert looker.finish() == RL_OK and looker.memory.finished == 1
        assert looker.clean() == [*before[:tensor], to, *before[tensor + 1 :]]
        assert looker.behind.tensor == 0
        assert looker.finish() == RL_OK and looker.memory.finished == 1


def test_a_write_that_failed_is_told_and_counts_for_nothing() -> None:
    for seed in NETS:
        plan = larger(seed)
        looker = Looker(plan)
        while not looker.memory.sent and looker.tiles < len(plan.tiles):
            assert looker.look() == RL_OK
        if looker.tiles == len(plan.tiles):
            continue
        before = looker.clean()
        looker.memory.ends, looker.memory.answers = RL_E_NVM, iter((0,))
        assert looker.look() == RL_E_NVM
        assert looker.clean() == before and len(looker.memory.sent) == 1
        assert looker.behind.tensor == 0


def test_without_a_background_nothing_is_begun() -> None:
    plan = larger(3)
    looker = Looker(plan)
    looker.memory.nvm.start = _READ()
    for _ in plan.tiles:
        assert looker.look() == RL_OK
    assert looker.memory.sent == [] and set(looker.clean()) == {0}


def test_the_rule_is_asked_with_dead_outputs_too() -> None:
    """Or else a third of the rule is not seen."""
    dead = 0
    for seed in NETS:
        plan = larger(seed)
        rule = Rule(plan)
        for tiles in range(1, len(plan.tiles) + 1):
            before = list(rule.clean)
            under_way = rule.under_way
            rule.look(tiles, False)
            changed = [t for t, now in enumerate(rule.clean) if now != before[t]]
            dead += any(under_way is None or t != under_way[0] for t in changed)
    assert dead > 5


# --- in the steps of a session -------------------------------------------------------------------


def banded(seed: int) -> Plan:
    """Some in runs band by band, so that the outputs of several ops are dirty at once."""
    graph, random = TinyNet(seed, scale=4).graph(5), np.random.default_rng([seed, 1])
    tiles = random_order(graph, random, 5)
    return tile_by_tile(plan_of(graph, tiles, [*range(1, len(tiles) + 1)]))


def flowing(seed: int) -> tuple[Plan, Supplied, Streaming]:
    """A board with one segment, whose charge never ends; its input is committed. Of writes under
    way behind so many tiles some last, as `lasting` draws."""
    plan = banded(seed)
    whole = dataclasses.replace(plan.segments[0], end=len(plan.tiles))
    pace = tile_pace(len(plan.graph.ops))
    memory = Streaming(HOME + plan.nvm_size)
    board = Supplied(
        dataclasses.replace(plan, segments=(whole,), pace=pace), lambda tile: FULL_MV, memory
    )
    lasts = lasting(seed)
    memory.answers = (lasts[board.session.tile] for _ in itertools.count())
    board.start()
    return plan, board, memory


def lasting(seed: int) -> list[int]:
    """Behind so many tiles: is the write under way not finished?"""
    return random.Random(seed).choices([0, 1], k=200)


def test_a_step_writes_behind_its_tiles_what_the_rule_says() -> None:
    """The output of the last of them is asked first."""
    begun = 0
    for seed in NETS:
        plan, board, memory = flowing(seed)
        assert board.step() == RL_DONE
        rule, lasts = Rule(plan), lasting(seed)
        wanted = [rule.look(tiles, bool(lasts[tiles])) for tiles in range(1, len(plan.tiles))]
        writes = [(HOME + plan.nvm_off[w[0]] + w[1], w[2] - w[1]) for w in wanted if w]
        assert [(at, len(data)) for at, data in memory.sent] == writes, f"net {seed}"
        begun += len(writes)
    assert begun > 50


def test_a_step_that_cannot_begin_a_write_computes_no_tile_more() -> None:
    """Nor does any other before the next open."""
    failed = 0
    for seed in NETS:
        plan, board, memory = flowing(seed)
        rule = Rule(plan)
        memory.begins = RL_E_NVM
        if board.step() == RL_DONE:
            continue
        first = next(tiles for tiles in range(1, len(plan.tiles)) if rule.look(tiles, busy=False))
        assert board.session.tile == first
        assert board.step() == RL_E_STATE
        failed += 1
    assert failed > 10
