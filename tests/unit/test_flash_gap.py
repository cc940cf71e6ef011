"""relume flash --stock: where a model goes in the flash gap, and what is refused before anything
is written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.blob.reader import Blob, read_blob
from relume.board.profile import Gap, load_board
from relume.cli import main
from relume.errors import BoardError, LinkError
from relume.link import gap as gaps
from relume.link.gap import Found, Lying, gap_image, look, room_on
from relume.link.uf2 import INFO
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume_boards.virtual.figures import uf2_blocks

from tests.unit.tflite_nets import small_net

BOARD = load_board("RPI_PICO")
SECTOR, PAGE = 4096, 256
GAP = Gap(0x60000, 0xA0000)
PICO = "Raspberry Pi Pico with RP2040"


def planned(nvm: str = "fram", board: str = "RPI_PICO", cap_f: float = 1e-3) -> bytes:
    graph = read_tflite(small_net())
    return pack(make_plan(graph, load_board(board), Budget(cap_f, 5.0, 1.8), nvm))


def blob() -> Blob:
    return read_blob(planned())


def found(end: int = GAP.end, firmware: int = 0x52000, *models: Lying, **more: Any) -> Found:
    """A board whose image ends at `firmware`."""
    used = [at < firmware for at in range(0, end, SECTOR)]
    for one in models:
        used[one.at // SECTOR : one.end // SECTOR] = [True] * ((one.end - one.at) // SECTOR)
    return replace(Found(PICO, False, end, tuple(used), models), **more)


def lying(at: int = 0x9D000, name: str = "old") -> Lying:
    return Lying(name, at, at + 3 * SECTOR, 1, 2)


# ---- the UF2 ----------------------------------------------------------------


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(2, 64), st.integers(0, 9000))
def test_the_image_is_in_the_gap_alone_at_its_top_the_header_last(
    sectors: int, labels: int
) -> None:
    room, model = Gap(GAP.end - sectors * SECTOR, GAP.end), blob()
    whole = PAGE + model.size + labels
    if whole > sectors * SECTOR:
        with pytest.raises(BoardError, match=f"{whole:,} bytes .* has {sectors * SECTOR:,} "):
            gap_image(model, BOARD, "net", b"x" * labels, room)
        return
    pages = uf2_blocks(gap_image(model, BOARD, "net", b"x" * labels, room))
    places = [at for at, _ in pages]
    assert min(places) >= room.first and max(places) + PAGE <= room.end
    assert {at // SECTOR for at in places} == set(
        range(room.first // SECTOR, room.end // SECTOR)
    )  # what lay there goes
    head = places[-1]
    assert places[:-1] == sorted(places[:-1])
    assert head % SECTOR == 0 and head + whole <= room.end < head + whole + SECTOR
    flash = bytearray(b"\xff" * GAP.end)
    for at, page in pages:
        flash[at : at + PAGE] = page
    assert flash[head + PAGE :][: model.size] == model.image
    assert flash[head + PAGE + model.size :][:labels] == b"x" * labels
    assert set(flash[room.first : head]) <= {0xFF}


@pytest.mark.parametrize(
    ("nvm", "board", "name", "line"),
    [
        ("fram", "RPI_PICO_W", "net", "planned for RPI_PICO, not RPI_PICO_W: plan it again"),
        ("fram", "RPI_PICO", "n" * 32, "1 to 31 bytes: rename the file"),
        ("flash", "RPI_PICO", "net", "which is the filesystem's without our firmware"),
    ],
)
def test_a_model_that_cannot_go_there_is_one_line(
    nvm: str, board: str, name: str, line: str
) -> None:
    model = read_blob(planned(nvm, cap_f=1e-3 if nvm == "fram" else 22e-3))
    with pytest.raises(BoardError) as caught:
        gap_image(model, load_board(board), name, b"", GAP)
    assert line in str(caught.value) and "\n" not in str(caught.value)


# ---- what a board says ---------------------------------------------------------


def test_a_blank_gap_and_one_with_models_are_free_down_to_the_firmware() -> None:
    assert room_on("a0", found(), BOARD, False) == Gap(0x52000, GAP.end)
    held = found(GAP.end, 0x52000, lying(), lying(0x70000))
    assert room_on("a0", held, BOARD, False) == Gap(0x52000, GAP.end)


def test_something_else_bounds_the_gap_and_at_its_top_it_is_refused() -> None:
    strange = found(GAP.end, 0x52000, lying())
    used = list(strange.used)
    used[0x80000 // SECTOR] = True
    assert room_on("a0", replace(strange, used=tuple(used)), BOARD, False).first == 0x81000
    full = replace(found(), used=(True,) * (GAP.end // SECTOR))
    with pytest.raises(BoardError, match="0x9f000 holds something that is no relume model: --er"):
        room_on("a0", full, BOARD, False)
    assert room_on("a0", full, BOARD, True) == GAP


@pytest.mark.parametrize(
    ("there", "line"),
    [
        (found(relume=True), "relume's firmware runs there: relume deploy, without --stock"),
        (found(0, 0), "does not say where its filesystem begins"),
        (found(machine="PCA10056 with NRF52840"), "does not say where its filesystem begins"),
    ],
)
def test_another_board_or_firmware_is_refused(there: Found, line: str) -> None:
    with pytest.raises(BoardError, match=line):
        room_on("a0", there, BOARD, True)


class Line:
    """A board that prints an answer."""

    name = "a0"

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def open(self) -> Line:
        return self

    @contextlib.contextmanager
    def python(self, reset: bool, patience: float) -> Iterator[Any]:
        yield lambda source: self.answer

    def leave_repl(self) -> None: ...

    def close(self) -> None: ...


def answer(end: int = 0x2000, used: str = "10", heads: object = ()) -> str:
    return repr((PICO, 0, end, used, list(heads)))  # type: ignore[call-overload]


def test_a_header_counts_by_its_checksum_and_its_size() -> None:
    model = blob()
    room = Gap(0x10000, 0x20000)
    head = uf2_blocks(gap_image(model, BOARD, "net", b"a\nb\n", room))[-1]
    at, page = head[0], head[1][:76]
    used = "1" * (room.end // SECTOR)
    one = look(Line(answer(room.end, used, [(at, page)]))).models
    assert [(lie.name, lie.at, lie.end) for lie in one] == [("net", at, room.end)]
    assert one[0].meta_crc == model.meta_crc and one[0].data_crc == model.data_crc
    bad = bytes([page[20] ^ 1])
    for heads in ([(at, page[:20] + bad + page[21:])], [(at + SECTOR, page)], [(at, page[:60])]):
        assert look(Line(answer(room.end, used, heads))).models == ()
    assert gaps.held(Line(answer(room.end, used, [(at, page)])), model) == "net"
    assert gaps.held(Line(answer(room.end, used)), model) == ""
    other = replace(model, data_crc=model.data_crc ^ 1)
    assert gaps.held(Line(answer(room.end, used, [(at, page)])), other) == ""


@pytest.mark.parametrize(
    "text",
    [answer(0x2001), answer(-4096), answer(1 << 30, ""), answer(used="1"), answer(used="1x"),
     "(1, 2)", repr((PICO, 0, 0x2000, "10", [1])), repr(("\x1b[2J", 0, 0, "", [])), "[", "3"],
)  # fmt: skip
def test_a_reply_that_makes_no_sense_is_one_line(text: str) -> None:
    with pytest.raises(LinkError) as caught:
        look(Line(text))
    assert str(caught.value).startswith("a0: ") and "\n" not in str(caught.value)


# ---- the command -----------------------------------------------------------------


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "digits.rlm"
    path.write_bytes(planned())
    return path


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / INFO).write_text("Model: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n")
    return folder


def test_a_file_is_written_with_the_labels_that_lie_beside_the_model(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "class.uf2"
    names = [f"class {n}" for n in range(blob().output_tensor.shape[-1])]
    net.with_suffix(".txt").write_text("\n".join(names))
    assert main(["flash", "--model", str(net), "--stock", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"model digits with {len(names)} labels for Raspberry Pi Pico" in said
    assert "flash 0x60000 to 0xa0000 goes" in said and 'relume.Model("digits")' in said
    text = "".join(f"{name}\n" for name in names).encode()
    assert out.read_bytes() == gap_image(blob(), BOARD, "digits", text, GAP)


def test_a_board_in_its_loader_is_written_with_consent_only(
    net: Path, drive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["flash", "--model", str(net), "--stock", "--drive", str(drive)]
    assert main(asked) == 1
    error = capsys.readouterr().err
    assert "give -p PORT" in error and error.count("\n") == 1
    assert [path.name for path in drive.iterdir()] == [INFO]
    assert main([*asked, "--erase-models"]) == 0
    written = (drive / "digits.uf2").read_bytes()
    assert written == gap_image(blob(), BOARD, "digits", b"", GAP)


def test_a_running_board_is_looked_at_and_nothing_is_written_if_it_holds_something_else(
    net: Path, drive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = replace(found(), used=(True,) * (GAP.end // SECTOR))
    monkeypatch.setattr(gaps, "look", lambda opener: full)
    asked = ["flash", "--model", str(net), "--stock", "-p", "a7", "--drive", str(drive)]
    assert main(asked) == 1
    assert "holds something that is no relume model" in capsys.readouterr().err
    assert [path.name for path in drive.iterdir()] == [INFO]


def test_a_running_board_takes_the_model_between_its_image_and_its_filesystem(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = found(0x90000, 0x58000, lying(0x8D000))
    monkeypatch.setattr(gaps, "look", lambda opener: there)
    out = tmp_path / "net.uf2"
    asked = ["flash", "--model", str(net), "--stock", "-p", "a7", "-o", str(out)]
    assert main(asked) == 0
    assert "gap: old lies there and goes" in capsys.readouterr().out
    assert out.read_bytes() == gap_image(blob(), BOARD, "digits", b"", Gap(0x58000, 0x90000))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--board", "PCA10056"], "PCA10056: its stock firmware has no flash gap"),
        (["--board", "RPI_PICO2"], "RPI_PICO2: its stock firmware has no flash gap"),
        (["--firmware", "x.uf2"], "--model goes without --firmware and --backup"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    net: Path, more: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", "--model", str(net), "--stock", *more]) == 1
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
    assert main(["flash", "--stock"]) == 1
    assert "--stock goes with --model" in capsys.readouterr().err


def test_every_board_s_gap_lies_in_its_flash_and_behind_no_filesystem() -> None:
    for name in ("RPI_PICO", "RPI_PICO_W", "ADAFRUIT_FEATHER_RP2040"):
        board = load_board(name)
        gap = gaps.gap_of(board)
        assert gap.first < gap.end < board.flash_bytes
