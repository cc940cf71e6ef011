"""The Python engine gives TFLite's bytes, tensor by tensor, and refuses what the C refuses."""

from __future__ import annotations

import ctypes
import json
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.model.graph import Kind

from tests.kernels import oracle
from tests.native import Header
from tests.pure.twin import FOLDER, engine, net

SEEDS = (*range(32), 71)


def computed(blob: bytes, data: bytes) -> dict[int, bytes]:
    """Tensor -> its bytes when its op was done, beginning with an arena full of noise."""
    pure = engine()
    from relume_pure.engine import run_tiles

    read = pure.Session(blob, pure.Bytes(bytearray(4))).blob
    arena = memoryview(bytearray([0x5A]) * read.arena_size)
    source = read.tensors[read.input]
    arena[source.arena : source.arena + source.size] = data
    tensors = {read.input: data}
    for number in range(read.n_tiles):
        run_tiles(read, arena, number, number + 1)
        op, first, count = read.tile(number)
        if first + count == read.ops[op].units:
            out = read.ops[op].out
            at = read.tensors[out].arena
            tensors[out] = bytes(arena[at : at + read.tensors[out].size])
    return tensors


@pytest.mark.parametrize("seed", SEEDS)
def test_every_tensor_is_exact(seed: int) -> None:
    model, packed, data = net(seed)
    assert packed.mismatches(computed(packed.blob, data), oracle.run_reference(model, data)) == []


def test_the_nets_have_ops_of_every_kind() -> None:
    assert {op.kind for seed in SEEDS for op in net(seed)[1].graph.ops} == set(Kind)


def resealed(blob: bytearray) -> bytes:
    """The blob with its metadata checksum made right."""
    (meta,) = struct.unpack_from("<I", blob, 12)
    blob[16:20] = bytes(4)
    blob[16:20] = struct.pack("<I", zlib.crc32(blob[:meta]))
    return bytes(blob)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (0, b"RLUX", "not a relume blob"),
        (4, b"\x09", "version"),
        (8, b"\xff\xff\xff\x7f", "shorter than it says"),
        (24, b"\x01", "plan --core portable"),
        (52, b"\xf0\xff\xff\x00", "section outside"),
        (76, b"\xff\x0f", "input or output"),
    ],
)
def test_a_wrong_header_is_refused(at: int, value: bytes, said: str) -> None:
    blob = bytearray(net(1)[1].blob)
    blob[at : at + len(value)] = value
    with pytest.raises(engine().BlobError, match=said):
        engine().check(resealed(blob) if at not in (0, 8) else bytes(blob))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_flipped_bit_is_refused(share: float) -> None:
    blob = bytearray(net(2)[1].blob)
    blob[24 + int(share * (len(blob) - 25))] ^= 4
    with pytest.raises(engine().BlobError, match="checksum"):
        engine().check(bytes(blob))


def test_a_short_blob_is_refused() -> None:
    with pytest.raises(engine().BlobError, match="shorter"):
        engine().check(b"RLUM")


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 7), st.data())
def test_a_resealed_blob_runs_or_is_refused(seed: int, data: st.DataObject) -> None:
    """Metadata changed at random: a refusal, or a run that ends without leaving its memory."""
    pure = engine()
    _, packed, inputs = net(seed)
    blob = bytearray(packed.blob)
    meta = Header.of(bytes(blob)).meta_size
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(20, meta - 1))] = data.draw(st.integers(0, 255))
    try:
        session = pure.Session(resealed(blob), pure.Bytes(bytearray(1 << 16)))
    except (pure.BlobError, pure.BoardError):
        return
    before = len(session.arena)
    try:
        session.open()
        session.begin(1, inputs)
        while session.step() != pure.DONE:
            pass
    except (pure.BlobError, pure.BoardError, ValueError, IndexError, ZeroDivisionError):
        pass
    assert len(session.arena) == before


def test_info_is_what_the_blob_says() -> None:
    _, packed, data = net(3)
    facts = engine().info(packed.blob)
    tensor = packed.graph.tensors[packed.graph.input]
    assert facts["input_size"] == len(data) and facts["size"] == len(packed.blob)
    assert facts["input_shape"] == tensor.shape and facts["board"] == "RPI_PICO"


def test_statuses_have_the_c_engine_s_texts() -> None:
    from relume_pure import faults, status

    from tests.native import librelume

    text = librelume().rl_status_text
    text.restype = ctypes.c_char_p
    codes = range(-1, -1 - len(faults.STATUSES.splitlines()), -1)
    assert [status.text(code) for code in codes] == [text(code).decode() for code in codes]
    assert codes[-1] == status.ARGUMENT
    for code in (0, codes[-1] - 1):
        assert status.text(code) == "unknown status"


def test_crc_without_binascii_is_the_same() -> None:
    from relume_pure import crc

    data = random.Random(3).randbytes(1000)
    assert crc.crc32(data[300:], crc.crc32(data[:300])) == zlib.crc32(data)
    assert crc.crc32(b"") == 0


def test_the_package_list_names_every_file() -> None:
    listed = json.loads((FOLDER / "package_pure.json").read_text())["urls"]
    assert all(target == source and (FOLDER / source).is_file() for target, source in listed)
    names = {f"relume_pure/{path.name}" for path in (FOLDER / "relume_pure").glob("*.py")}
    others = {f"relume/{name}.py" for name in ("__init__", "board", "model", "older")}
    assert names | others == {source for _, source in listed}
