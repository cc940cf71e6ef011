"""A model as a UF2 on the loader's drive: the board starts with it, alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.board.profile import load_board
from relume.cli import main
from relume.errors import BoardError
from relume.link import uf2
from relume.link.model_uf2 import model_image
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume_boards.virtual.figures import uf2_blocks

from tests.emulated.bench import BOARD, Repl
from tests.kernels.oracle import random_input, run_reference
from tests.unit.tflite_nets import small_net

SECTOR, PAGE = 4096, 256
DATA = random_input(64, 1)


def planned(nvm: str = "fram", board: str = "RPI_PICO") -> bytes:
    cap_f = 1e-3 if nvm == "fram" else 22e-3
    budget = Budget(cap_f, 5.0, 1.8)
    return pack(make_plan(read_tflite(small_net()), load_board(board), budget, nvm))


def loaded(flash: bytearray, image: bytes) -> bytearray:
    """The flash after a loader: it erases each sector at the first page that it programs there."""
    erased = set()
    for offset, page in uf2_blocks(image):
        sector = offset - offset % SECTOR
        if sector not in erased:
            flash[sector : sector + SECTOR] = b"\xff" * SECTOR
            erased.add(sector)
        assert flash[offset : offset + PAGE] == b"\xff" * PAGE
        flash[offset : offset + PAGE] = page
    return flash


def blank() -> bytearray:
    return bytearray(b"\xff" * BOARD.flash_bytes)


RUN = "import relume; s=relume.Session(); print(relume.models(), list(s.run(%r)))"


@pytest.mark.emulated
@pytest.mark.parametrize("nvm", ["fram", "flash"])
def test_a_board_starts_with_the_model_and_computes_tflite_s_bytes(nvm: str) -> None:
    blob = read_blob(planned(nvm))
    flash = loaded(blank(), model_image(blob, BOARD, "digits"))
    board = Repl(flash=bytes(flash))
    board.boot()
    models, _, output = board.type(RUN % DATA, 60).rpartition("] [")
    graph = read_tflite(small_net())
    (number,) = [tensor for tensor, one in graph.tensor_of.items() if one == graph.output]
    wanted = run_reference(small_net(), DATA)[number]
    assert bytes(int(one) for one in output.rstrip("]").split(",")) == wanted
    assert "'name': 'digits'" in models and models.count("'name'") == 1


def cut_off(image: bytes, count: int) -> bytes:
    """The first blocks, numbered as a UF2 of their own."""
    part = bytearray(image[: 512 * count])
    for number in range(count):
        struct.pack_into("<I", part, 512 * number + 24, count)
    return bytes(part)


def test_a_copy_that_is_cut_off_anywhere_leaves_no_model() -> None:
    old, new = (model_image(read_blob(planned()), BOARD, name) for name in ("old", "new"))
    before = loaded(blank(), old)
    at, count = BOARD.regions["blobs"].offset, len(new) // 512
    assert before[at : at + 4] == b"RLSL"
    for kept in (*range(1, count, 16), count - 1):
        assert b"RLSL" not in loaded(bytearray(before), cut_off(new, kept))[at:], kept
    assert b"RLSL" in loaded(bytearray(before), new)[at:]


@pytest.mark.emulated
def test_a_board_whose_copy_was_cut_off_says_that_it_has_no_model() -> None:
    image = model_image(read_blob(planned()), BOARD, "digits")
    board = Repl(flash=bytes(loaded(blank(), cut_off(image, len(image) // 512 - 1))))
    board.boot()
    assert board.type("import relume; print(relume.models())").endswith("[]")


def test_older_models_go_and_nothing_else_does() -> None:
    image = model_image(read_blob(planned()), BOARD, "digits")
    flash = loaded(bytearray(b"\x55" * BOARD.flash_bytes), image)
    blobs = BOARD.regions["blobs"]
    assert flash[: blobs.offset] == b"\x55" * blobs.offset
    assert set(flash[blobs.offset + blobs.size :]) == {0x55}
    headers = [flash[blobs.offset + at :][:4] for at in range(0, blobs.size, SECTOR)]
    assert headers[0] == b"RLSL" and headers.count(b"RLSL") == 1 and b"\x55" * 4 not in headers


def test_a_model_for_flash_begins_with_an_empty_ring() -> None:
    image = model_image(read_blob(planned("flash")), BOARD, "digits")
    flash = loaded(bytearray(b"\x55" * BOARD.flash_bytes), image)
    store, models = BOARD.regions["store"], BOARD.nvm_size("flash")
    assert set(flash[store.offset : store.offset + models]) == {0xFF}
    assert set(flash[store.offset + models : store.offset + store.size]) == {0x55}


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.dictionaries(st.integers(0, 2000).map(lambda n: n * PAGE), st.binary(min_size=PAGE,
       max_size=PAGE), min_size=1, max_size=20))  # fmt: skip
def test_what_is_written_is_what_a_loader_reads(pages: dict[int, bytes]) -> None:
    made = uf2.blocks(pages, uf2.loader_of(BOARD))
    assert dict(uf2_blocks(made)) == pages


def test_a_uf2_is_written_or_copied_to_the_drive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, out, drive = tmp_path / "digits.rlm", tmp_path / "class.uf2", tmp_path / "drive"
    net.write_bytes(planned())
    assert main(["flash", "--model", str(net), "-o", str(out)]) == 0
    assert "model digits for" in capsys.readouterr().out
    assert out.read_bytes() == model_image(read_blob(net), BOARD, "digits")
    drive.mkdir()
    (drive / "INFO_UF2.TXT").write_text("Model: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n")
    asked = ["flash", "--model", str(net), "--drive", str(drive)]
    assert main(asked) == 1
    assert "say --erase-models" in capsys.readouterr().err and not (drive / "digits.uf2").exists()
    assert main([*asked, "--erase-models"]) == 0
    assert (drive / "digits.uf2").read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("board", "name", "line"),
    [
        ("PCA10056", "digits", "PCA10056: its firmware has models as files"),
        ("RPI_PICO_W", "digits", "planned for RPI_PICO, not RPI_PICO_W: plan it again"),
        ("RPI_PICO", "n" * 32, "1 to 31 bytes: rename the file"),
    ],
)
def test_what_cannot_be_is_one_line(board: str, name: str, line: str) -> None:
    with pytest.raises(BoardError) as caught:
        model_image(read_blob(planned()), load_board(board), name)
    assert line in str(caught.value) and "\n" not in str(caught.value)
