"""How many tensors, ops, tiles and segments a blob may have: C, Python engine and host agree."""

from __future__ import annotations

import struct

import pytest
import relume.errors
from relume.blob.reader import read_blob

from tests import native
from tests.pure.twin import engine, net
from tests.unit import blob_edit

BLOB = bytes(net(1)[1].blob)
FIELDS = {"n_tensors": 40, "n_ops": 42, "n_tiles": 44, "n_segments": 48}


def tiled(count: int) -> bytes:
    """A blob whose table really has `count` tiles; the last ones do not follow one another."""
    header = native.Header.of(BLOB)
    rows = count - header.n_tiles
    assert rows > 0
    grown = -(-12 * rows // 16) * 16
    more = struct.pack("<HHII", 0, 0, 0, 1) * rows
    more += bytes(grown - len(more))
    end = header.off_tiles + 12 * header.n_tiles
    blob = BLOB[:end] + more + BLOB[end:]
    changes = {"header.n_tiles": count}
    for field in ("off_segments", "off_strings", "meta_size", "total_size"):
        path = f"header.{field}"
        changes[path] = blob_edit.get(BLOB, path) + grown
    for op in range(header.n_ops):
        for field in ("off_w", "off_bias", "off_mult", "off_shift"):
            path = f"op[{op}].{field}"
            at = blob_edit.get(BLOB, path)
            changes[path] = at + grown if at else 0
    return blob_edit.put(blob, changes)


def on_board(blob: bytes) -> list[str]:
    """The fault and where it is, by C and by the Python engine."""
    status, fault, _ = native.check(blob)
    with pytest.raises(engine().BlobError) as refused:
        engine().check(blob)
    assert native.STATUS[refused.value.code] == status
    return [f"{fault.what} at offset {fault.offset}", str(refused.value).split(": ", 1)[1]]


def on_host(blob: bytes) -> str:
    """The same by the host's reader."""
    with pytest.raises(relume.errors.BlobError) as error:
        read_blob(blob)
    _, where, what = str(error.value).split(": ", 2)
    return f"{what.split(' is ')[0]} at {where}"


def test_one_tile_more_than_a_record_can_count_is_refused() -> None:
    blob = tiled(65536)
    assert [*on_board(blob), on_host(blob)] == ["n_tiles at offset 44"] * 3


def test_so_many_are_not_refused_for_their_number() -> None:
    blob, header = tiled(65535), native.Header.of(BLOB)
    first = header.off_tiles + 12 * header.n_tiles
    c, python = on_board(blob)
    assert c == f"scratch memory over what the tile reads at offset {first + 2}"
    assert python == f"tile does not follow the one before at offset {first}"
    assert len(read_blob(blob).tiles) == 65535  # the host leaves that to the board


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("wrong", ["none", "too many"])
def test_a_count_out_of_range_is_refused_by_its_name(field: str, wrong: str) -> None:
    most = {"n_tensors": 4096, "n_ops": 4096, "n_tiles": 65535}
    limit = most.get(field, blob_edit.get(BLOB, "header.n_tiles"))
    blob = blob_edit.put(BLOB, {f"header.{field}": 0 if wrong == "none" else limit + 1})
    assert [*on_board(blob), on_host(blob)] == [f"{field} at offset {FIELDS[field]}"] * 3
