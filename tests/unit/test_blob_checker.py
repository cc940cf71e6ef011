"""The checker refuses what is damaged or would lead a kernel astray.

SECURITY B1, B2.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan.planner import Budget, make_plan

from tests import native
from tests.kernels import netgen, oracle
from tests.unit import blob_edit
from tests.unit.golden import make_golden as golden

GOLDEN = golden.BLOB.read_bytes()
META = blob_edit.get(GOLDEN, "header.meta_size")
CONV, DEPTHWISE, ADD, POOL, DENSE, SOFTMAX = range(6)


def outcomes(blobs: list[bytes]) -> list[native.Outcome]:
    """Checked and, if accepted, run under the sanitizers."""
    (program,) = native.runners()[:1]
    return native.run_program(program, [(blob, b"") for blob in blobs])


def test_every_prefix_is_refused() -> None:
    results = outcomes([GOLDEN[:length] for length in range(len(GOLDEN))])
    assert {result.status for result in results} == {"RL_E_TRUNCATED"}


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_refused(mask: int) -> None:
    blobs = []
    for place in range(len(GOLDEN)):
        blobs.append(GOLDEN[:place] + bytes([GOLDEN[place] ^ mask]) + GOLDEN[place + 1 :])
    assert "RL_OK" not in {result.status for result in outcomes(blobs)}


def test_constants_are_covered_by_their_own_checksum() -> None:
    damaged = GOLDEN[:-1] + bytes([GOLDEN[-1] ^ 4])
    status, fault, _ = native.check(damaged)
    assert (status, fault.offset, fault.what) == ("RL_E_CRC", 20, "constants checksum")
    assert native.check(damaged, with_data=False)[0] == "RL_OK"
    assert native.check(GOLDEN[:META] + bytes(len(GOLDEN) - META), with_data=False)[0] == "RL_OK"


def test_bytes_behind_the_blob_do_not_matter() -> None:
    assert native.check(GOLDEN + b"\xff" * 100)[0] == "RL_OK"


REFUSED = [
    ("header.magic", 0, "RL_E_MAGIC", "magic"),
    ("header.major", 2, "RL_E_VERSION", "major"),
    ("header.minor", 1, "RL_E_VERSION", "minor"),
    ("header.header_size", 124, "RL_E_BOUNDS", "header_size"),
    ("header.total_size", len(GOLDEN) + 16, "RL_E_TRUNCATED", "total_size"),
    ("header.total_size", len(GOLDEN) - 8, "RL_E_BOUNDS", "multiple of 16"),
    ("header.meta_size", META + 4, "RL_E_BOUNDS", "multiple of 16"),
    ("header.meta_size", 112, "RL_E_BOUNDS", "meta_size"),
    ("header.meta_size", 0xFFFFFFF0, "RL_E_BOUNDS", "meta_size"),
    ("header.core", 3, "RL_E_KIND", "another core"),
    ("header.nvm_kind", 0, "RL_E_BOUNDS", "nvm_kind"),
    ("header.nvm_kind", 5, "RL_E_BOUNDS", "nvm_kind"),
    ("header.flags", 1, "RL_E_VERSION", "flags"),
    ("header.arena_size", (1 << 24) + 16, "RL_E_BOUNDS", "arena_size"),
    ("header.arena_size", 287, "RL_E_BOUNDS", "arena_size"),
    ("header.arena_size", 272, "RL_E_BOUNDS", "outside the arena"),
    ("header.scratch_size", 0xFFFFFFF0, "RL_E_BOUNDS", "scratch_size"),
    ("header.scratch_size", 64, "RL_E_BOUNDS", "scratch memory"),
    ("header.nvm_size", 100, "RL_E_BOUNDS", "home area"),
    ("header.n_tensors", 0, "RL_E_BOUNDS", "n_tensors"),
    ("header.n_tensors", 4097, "RL_E_BOUNDS", "n_tensors"),
    ("header.n_tensors", 8, "RL_E_BOUNDS", "section outside"),
    ("header.n_ops", 0, "RL_E_BOUNDS", "n_ops"),
    ("header.n_ops", 7, "RL_E_BOUNDS", "section outside"),
    ("header.n_tiles", 0, "RL_E_BOUNDS", "n_tiles"),
    ("header.n_tiles", 65536, "RL_E_BOUNDS", "n_tiles"),
    ("header.n_tiles", 65535, "RL_E_BOUNDS", "section outside"),
    ("header.n_segments", 0, "RL_E_BOUNDS", "n_segments"),
    ("header.n_segments", 1, "RL_E_PLAN", "segments do not cover"),
    ("header.off_tensors", 0, "RL_E_BOUNDS", "section outside"),
    ("header.off_tensors", 130, "RL_E_BOUNDS", "not aligned"),
    ("header.off_ops", 0xFFFFFFFC, "RL_E_BOUNDS", "section outside"),
    ("header.off_strings", META, "RL_E_BOUNDS", "section outside"),
    ("header.strings_size", 0, "RL_E_BOUNDS", "strings_size"),
    ("header.strings_size", 3, "RL_E_BOUNDS", "do not end with 0"),
    ("header.strings_size", 0xFFFFFFFF, "RL_E_BOUNDS", "section outside"),
    ("header.input", 7, "RL_E_BOUNDS", "input"),
    ("header.output", 0xFFFF, "RL_E_BOUNDS", "output"),
    ("header.output", 0, "RL_E_PLAN", "output is written by no op"),
    ("header.input", 1, "RL_E_PLAN", "op writes the input"),
    ("header.name", 0xFFFFFFFF, "RL_E_BOUNDS", "string"),
    ("header.board", 1 << 20, "RL_E_BOUNDS", "string"),
    ("header.input_type", 0, "RL_E_KIND", "input_type"),
    ("header.input_type", 4, "RL_E_KIND", "input_type"),
    ("header.output_type", 0, "RL_E_KIND", "output_type"),
    ("header.output_type", 255, "RL_E_KIND", "output_type"),
    ("tensor[1].arena_off", 0, "RL_E_PLAN", "writes over what it reads"),
    ("tensor[1].arena_off", 98, "RL_E_BOUNDS", "not aligned"),
    ("tensor[1].arena_off", 0xFFFFFFFC, "RL_E_BOUNDS", "outside the arena"),
    ("tensor[1].nvm_off", 0xFFFFFFF0, "RL_E_BOUNDS", "home area"),
    ("tensor[1].size", 61, "RL_E_SHAPE", "h * w * c"),
    ("tensor[1].size", 0, "RL_E_SHAPE", "tensor size"),
    ("tensor[1].h", 0xFFFF, "RL_E_SHAPE", "h * w * c"),
    ("tensor[1].dtype", 2, "RL_E_KIND", "int8"),
    ("tensor[1].zero_point", 128, "RL_E_SHAPE", "zero point"),
    ("tensor[1].zero_point", -129, "RL_E_SHAPE", "zero point"),
    ("tensor[1].name", 4000, "RL_E_BOUNDS", "string"),
    ("op[0].kind", 0, "RL_E_KIND", "op kind"),
    ("op[0].kind", 3, "RL_E_SHAPE", "unit_bytes"),
    ("op[0].kind", 15, "RL_E_SHAPE|RL_E_KIND", "unit_bytes|op kind"),
    ("op[0].kernel", 1, "RL_E_KIND", "kernel"),
    ("op[0].chunk", 1, "RL_E_BOUNDS", "chunk"),
    ("op[0].stage_off", 4, "RL_E_BOUNDS", "stage_off"),
    ("op[0].in0", 7, "RL_E_BOUNDS", "in0"),
    ("op[0].in0", 0xFFFF, "RL_E_BOUNDS", "in0"),
    ("op[0].from0", 0, "RL_E_PLAN", "not written by from0"),
    ("op[0].from1", 0, "RL_E_PLAN", "not written by from1"),
    ("op[1].from0", 0xFFFF, "RL_E_PLAN", "not written by from0"),
    ("op[1].from0", 6, "RL_E_PLAN", "not written by from0"),
    ("op[2].from1", 2, "RL_E_PLAN", "not written by from1"),
    ("op[0].in1", 1, "RL_E_SHAPE", "in1 belongs to"),
    ("op[0].out", 9, "RL_E_BOUNDS", "out"),
    ("op[0].out", 0, "RL_E_PLAN", "its own input"),
    ("op[0].units", 11, "RL_E_SHAPE", "units"),
    ("op[0].units", 0, "RL_E_SHAPE", "units"),
    ("op[0].unit_bytes", 1, "RL_E_SHAPE", "unit_bytes"),
    ("op[0].kh", 0, "RL_E_SHAPE", "height"),
    ("op[0].kw", 0, "RL_E_SHAPE", "width"),
    ("op[0].kh", 4, "RL_E_SHAPE", "w_size"),
    ("op[0].kh", 2, "RL_E_SHAPE", "w_size"),
    ("op[0].sh", 0, "RL_E_SHAPE", "height"),
    ("op[0].sh", 3, "RL_E_SHAPE", "height"),
    ("op[0].sw", 0xFFFF, "RL_E_SHAPE", "width"),
    ("op[0].pad_top", 3, "RL_E_SHAPE", "height"),
    ("op[0].pad_left", 0xFFFF, "RL_E_SHAPE", "width"),
    ("op[0].dil_h", 0, "RL_E_SHAPE", "height"),
    ("op[0].depth_mult", 1, "RL_E_SHAPE", "depth_mult"),
    ("op[0].act_min", -129, "RL_E_SHAPE", "clamp"),
    ("op[0].act_max", 128, "RL_E_SHAPE", "clamp"),
    ("op[1].act_min", 121, "RL_E_SHAPE", "clamp"),
    ("op[0].off_w", META - 16, "RL_E_BOUNDS", "constants outside"),
    ("op[0].off_w", 0xFFFFFFFC, "RL_E_BOUNDS", "constants outside"),
    ("op[0].off_w", META + 1, "RL_E_BOUNDS", "not aligned"),
    ("op[0].w_size", 91, "RL_E_SHAPE", "w_size"),
    ("op[0].off_bias", 4, "RL_E_BOUNDS", "constants outside"),
    ("op[0].off_mult", 0, "RL_E_BOUNDS", "constants outside"),
    ("op[0].off_mult", len(GOLDEN) - 16, "RL_E_BOUNDS", "constants outside"),
    ("op[0].off_shift", 0, "RL_E_BOUNDS", "constants outside"),
    ("op[0].off_shift", len(GOLDEN) - 4, "RL_E_BOUNDS", "constants outside"),
    ("op[0].name", 5000, "RL_E_BOUNDS", "string"),
    ("op[1].depth_mult", 2, "RL_E_SHAPE", "depth_mult"),
    ("op[1].depth_mult", 0, "RL_E_SHAPE", "depth_mult"),
    ("op[2].in1", 0xFFFF, "RL_E_SHAPE", "shape of an operand"),
    ("op[2].in1", 7, "RL_E_BOUNDS", "in1"),
    ("op[2].in1", 0, "RL_E_SHAPE", "shape of an operand"),
    ("op[2].in1", 3, "RL_E_PLAN", "its own input"),
    ("op[2].p7", 4, "RL_E_SHAPE", "flags"),
    ("op[2].p7", 0x100, "RL_E_SHAPE", "flags"),
    ("op[2].kind", 12, "RL_E_BOUNDS|RL_E_SHAPE", "multiplier|flags"),
    ("op[2].p0", 23, "RL_E_BOUNDS", "left shift"),
    ("op[2].p0", -1, "RL_E_BOUNDS", "left shift"),
    ("op[2].p1", -1, "RL_E_BOUNDS", "in0"),
    ("op[2].p4", 31, "RL_E_BOUNDS", "in1"),
    ("op[2].p6", -32, "RL_E_BOUNDS", "output"),
    ("op[3].in0", 0, "RL_E_SHAPE", "channels differ"),
    ("op[3].pad_top", 2, "RL_E_SHAPE", "height"),
    ("op[4].in0", 1, "RL_E_BOUNDS|RL_E_SHAPE", "w_size|overlaps"),
    ("op[5].p0", -1, "RL_E_BOUNDS", "multiplier"),
    ("op[5].p1", 31, "RL_E_BOUNDS", "left shift"),
    ("op[5].p2", 1, "RL_E_BOUNDS", "diff_min"),
    ("op[5].p2", -249, "RL_E_BOUNDS", "diff_min"),
    ("op[5].p2", -(1 << 31), "RL_E_BOUNDS", "diff_min"),
    ("tile[0].op", 6, "RL_E_BOUNDS", "tile's op"),
    ("tile[0].scratch", 0xFFFF, "RL_E_BOUNDS", "scratch memory outside"),
    ("tile[0].scratch", 0, "RL_E_PLAN", "scratch memory"),
    ("tile[2].scratch", 1, "RL_E_BOUNDS", "an op that has none"),
    ("tile[0].first", 1, "RL_E_PLAN", "does not follow"),
    ("tile[1].first", 4, "RL_E_PLAN", "does not follow"),
    ("tile[0].count", 0, "RL_E_BOUNDS", "leaves its op"),
    ("tile[1].count", 8, "RL_E_BOUNDS", "leaves its op"),
    ("tile[1].count", 6, "RL_E_PLAN", "before its inputs"),
    ("tile[1].first", 0xFFFFFFFF, "RL_E_BOUNDS", "leaves its op"),
    ("segment[0].end_tile", 0, "RL_E_PLAN", "do not rise"),
    ("segment[1].end_tile", 5, "RL_E_PLAN", "do not rise"),
    ("segment[1].end_tile", 99, "RL_E_PLAN", "do not rise"),
    ("segment[1].flags", 2, "RL_E_VERSION", "flags"),
]


@pytest.mark.parametrize(("path", "value", "status", "what"), REFUSED)
def test_field_out_of_range_is_refused_by_name(
    path: str, value: int, status: str, what: str
) -> None:
    got, fault, _ = native.check(blob_edit.put(GOLDEN, {path: value}))
    assert got in status.split("|"), fault
    assert any(part in fault.what for part in what.split("|")), fault


@pytest.mark.parametrize(
    "path", ["header.flags", "tensor[3].zero_point", "op[2].p0", "op[4].w_size", "tile[4].first"]
)
def test_fault_points_at_the_field(path: str) -> None:
    _, fault, _ = native.check(blob_edit.put(GOLDEN, {path: 0x7FFF}))
    assert fault.offset == blob_edit.at(GOLDEN, path)[0]


def test_tiles_that_run_before_their_inputs_are_refused() -> None:
    """The depthwise op's first tile changes places with the convolution's last."""
    tiles = {"tile[1].op": 1, "tile[1].first": 0, "tile[1].count": 4}
    tiles |= {"tile[2].op": 0, "tile[2].first": 5, "tile[2].count": 7}
    tiles |= {"tile[1].scratch": 0, "tile[2].scratch": blob_edit.get(GOLDEN, "tile[1].scratch")}
    status, fault, _ = native.check(blob_edit.put(GOLDEN, tiles))
    assert (status, fault.what) == ("RL_E_PLAN", "tile runs before its inputs")


def test_an_op_whose_tiles_stop_short_is_refused() -> None:
    tiles = blob_edit.get(GOLDEN, "header.n_tiles") - 1
    short = {"header.n_tiles": tiles, "segment[1].end_tile": tiles}
    status, fault, _ = native.check(blob_edit.put(GOLDEN, short))
    assert (status, fault.what) == ("RL_E_PLAN", "tiles do not cover the op")


def test_two_ops_that_write_one_tensor_are_refused() -> None:
    status, fault, _ = native.check(blob_edit.put(GOLDEN, {"op[2].out": 2, "op[2].in1": 1}))
    assert (status, fault.what) == ("RL_E_PLAN", "tensor is written by two ops")


def test_multipliers_out_of_range_are_refused() -> None:
    place = blob_edit.get(GOLDEN, "op[1].off_mult")
    image = bytearray(GOLDEN)
    image[place + 3] |= 0x80
    status, fault, _ = native.check(blob_edit.sealed(bytes(image)))
    assert (status, fault.offset) == ("RL_E_BOUNDS", place)


def test_ops_may_share_multipliers() -> None:
    first = blob_edit.get(GOLDEN, "op[0].off_mult")
    shared = blob_edit.put(GOLDEN, {"op[1].off_mult": first, "op[4].off_mult": first})
    assert native.check(shared)[0] == "RL_OK"


def test_shared_multipliers_cannot_make_the_check_long() -> None:
    """Ops that all claim one large array are refused once they claim more than there is."""
    channels, ops = 64, 9
    weights = np.ones((1, 1, channels), np.int8)
    multipliers = np.full(channels, 1 << 30, np.int32)
    shifts = np.zeros(channels, np.int8)
    window = Window(1, 1, 1, 1, 0, 0, 1, 1)
    graph = Graph(
        "chain",
        tuple(Tensor(f"t{i}", (1, 1, channels), 1.0, 0) for i in range(ops + 1)),
        tuple(
            Op(
                Kind.DEPTHWISE_CONV_2D, f"op{i}", (i,), i + 1, i, window, 1, weights=weights,
                multipliers=multipliers, shifts=shifts,
            )
            for i in range(ops)
        ),
        0,
        ops,
    )
    board = replace(load_board("RPI_PICO"), core="portable")
    blob = pack(make_plan(graph, board, Budget(1.0, 5.0, 1.8)))
    assert native.check(blob)[0] == "RL_OK"
    arrays = ("off_w", "off_mult", "off_shift")
    first = {key: blob_edit.get(blob, f"op[0].{key}") for key in arrays}
    shared = {f"op[{op}].{key}": place for op in range(1, ops) for key, place in first.items()}
    shared["header.total_size"] = blob_edit.get(blob, "op[1].off_w")
    status, fault, _ = native.check(blob_edit.put(blob, shared))
    assert (status, fault.what) == ("RL_E_BOUNDS", "more multipliers than constants")


@functools.cache
def victims() -> list[bytes]:
    """Small blobs with ops of every kind: each random net that brings a new one."""
    blobs, kinds = [GOLDEN], {op.kind for op in golden.golden_graph().ops}
    for seed in range(200):
        packed = oracle.packed(netgen.random_net(seed), seed)
        brought = {op.kind for op in packed.graph.ops} - kinds
        if len(packed.blob) < 4000 and (brought or len(blobs) < 5):
            kinds |= brought
            blobs.append(packed.blob)
    assert kinds == set(Kind)
    return blobs


def hostile(blob: bytes, random: np.random.Generator) -> bytes:
    """One to three fields or words of the metadata changed, checksums right."""
    image = bytearray(blob)
    meta = blob_edit.get(blob, "header.meta_size")
    for _ in range(int(random.integers(1, 4))):
        width = int(random.choice([1, 2, 4]))
        place = int(random.integers(24, meta - 4)) // width * width
        old = int.from_bytes(image[place : place + width], "little")
        top = 1 << (8 * width)
        value = random.choice([
            0, 1, 2, 3, top - 1, top // 2, old + 1, old - 1, old * 2, old // 2, old ^ 4,
            int(random.integers(0, top)),
        ])  # fmt: skip
        image[place : place + width] = (int(value) % top).to_bytes(width, "little")
    return blob_edit.sealed(bytes(image))


@pytest.mark.parametrize("seed", range(6))
def test_hostile_blob_is_refused_or_runs_clean(seed: int) -> None:
    random = np.random.default_rng(seed)
    blobs = [hostile(blob, random) for blob in victims() for _ in range(150)]
    count = Counter(result.status for result in outcomes(blobs))
    assert count["RL_OK"] > 20 and sum(count.values()) - count["RL_OK"] > 200, count
    assert count["RL_E_CRC"] == 0
