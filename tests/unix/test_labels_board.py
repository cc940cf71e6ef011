"""Labels that are deployed with a model are the model's on the board, and no other's."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from relume.blob.reader import Blob, read_blob
from relume.link import labels

from tests.unix.nets import planned
from tests.unix.prompt import UnixBoard

pytestmark = pytest.mark.unix

DEPLOY = """
import _relume
blob = {image!r}
_relume.slot_begin(len(blob), {meta}, {data}, "mine")
for at in range(0, len(blob), 256):
    _relume.slot_write(at, blob[at:at + 256])
_relume.slot_end()
"""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[UnixBoard]:
    made = UnixBoard(tmp_path, frozen=True)
    yield made
    made.off()


def deployed(board: UnixBoard, seed: int) -> Blob:
    """A model of this name in the board's flash."""
    blob = read_blob(planned(seed).blob)
    meta, data = struct.unpack_from("<II", blob.image, 16)
    with board.python(True, 1) as execute:
        execute(DEPLOY.format(image=blob.image, meta=meta, data=data))
    return blob


def names(blob: Blob, word: str) -> list[str]:
    return [f"{word} {n}" for n in range(blob.output_tensor.shape[-1])]


def seen(board: UnixBoard, model: str = "'mine'") -> Any:
    """What a program on the board sees."""
    source = f"import relume, json\nprint(json.dumps(relume.Model({model}).labels))"
    with board.python(True, 1) as execute:
        return json.loads(execute(source))


def files(board: UnixBoard) -> list[str]:
    return sorted(path.name for path in (board.folder / "labels").iterdir())


def test_a_program_finds_them_by_the_models_name_and_as_the_active_one(board: UnixBoard) -> None:
    blob = deployed(board, 8)
    assert seen(board) is None
    labels.send(board, blob, names(blob, "word"))
    assert seen(board) == seen(board, "") == seen(board, "'mine.rlm'") == names(blob, "word")
    labels.send(board, blob, names(blob, "other"))
    assert seen(board) == names(blob, "other")


def test_another_model_of_the_name_has_none_of_them(board: UnixBoard) -> None:
    first = deployed(board, 8)
    labels.send(board, first, names(first, "first"))
    second = deployed(board, 9)
    assert seen(board) is None
    labels.send(board, second, names(second, "second"))
    assert seen(board) == names(second, "second")
    assert files(board) == [f"{second.meta_crc:08x}.txt"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_cut_leaves_no_half_of_them(board: UnixBoard, cut: int) -> None:
    blob = deployed(board, 8)
    board.left, board.cuts = cut, []
    labels.send(board, blob, names(blob, "word"))
    assert seen(board) == names(blob, "word")
    assert files(board) == [f"{blob.meta_crc:08x}.txt"]
