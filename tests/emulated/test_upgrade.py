"""Our firmware over our firmware: what was deployed and computed before is there behind it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from relume.blob.reader import read_blob
from relume.board.profile import load_board
from relume.link import installed
from relume_boards.virtual.spec import default_firmware

from tests import native
from tests.emulated.bench import BOARD, Repl
from tests.powercut.plans import random_blob

pytestmark = pytest.mark.emulated

OLD, NEW = b"0.1.0", b"0.1.9"
BLOB = random_blob(0, nvm="flash")
PIECE = 32
DONE = 2  # of a record (SPEC 4.1)


def newer(folder: Path) -> Path:
    """The firmware's image with another version in it."""
    image = default_firmware("RPI_PICO")
    if not image.is_file():
        pytest.skip("build/firmware/RPI_PICO/firmware.uf2 is not built (make firmware)")
    data = image.read_bytes()
    assert data.count(OLD + b"\0") >= 1, "the version stands in one block"
    path = folder / "newer.uf2"
    path.write_bytes(data.replace(OLD + b"\0", NEW + b"\0"))
    return path


def deploy(board: Repl) -> None:
    blob = read_blob(BLOB)
    board.type("import _relume, relume")
    board.type(f"_relume.slot_begin({len(BLOB)}, {blob.meta_crc}, {blob.data_crc}, 'net')")
    for at in range(0, len(BLOB), PIECE):
        board.type(f"_ = _relume.slot_write({at}, {BLOB[at : at + PIECE]!r})")
    assert "Error" not in board.type("_relume.slot_end()")


def said(board: Repl) -> installed.Installed:
    """What the host asks before an update, typed as mpremote would run it."""
    return installed.parse(board.type(f"exec({installed.PROBE!r})"))


def test_models_and_outputs_are_there_behind_an_update(tmp_path: Path) -> None:
    image = newer(tmp_path)
    checked = native.accepted(BLOB)
    size = checked.header.tensor(BLOB, checked.header.input)[1]
    data = random.Random(3).randbytes(size)
    expected = checked.run(data)[checked.header.output]
    board = Repl()
    board.boot()
    deploy(board)
    board.type(f"s = relume.Session('net'); s.begin(7, {data!r})")
    board.type("while s.step() != _relume.DONE: pass\r\n")
    found = said(board)
    regions = {name: (at, n) for name, (at, n) in found.regions.items()}
    assert (found.version, found.board, found.models) == ("0.1.0", "RPI_PICO", ("net",))
    assert found.moved(load_board("RPI_PICO").regions) == [] and found.notes() == []
    assert board.pico.chip is not None
    flash = bytes(board.pico.chip.flash[: len(board.pico.flash)])
    again = Repl(image, flash=flash)
    again.boot()
    again.type("import _relume, relume")
    after = said(again)
    assert (after.version, after.models, after.regions) == ("0.1.9", ("net",), regions)
    again.type("s = relume.Session('net')")
    assert again.type("print(s.state, s.stats['inference'])") == f"{DONE} 7"
    assert again.type(f"bytes(s.output) == {expected!r}") == "True"


def test_the_board_names_the_regions_of_its_profile() -> None:
    board = Repl()
    board.boot()
    assert said(board).regions == {
        name: (one.offset, one.size) for name, one in BOARD.regions.items()
    }
