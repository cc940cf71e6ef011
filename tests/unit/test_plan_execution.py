"""Every plan, executed symbolically with power cuts, keeps the promises of SPEC 3.

Bytes are tags (tensor, place). SRAM is lost at each cut; NVM keeps what commits wrote.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.model.graph import Graph, Kind
from relume.plan.arena import place_sram
from relume.plan.homes import place_homes
from relume.plan.live import LiveMap, reach, reach_of_one
from relume.plan.scratch import op_scratch
from relume.plan.types import Tile

from tests.unit.plan_nets import RandomNet, bytes_read, random_plan, random_tiles

SEEDS = st.integers(0, 2**32 - 1)
Tag = tuple[int, int]


class Board:
    """SRAM and NVM as byte -> tag; refuses what would be wrong on a real board."""

    def __init__(
        self, graph: Graph, tiles: tuple[Tile, ...], ends: list[int],
        arena_off: tuple[int, ...], nvm_off: tuple[int, ...], scratch_off: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.graph, self.tiles, self.ends = graph, tiles, set(ends)
        self.live = LiveMap(graph, tiles)
        self.arena_off, self.nvm_off, self.scratch_off = arena_off, nvm_off, scratch_off
        self.sram: dict[int, Tag] = {}
        self.nvm: dict[int, Tag] = {}
        self.record: int | None = None
        self.written: set[Tag] = set()

    def give_input(self) -> None:
        """The host's input, committed before the first tile."""
        for byte in range(self.graph.tensors[self.graph.input].size):
            self.sram[self.arena_off[self.graph.input] + byte] = (self.graph.input, byte)
        self.commit(0, None)

    def run(self, number: int) -> None:
        tile = self.tiles[number]
        op = self.graph.ops[tile.op]
        width = self.graph.unit_bytes(op)
        read = {
            self.arena_off[tensor] + byte: (tensor, byte)
            for unit in range(tile.first, tile.first + tile.count)
            for tensor, byte in bytes_read(self.graph, op, unit)
        }
        at = self.scratch_off[number]
        for place in range(at, at + op_scratch(self.graph, "portable", op)):
            self.sram.pop(place, None)  # the kernel writes there
        assert all(self.sram.get(at) == tag for at, tag in read.items()), "overwritten too soon"
        at = self.arena_off[op.output] + tile.first * width
        assert read.keys().isdisjoint(range(at, at + tile.count * width)), "read and written"
        for byte in range(tile.first * width, (tile.first + tile.count) * width):
            assert (op.output, byte) not in self.written, "an output byte is written twice"
            self.written.add((op.output, byte))
            self.sram[self.arena_off[op.output] + byte] = (op.output, byte)

    def commit(self, boundary: int, clean: int | None) -> None:
        """Data, then the record; until then the old record's data must stay whole.

        clean: the boundary whose finished bytes are at home already.
        """
        for tensor, first, end in self.live.dirty(clean, boundary):
            for byte in range(first, end):
                assert self.sram[self.arena_off[tensor] + byte] == (tensor, byte)
                self.nvm[self.nvm_off[tensor] + byte] = (tensor, byte)
        self.check_record()
        self.record = boundary
        self.check_record()

    def check_record(self) -> None:
        """All live bytes of the newest record lie at their homes."""
        if self.record is not None:
            for tensor, first, end in self.live.live(self.record):
                for byte in range(first, end):
                    assert self.nvm.get(self.nvm_off[tensor] + byte) == (tensor, byte)

    def cut(self) -> int:
        """SRAM is lost, the newest record is restored; returns the next tile."""
        assert self.record is not None
        self.sram.clear()
        for tensor, first, end in self.live.live(self.record):
            for byte in range(first, end):
                self.sram[self.arena_off[tensor] + byte] = self.nvm[self.nvm_off[tensor] + byte]
        done = {(t.op, unit) for t in self.tiles[: self.record] for unit in _units(t)}
        self.written = {
            (self.graph.ops[op].output, unit * self.graph.unit_bytes(self.graph.ops[op]) + b)
            for op, unit in done
            for b in range(self.graph.unit_bytes(self.graph.ops[op]))
        }
        return self.record


def _units(tile: Tile) -> range:
    return range(tile.first, tile.first + tile.count)


def _inference(board: Board, random: np.random.Generator, cuts: int, extra: float) -> None:
    board.give_input()
    tile = 0
    while tile < len(board.tiles):
        board.run(tile)
        tile += 1
        if tile in board.ends or random.random() < extra:
            board.commit(tile, board.record)
        if cuts and random.random() < 0.3:
            cuts -= 1
            tile = board.cut()
    output = board.graph.output
    for byte in range(board.graph.tensors[output].size):
        assert board.sram[board.arena_off[output] + byte] == (output, byte)
        assert (output, byte) in board.written
    board.written.clear()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 7), st.sampled_from((0.0, 0.3, 1.0)))
def test_any_tiling_survives_cuts_and_extra_commits_with_shared_homes(
    seed: int, n_ops: int, extra: float
) -> None:
    random = np.random.default_rng(seed)
    graph = RandomNet(seed, 6).graph(n_ops)
    tiles = random_tiles(graph, seed)
    live = LiveMap(graph, tiles)
    ends = [e for e in range(1, len(tiles)) if random.random() < 0.5] + [len(tiles)]
    sram = place_sram(graph, live, tiles)
    nvm_off, _ = place_homes(graph, live, ends, 0)
    board = Board(graph, tiles, ends, sram.arena_off, nvm_off, sram.scratch_off)
    for _ in range(2):  # the second inference starts over the homes of the first
        _inference(board, random, 6, extra)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 6), st.sampled_from((1.0, 1.05, 2.0)))
def test_plans_of_the_planner_survive_cuts(seed: int, n_ops: int, slack: float) -> None:
    plan = random_plan(seed, n_ops, slack)
    ends = [segment.end for segment in plan.segments]
    board = Board(plan.graph, plan.tiles, ends, plan.arena_off, plan.nvm_off, plan.scratch_off)
    _inference(board, np.random.default_rng(seed), 4, 0.1)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 7))
def test_live_bytes_are_what_unfinished_units_read(seed: int, n_ops: int) -> None:
    graph = RandomNet(seed, 6).graph(n_ops)
    tiles = random_tiles(graph, seed)
    live = LiveMap(graph, tiles)
    for boundary in range(len(tiles) + 1):
        ranges = live.live(boundary)
        assert sum(end - first for _, first, end in ranges) == live.live_bytes[boundary]
        assert len(ranges) == live.live_ranges[boundary]
        assert [tensor for tensor, _, _ in ranges] == sorted({t for t, _, _ in ranges})
        held = {(tensor, byte) for tensor, first, end in ranges for byte in range(first, end)}
        made = {(graph.input, b) for b in range(graph.tensors[graph.input].size)}
        for tile in tiles[:boundary]:
            width = graph.unit_bytes(graph.ops[tile.op])
            out = graph.ops[tile.op].output
            made |= {
                (out, b) for b in range(tile.first * width, (tile.first + tile.count) * width)
            }
        wanted = {(graph.output, b) for b in range(graph.tensors[graph.output].size)}
        for tile in tiles[boundary:]:
            for unit in _units(tile):
                wanted.update(bytes_read(graph, graph.ops[tile.op], unit))
        assert wanted & made <= held <= made


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_one_unit_reaches_as_far_as_it_does_among_all(seed: int, n_ops: int) -> None:
    graph = RandomNet(seed).graph(n_ops)
    for op in graph.ops:
        units = np.arange(graph.units(op))
        for tensor in op.inputs:
            ends = [reach_of_one(graph, op, tensor, unit) for unit in range(len(units))]
            assert ends == reach(graph, op, tensor, units).tolist()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 7))
def test_dirty_totals_agree_with_dirty_ranges(seed: int, n_ops: int) -> None:
    graph = RandomNet(seed, 6).graph(n_ops)
    live = LiveMap(graph, random_tiles(graph, seed))
    for end in range(1, live.n_tiles + 1):
        start = int(np.random.default_rng(seed + end).integers(0, end))
        every = np.arange(start, end)
        total, ranges = live.dirty_totals(every, np.full(len(every), end))
        for previous in range(start, end):
            dirty = live.dirty(previous, end)
            assert total[previous - start] == sum(stop - first for _, first, stop in dirty)
            assert ranges[previous - start] == len(dirty)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 9))
def test_live_bytes_and_bytes_being_written_never_share_arena_bytes(seed: int, n_ops: int) -> None:
    graph = RandomNet(seed).graph(n_ops)
    tiles = random_tiles(graph, seed)
    live = LiveMap(graph, tiles)
    sram = place_sram(graph, live, tiles)
    offsets, size = sram.arena_off, sram.arena_size
    ends = [at + tensor.size for at, tensor in zip(offsets, graph.tensors, strict=True)]
    assert all(at % 4 == 0 for at in offsets) and max(ends) <= size and size % 16 == 0
    for boundary in range(len(tiles) + 1):
        held = [(offsets[t] + lo, offsets[t] + end) for t, lo, end in live.live(boundary)]
        if boundary < len(tiles):
            tile = tiles[boundary]
            op = graph.ops[tile.op]
            at = offsets[op.output] + tile.first * graph.unit_bytes(op)
            held.append((at, at + tile.count * graph.unit_bytes(op)))
        held.sort()
        assert all(_apart(first, second) for first, second in itertools.pairwise(held))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 9))
def test_lives_kept_apart_share_no_byte_with_what_they_meet(seed: int, n_ops: int) -> None:
    graph = RandomNet(seed).graph(n_ops)
    tiles = random_tiles(graph, seed)
    live = LiveMap(graph, tiles)
    offsets = place_sram(graph, live, tiles, apart=True).arena_off
    spans = [(at, at + t.size) for at, t in zip(offsets, graph.tensors, strict=True)]
    for op in graph.ops:
        assert all(_apart(spans[op.output], spans[tensor]) for tensor in op.inputs)
    for boundary in range(live.n_tiles + 1):
        held = sorted(spans[tensor] for tensor, _, _ in live.live(boundary))
        assert all(_apart(first, second) for first, second in itertools.pairwise(held))


def test_an_output_over_rows_still_needed_is_caught() -> None:
    caught = 0
    for seed in range(60):
        plan = random_plan(seed, 3, 1.0)
        op = plan.graph.ops[0]
        if op.kind is Kind.RESHAPE or plan.graph.tensors[op.output].size < 2:
            continue
        offsets = list(plan.arena_off)
        offsets[op.output] = offsets[plan.graph.input]
        ends = [segment.end for segment in plan.segments]
        board = Board(plan.graph, plan.tiles, ends, tuple(offsets), plan.nvm_off, plan.scratch_off)
        with pytest.raises(AssertionError, match=r"too soon|read and written"):
            _inference(board, np.random.default_rng(seed), 0, 0.0)
        caught += 1
    assert caught > 40


def _apart(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[1] <= second[0] or second[1] <= first[0]


def test_homes_are_private_where_they_fit_and_shared_where_not() -> None:
    graph = RandomNet(7).graph(12)
    tiles = random_tiles(graph, 7)
    live = LiveMap(graph, tiles)
    ends = list(range(1, len(tiles) + 1))
    _, private = place_homes(graph, live, ends, 1 << 30)
    _, shared = place_homes(graph, live, ends, 0)
    assert private == sum(-(-tensor.size // 4) * 4 for tensor in graph.tensors)
    assert shared < private


def test_output_home_is_never_the_inputs() -> None:
    for seed in range(40):
        graph = RandomNet(seed).graph(6)
        tiles = random_tiles(graph, seed)
        ends = list(range(1, len(tiles) + 1))
        offsets, _ = place_homes(graph, LiveMap(graph, tiles), ends, 0)
        source, target = graph.tensors[graph.input], graph.tensors[graph.output]
        at, out = offsets[graph.input], offsets[graph.output]
        assert _apart((at, at + source.size), (out, out + target.size))
