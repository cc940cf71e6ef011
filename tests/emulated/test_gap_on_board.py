"""A model in the flash gap of the emulated Pico with MicroPython's own firmware: computed in
place, exactly, and whatever else lies there is one line."""

from __future__ import annotations

import functools
import json
import zlib
from pathlib import Path

import pytest
from relume.blob.pack import pack, with_test
from relume.blob.reader import Blob, read_blob
from relume.board.profile import Gap
from relume.cli import main
from relume.link.device import Firmware, package
from relume.link.gap import gap_image
from relume.link.selftest import known_input
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume_boards.virtual.figures import uf2_blocks
from relume_boards.virtual.spec import open_emulated

from tests.emulated.bench import BOARD, Repl
from tests.emulated.test_native_module import MODULE, STOCK, XIP, net
from tests.native import accepted
from tests.shared import model_file

pytestmark = pytest.mark.emulated

SECTOR, FILES = 4096, 0x56000  # behind MicroPython's image
ROOM = Gap(0x90000, 0xA0000)
LABELS = "".join(f"class {n}\n" for n in range(16))
PICO = Firmware("micropython", "1.25.0", "", 6, "/lib", 4096, 0, 0)


def image() -> bytes:
    return gap_image(read_blob(net().blob), BOARD, "net", LABELS.encode(), ROOM)


@functools.cache
def installed() -> Repl:
    """A board whose filesystem holds the Python part and the module, relume imported."""
    if not MODULE.is_file() or not STOCK.is_file():
        pytest.skip("make -C firmware natmod stock has not been run")
    files = {**package(PICO), "_relume_native.mpy": MODULE.read_bytes()}
    flash, at, places = bytearray(b"\xff" * BOARD.flash_bytes), FILES, []
    for name, data in files.items():
        flash[at : at + len(data)] = data
        places.append((name, XIP + at, len(data)))
        at += -(-len(data) // 16) * 16
    assert at <= ROOM.first
    board = Repl(flash=bytes(flash), image=STOCK)
    board.boot()
    board.pico.run(0.5)  # the prompts that the interrupts bring
    board.type("import os, uctypes, gc")
    for folder in ("lib", "lib/relume", "lib/relume_pure"):
        board.type(f"os.mkdir('{folder}')")
    for name, place, size in places:
        board.type(f"f = open('lib/{name}', 'wb')")
        board.type(f"_ = f.write(uctypes.bytearray_at({place}, {size})); f.close()")
    assert board.type("import relume, relume.model, relume_pure.gap as gap") == ""
    return board


def holding(uf2: list[tuple[int, bytes]], damage: dict[int, bytes]) -> Repl:
    """The board with these pages in its gap, and `damage` over them, as behind a turn-on."""
    board = installed()
    assert board.pico.chip is not None
    flash = board.pico.chip.flash
    flash[FILES : ROOM.end] = b"\xff" * (ROOM.end - FILES)
    for at, data in [*uf2, *damage.items()]:
        flash[at : at + len(data)] = data
    board.type("gap._known.clear(); gap._checked.clear(); model = None; gc.collect()")
    return board


def test_a_model_runs_in_place_with_tflite_s_bytes_and_takes_heap_for_its_tensors_only() -> None:
    made, board = net(), holding(uf2_blocks(image()), {})
    free = int(board.type("gc.collect(); print(gc.mem_free())"))
    assert board.type("print([(m['name'], m['active']) for m in relume.models()])") == (
        "[('net', True)]"
    )
    board.type("model = relume.Model('net', nvm=bytearray(16384)); gc.collect()")
    taken = free - int(board.type("print(gc.mem_free())"))
    place = int(board.type("print(uctypes.addressof(model.core.blob.data))"))
    output = json.loads(board.type(f"print(list(model.run({made.input!r})))", 60))
    assert bytes(output) == made.output
    assert ROOM.first <= place - XIP < ROOM.end
    sram = int(board.type("print(model.ram_size)"))
    labels = board.type("print(model.labels == ['class %d' % n for n in range(16)])")
    assert labels == "True"
    # 4,320 bytes for ops, tensors and labels; a copy of the blob would take 5,040 more.
    assert taken < 16384 + sram + 6_000
    assert int(board.type("print(relume.Model().len)")) == len(made.blob)


def test_the_header_of_a_copy_that_is_cut_off_is_missing_so_there_is_no_model() -> None:
    board = holding(uf2_blocks(image())[:-1], {})
    assert board.type("relume.Model()").endswith(
        "ValueError: no model is deployed: relume deploy NET.rlm"
    )


@pytest.mark.parametrize(
    ("at", "damage", "line"),
    [
        (SECTOR, b"\xff" * SECTOR, "checksum"),
        (300, b"\0\1\2\3", "checksum"),
        (9, b"\x12", "header of a model is damaged"),
    ],
)
def test_a_damaged_model_is_one_line_that_says_what_to_do(
    at: int, damage: bytes, line: str
) -> None:
    pages = uf2_blocks(image())
    board = holding(pages, {pages[-1][0] + at: damage})
    last = board.type("relume.Model()", 60).splitlines()[-1]
    assert last.startswith("BlobError: flash at 0x9") and line in last
    assert last.endswith("relume flash --model NET.rlm --stock again")


def test_noise_in_the_gap_is_no_model_and_files_load_as_ever() -> None:
    board = holding([], {FILES: (b"\x5a\xa5\x13" * ROOM.end)[: ROOM.end - FILES]})
    assert board.type("print(relume.models())") == "[]"
    line = board.type("relume.Model('net.rlm')").splitlines()[-1]
    assert line == "ValueError: no model or file named net.rlm"


def test_our_firmware_flashed_over_it_has_the_model() -> None:
    flash, made = bytearray(b"\xff" * BOARD.flash_bytes), net()
    for at, page in uf2_blocks(image()):
        flash[at : at + len(page)] = page
    board = Repl(flash=bytes(flash))
    board.boot()
    board.type("import relume")
    assert "'name': 'net'" in board.type("print(relume.models())")
    output = board.type(f"print(list(relume.Session().run({made.input!r})))", 60)
    assert bytes(json.loads(output)) == made.output


def proven() -> Blob:
    """The anomaly detector, whose 300 KB no heap of a Pico holds."""
    graph = read_tflite(model_file("ad"))
    blob = pack(make_plan(graph, BOARD, Budget(1e-3, 5.0, 1.8), "fram"))
    checked = accepted(blob)
    size = read_blob(blob).input_tensor.size
    output = checked.run(known_input(size))[checked.header.output]
    return read_blob(with_test(blob, zlib.crc32(output)))


@pytest.mark.heavy
def test_a_model_larger_than_the_heap_is_deployed_and_proven_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands as a person gives them: flash, with a look at the board, and deploy."""
    if not MODULE.is_file() or not STOCK.is_file():
        pytest.skip("make -C firmware natmod stock has not been run")
    blob, path, uf2, both = proven(), tmp_path / "ad.rlm", tmp_path / "ad.uf2", tmp_path / "b.uf2"
    path.write_bytes(blob.image)
    board = open_emulated(f"emu:RPI_PICO?firmware={STOCK}&xip=0&pace=0")
    try:
        board.wait_until(lambda record: record.end > 1, 60)
        asked = ["flash", "--model", str(path), "--stock", "-p", board.url, "-o", str(uf2)]
        assert main(asked) == 0
        assert "to 0xa0000" in capsys.readouterr().out
    finally:
        board.stop()
    both.write_bytes(STOCK.read_bytes() + uf2.read_bytes())
    board = open_emulated(f"emu:RPI_PICO?firmware={both}&xip=0&pace=0")
    try:
        board.wait_until(lambda record: record.end > 1, 60)
        assert main(["deploy", str(path), "-p", board.url, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert main([*asked[:4], "-p", board.url, "-o", str(uf2)]) == 0
        assert "gap: ad lies there and goes" in capsys.readouterr().out
    finally:
        board.stop()
    assert facts["path"] == "ad" and facts["in_flash"] and facts["module"] == "armv6m"
    assert facts["output_crc"] == facts["expected_crc"]
    assert facts["heap_left"] < blob.size and facts["bytes"] < blob.size
