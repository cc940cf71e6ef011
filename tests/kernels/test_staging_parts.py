"""Weights in SRAM by parts: the same bytes, from a buffer that nothing leaves.

SECURITY B4.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from relume.blob.layouts.select import lay_out
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.board.profile import load_board
from relume.errors import BlobError
from relume.model.graph import Graph, Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.parts import EXACT_BYTES, block_bytes, part_bytes
from relume.plan.planner import Budget, make_plan
from relume.plan.staging import SMALL, run_bytes
from relume.plan.types import Plan, Stage

from tests import native
from tests.kernels import m0plus_ops
from tests.shared import model_file
from tests.unit import blob_edit

SEEDS = range(40)
BEGIN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
END = ctypes.CFUNCTYPE(None)


@dataclass(frozen=True)
class Parts:
    """A blob whose op 0 has its weights in parts of `blocks` blocks of channels; `each`: bytes of
    the buffer that a block takes."""

    blob: bytes
    case: m0plus_ops.Case
    stage: Stage
    blocks: int
    each: int

    @property
    def kind(self) -> Kind:
        """Of op 0."""
        return self.case.graph.ops[0].kind


def in_parts(case: m0plus_ops.Case, blocks: int, alone: bool) -> Parts | None:
    """The case with the weights of `blocks` blocks of channels at a time, behind its scratch.

    alone: the other arrays stay in the blob; FULLY_CONNECTED: one block, and no other half."""
    graph, plan = case.graph, case.plan
    connected = graph.ops[0].kind is Kind.FULLY_CONNECTED
    fast = lay_out("m0plus", graph, graph.ops[0])
    assert fast is not None
    if not connected and (fast.p[1] % 4 or fast.p[1] < len(graph.ops[0].bias)):
        return None
    block, (size,) = block_bytes(fast), run_bytes(graph, "m0plus")
    if blocks * block >= len(fast.weights) or (alone and connected and blocks > 1):
        return None
    if connected:
        each, rest = part_bytes(fast), EXACT_BYTES * fast.p[2]
        chunk = -(-blocks * each * (1 if alone else 2) // 16) * 16
    else:
        each, rest = block, 0 if alone else size - len(fast.weights)
        chunk = blocks * block
    end = plan.arena_size + native.accepted(case.fast).header.scratch_size
    stage = Stage(end, chunk + rest, chunk)
    room = -(-(end + stage.size) // 16) * 16 - plan.arena_size
    blob = pack(replace(plan, stages={0: stage}, scratch_size=room))
    return Parts(blob, case, stage, blocks, each)


@functools.cache
def cases() -> list[Parts]:
    """Random CONV_2D and FULLY_CONNECTED, tiles cut at random, 1 to 4 blocks at a time, constants
    behind the buffer."""
    return [parts for parts in every_case() if parts.stage.size > parts.stage.chunk]


@functools.cache
def every_case() -> list[Parts]:
    """The same, and the same with tables in the blob."""
    every = [m0plus_ops.case(kind, seed) for kind in m0plus_ops.KINDS for seed in SEEDS]
    wide = np.random.default_rng(1)
    every.append(m0plus_ops.case_of(m0plus_ops.wide_graph(wide), 1, wide))
    made = [
        in_parts(case, blocks, alone)
        for case in every for blocks in (1, 2, 4) for alone in (False, True)
    ]  # fmt: skip
    return [parts for parts in made if parts is not None]


def output(parts: Parts, data: bytes) -> bytes:
    """What the op gives with its constants in place, as tested against TFLite elsewhere."""
    return native.accepted(parts.case.fast).run(data)[1]


def test_weights_in_parts_give_the_same_bytes() -> None:
    kinds = [parts.kind for parts in every_case()]
    assert min(kinds.count(kind) for kind in m0plus_ops.KINDS) >= 10
    feed = [(parts.blob, data) for parts in every_case() for data in parts.case.inputs]
    wanted = [output(parts, data) for parts in every_case() for data in parts.case.inputs]
    for program in native.runners():
        assert [one.data for one in native.run_program(program, feed, staged=True)] == wanted
        assert [one.data for one in native.run_program(program, feed)] == wanted


class _Stage(ctypes.Structure):
    _fields_ = (("begin", BEGIN), ("end", END), ("op", ctypes.c_uint32))


@dataclass
class Late:
    """A port whose bytes come when the end is waited for; until then their place is spoiled.

    copies: (to, from, bytes) of each, tiles: in which they were. never: number of a copy that does
    not come. wrong: calls that the engine must not make.
    """

    copies: list[tuple[int, int, int]] = field(default_factory=list)
    tiles: list[int] = field(default_factory=list)
    never: int = -1
    wrong: int = 0
    under_way: bool = False
    tile: int = 0

    def begin(self, to: int, source: int, size: int) -> None:
        """Takes note."""
        self.wrong += self.under_way or size == 0 or (to | source | size) % 4 != 0
        self.under_way = True
        self.copies.append((to, source, size))
        self.tiles.append(self.tile)
        ctypes.memset(to, 0x5A, size)

    def end(self) -> None:
        """Brings the bytes of the last copy."""
        self.wrong += not self.under_way
        self.under_way = False
        if len(self.copies) - 1 != self.never:
            ctypes.memmove(*self.copies[-1])

    def run(self, parts: Parts, forget: bool = False) -> bytes:
        """The output; forget: nothing is in SRAM any more before any tile."""
        stage = _Stage(BEGIN(self.begin), END(self.end), 0)

        def before(tile: int) -> None:
            self.tile = tile
            self.wrong += self.under_way
            stage.op = 0 if forget else stage.op

        data = parts.case.inputs[0]
        made = native.accepted(parts.blob).run_staged(data, ctypes.byref(stage), before)
        self.wrong += self.under_way
        return made


def test_forgetting_between_any_two_tiles_changes_nothing() -> None:
    for parts in every_case()[::3]:
        kept, forgot = Late(), Late()
        assert kept.run(parts) == output(parts, parts.case.inputs[0])
        assert forgot.run(parts, forget=True) == output(parts, parts.case.inputs[0])
        assert kept.wrong == forgot.wrong == 0
        again = len(parts.case.plan.tiles) - 1 if parts.stage.size > parts.stage.chunk else 0
        assert len(forgot.copies) == len(kept.copies) + again


def test_a_part_that_does_not_come_is_noticed() -> None:
    wrong = [
        Late(never=never).run(parts) != output(parts, parts.case.inputs[0])
        for parts in every_case()[::3] for never in (1, 2)
    ]  # fmt: skip
    assert sum(wrong) > len(wrong) / 2


def test_no_copy_leaves_the_block_and_a_tile_fetches_no_weight_twice() -> None:
    for parts in every_case()[::3]:
        port = Late()
        port.run(parts)
        low = min(to for to, _, _ in port.copies)
        assert max(to + size for to, _, size in port.copies) <= low + parts.stage.size
        if parts.kind is Kind.CONV_2D:
            whole = blob_edit.get(parts.blob, "op[0].w_size") * len(parts.case.plan.tiles)
            tables = parts.stage.size - parts.stage.chunk
            assert sum(size for *_, size in port.copies) == whole + tables


def test_the_next_part_of_a_row_comes_into_the_other_half() -> None:
    together = 0
    for parts in every_case():
        half = parts.blocks * parts.each
        if parts.kind is Kind.FULLY_CONNECTED and parts.stage.chunk >= 2 * half:
            port = Late()
            port.run(parts)
            begun = zip(port.tiles, port.copies, strict=True)
            weights = list(begun)[parts.stage.size > parts.stage.chunk :][2::3]
            for (tile, (to, source, size)), (next_tile, following) in pairwise(weights):
                if (next_tile, following[1]) == (tile, source + size):
                    together += 1
                    assert abs(following[0] - to) == half
    assert together > 50


def hostile(parts: Parts) -> Iterator[tuple[dict[str, int], str, str]]:
    """(changes, status, what it says)."""
    stage, source = parts.stage, blob_edit.get(parts.blob, "tensor[0].arena_off")
    number, most = stage.chunk // 16, stage.size // 16 + 1
    scratch = 16 * blob_edit.get(parts.blob, "tile[0].scratch")
    yield {"op[0].chunk": most}, "RL_E_BOUNDS", "chunk"
    yield {"op[0].chunk": 0xFFFF}, "RL_E_BOUNDS", "chunk"
    yield {"op[0].chunk": number + 1}, "RL_E_BOUNDS", "outside the stage"
    yield {"op[0].chunk": number, "op[0].stage_size": 0}, "RL_E_BOUNDS", "chunk"
    yield {"op[0].stage_size": 0, "op[0].stage_off": 0}, "RL_E_BOUNDS", "chunk"
    yield {"op[0].stage_size": stage.chunk - 4}, "RL_E_BOUNDS", "chunk"
    yield {"op[0].stage_size": stage.size - 64}, "RL_E_BOUNDS", "outside the stage"
    yield {"op[0].stage_off": source}, "RL_E_PLAN", "over "
    yield {"op[0].stage_off": scratch}, "RL_E_PLAN", "over scratch"
    yield {"op[0].off_bias": blob_edit.get(parts.blob, "op[0].off_w")}, "RL_E_BOUNDS", "stage"
    yield {"op[0].off_w": 0xFFFFFFF0}, "RL_E_BOUNDS", "outside the blob"
    yield {"header.core": 2}, "RL_E_BOUNDS", "chunk"
    yield {"header.core": 0}, "RL_E_BOUNDS", "chunk"
    yield {"op[0].kernel": 0}, "RL_E_BOUNDS", "chunk"


def test_hostile_parts_are_refused_by_name() -> None:
    convs = [parts for parts in cases() if parts.kind is Kind.CONV_2D]
    for parts in convs[::5]:
        for changes, status, what in hostile(parts):
            found, fault, _ = native.check(blob_edit.put(parts.blob, changes))
            assert (found, what in fault.what) == (status, True), (changes, found, fault)


def test_a_hostile_buffer_of_a_fully_connected_layer_is_refused() -> None:
    every = [parts for parts in every_case() if parts.kind is Kind.FULLY_CONNECTED]
    for parts in every[::7]:
        chunk = parts.stage.chunk // 16
        for changes in (
            {"op[0].chunk": chunk + 1}, {"op[0].chunk": 0xFFFF}, {"op[0].stage_size": 0},
            {"op[0].stage_off": blob_edit.get(parts.blob, "tensor[0].arena_off")},
            {"op[0].stage_off": 16 * blob_edit.get(parts.blob, "tile[0].scratch")},
            {"header.core": 2}, {"header.core": 0}, {"op[0].kernel": 0},
        ):  # fmt: skip
            found, fault, _ = native.check(blob_edit.put(parts.blob, changes))
            assert found in ("RL_E_BOUNDS", "RL_E_PLAN"), (changes, found, fault)


def test_a_buffer_that_holds_no_block_of_channels_is_refused() -> None:
    for parts in cases()[::7]:
        small = (parts.each - 1) // 16
        size = parts.stage.size - parts.stage.chunk + 16 * small
        changes = {"op[0].chunk": small, "op[0].stage_size": size}
        status, fault, _ = native.check(blob_edit.put(parts.blob, changes))
        if small:
            assert (status, fault.what) == ("RL_E_SHAPE", "chunk does not fit the shapes")
        else:
            assert status == "RL_E_BOUNDS"


def test_exact_rows_in_flash_while_a_part_comes_are_refused() -> None:
    parts = next(parts for parts in cases() if parts.kind is Kind.FULLY_CONNECTED)
    changes = {"op[0].stage_size": parts.stage.chunk}
    status, fault, _ = native.check(blob_edit.put(parts.blob, changes))
    assert (status, fault.what) == ("RL_E_SHAPE", "chunk does not fit the shapes")


def test_the_host_refuses_a_buffer_as_large_as_its_block() -> None:
    parts = cases()[0]
    assert read_blob(parts.blob).ops[0].chunk == parts.stage.chunk
    changes = {"op[0].chunk": parts.stage.size // 16 + 1}
    with pytest.raises(BlobError, match="op 0: weights in parts leave their block"):
        read_blob(blob_edit.put(parts.blob, changes))


def large_dense() -> Graph:
    """FULLY_CONNECTED with 82 KB of weights."""
    random = np.random.default_rng(7)
    return m0plus_ops.dense_of(random, 640, 128)


def planned(graph: Graph, core: str = "m0plus", staging: bool = True) -> Plan:
    board = replace(load_board("RPI_PICO"), core=core)
    return make_plan(graph, board, Budget(1.0, 5.0, 1.8), staging=staging)


def test_weights_above_all_free_sram_come_in_parts_and_cost_less() -> None:
    plan, plain = planned(large_dense()), planned(large_dense(), staging=False)
    assert 0 < plan.stages[0].chunk < plan.stages[0].size < SMALL
    assert plan.arena_size + plan.scratch_size <= SMALL
    assert plan.worst_cycles < 0.8 * plain.worst_cycles
    data = m0plus_ops.inputs(640, np.random.default_rng(3))[0]
    (staged,) = native.run_program(native.runners()[0], [(pack(plan), data)], staged=True)
    (in_place,) = native.run_program(native.runners()[0], [(pack(plain), data)])
    assert staged == in_place


@pytest.mark.parametrize("core", ["portable", "m4"])
def test_other_layouts_read_such_weights_in_place(core: str) -> None:
    assert planned(large_dense(), core).stages == {}


def test_a_real_convolution_comes_in_parts_below_the_old_peak() -> None:
    graph = read_tflite(model_file("ic"))
    plan, plain = planned(graph), planned(graph, staging=False)
    assert any(stage.chunk for stage in plan.stages.values())
    assert plan.arena_size + plan.scratch_size == plain.arena_size + plain.scratch_size
    assert plan.worst_cycles < plain.worst_cycles
