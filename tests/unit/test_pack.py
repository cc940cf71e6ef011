"""A packed blob reads back as it was planned, and a damaged one is refused by name and offset.

SECURITY H1.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob import format as fmt
from relume.blob.pack import pack, packed_size
from relume.blob.reader import read_blob
from relume.errors import BlobError
from relume.plan.costs import CostModel

from tests.native import check
from tests.unit.plan_nets import BOARD, random_plan

SEEDS = st.integers(0, 2**32 - 1)
PLAN = random_plan(2, 5, 1.2)
BLOB = pack(PLAN)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 8), st.sampled_from(("fram", "flash", "file")))
def test_a_packed_plan_reads_back_as_it_was_planned(seed: int, n_ops: int, nvm: str) -> None:
    plan = random_plan(seed, n_ops, 1.5, nvm)
    image = pack(plan)
    blob = read_blob(image)
    assert len(image) == packed_size(plan) and pack(plan) == image
    assert (blob.name, blob.board, blob.nvm) == (plan.graph.name, plan.board, plan.nvm)
    assert blob.tiles == plan.tiles
    assert [s.end_tile for s in blob.segments] == [s.end for s in plan.segments]
    assert [s.commit_bytes for s in blob.segments] == [s.commit_bytes for s in plan.segments]
    assert (blob.input, blob.output) == (plan.graph.input, plan.graph.output)
    for number, tensor in enumerate(plan.graph.tensors):
        read = blob.tensors[number]
        assert (read.shape, read.zero_point, read.name) == (
            tensor.shape, tensor.zero_point, tensor.name)  # fmt: skip
        assert (read.arena_off, read.nvm_off) == (plan.arena_off[number], plan.nvm_off[number])
    for op, read_op in zip(plan.graph.ops, blob.ops, strict=True):
        assert (read_op.kind, read_op.units) == (op.kind, plan.graph.units(op))
    assert blob.boot_uj >= plan.boot_uj and blob.worst_uj >= plan.worst_uj
    assert blob.charge_uj <= plan.charge_uj


@settings(max_examples=40, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 8), st.sampled_from(("fram", "flash")))
def test_the_board_accepts_what_the_packer_makes(seed: int, n_ops: int, nvm: str) -> None:
    status, fault, _ = check(pack(random_plan(seed, n_ops, 1.5, nvm)))
    assert status == "RL_OK", fault


@settings(max_examples=40, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 8))
def test_the_cost_of_checking_metadata_counts_all_of_it(seed: int, n_ops: int) -> None:
    plan = random_plan(seed, n_ops, 1.0)
    bound = CostModel(plan.graph, BOARD, plan.nvm).meta_bytes_bound(len(plan.tiles))
    assert read_blob(pack(plan)).meta_size <= bound


def test_structures_have_the_sizes_of_the_specification() -> None:
    sizes = (fmt.HEADER.sizeof(), fmt.TENSOR_SIZE, fmt.OP_SIZE, fmt.TILE_SIZE, fmt.SEGMENT_SIZE)
    assert sizes == (128, 32, 124, 12, 24)


def test_constants_are_aligned_and_lie_where_the_ops_say() -> None:
    header = fmt.HEADER.parse(BLOB)
    for number, op in enumerate(PLAN.graph.ops):
        row = fmt.OP.parse(BLOB[header.off_ops + number * fmt.OP_SIZE :])
        for array, at in (
            (op.weights, row.off_w), (op.bias, row.off_bias),
            (op.multipliers, row.off_mult), (op.shifts, row.off_shift),
        ):  # fmt: skip
            if array is None:
                assert at == 0
                continue
            assert at % 4 == 0 and header.meta_size <= at <= header.total_size - array.nbytes
            stored = np.frombuffer(BLOB, array.dtype, array.size, at)
            assert np.array_equal(stored, array.reshape(-1))


def test_every_single_flipped_byte_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "net.rlm"
    step = max(1, len(BLOB) // 400)
    for at in [*range(0, 128), *range(128, len(BLOB), step)]:
        image = bytearray(BLOB)
        image[at] ^= 0x40
        path.write_bytes(image)
        with pytest.raises(BlobError, match=r"net\.rlm: offset \d+: "):
            read_blob(path)


def test_every_truncation_is_refused() -> None:
    for size in range(0, len(BLOB), max(1, len(BLOB) // 300)):
        with pytest.raises(BlobError, match=r"blob: offset \d+: "):
            read_blob(BLOB[:size])
    with pytest.raises(BlobError, match="the header says"):
        read_blob(BLOB + b"\0")


def test_another_version_is_refused_with_both_versions() -> None:
    for at, value in ((4, 2), (5, 9)):
        image = bytearray(BLOB)
        image[at] = value
        with pytest.raises(BlobError, match=r"version \d+\.\d+, this relume reads 1\.0"):
            read_blob(bytes(image))


def _resealed(image: bytearray) -> bytes:
    """A blob with its metadata checksum made right again."""
    meta_size = struct.unpack_from("<I", image, 12)[0]
    image[16:20] = bytes(4)
    image[16:20] = struct.pack("<I", zlib.crc32(image[:meta_size]))
    return bytes(image)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(20, 400), st.sampled_from((0, 1, 0x7F, 0xFF)), st.booleans())
def test_resealed_damage_never_escapes_as_another_exception(
    at: int, value: int, wide: bool
) -> None:
    image = bytearray(BLOB)
    if at < 24 or 12 <= at < 16:
        return
    image[at] = value
    if wide:
        image[at & ~3 : (at & ~3) + 4] = struct.pack("<I", 0xFFFFFFFF if value else 0)
    try:
        read_blob(_resealed(image))
    except BlobError as error:
        assert "\n" not in str(error)


def test_an_absent_blob_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlobError, match=r"gone\.rlm: No such file"):
        read_blob(tmp_path / "gone.rlm")


def test_layers_are_named_by_tile() -> None:
    blob = read_blob(BLOB)
    assert blob.layer_of(0) == PLAN.graph.ops[PLAN.tiles[0].op].name
    assert blob.layer_of(len(blob.tiles)) == "end"
