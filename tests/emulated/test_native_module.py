"""The native module on MicroPython that was built without relume, on the emulated Pico."""

from __future__ import annotations

import functools
import json

import pytest

from tests.emulated.bench import BOARD, Repl
from tests.native import ROOT
from tests.unix.nets import Net, planned

pytestmark = pytest.mark.emulated

STOCK = ROOT / "build" / "firmware" / "stock" / "firmware.uf2"
MODULE = ROOT / "build" / "natmod" / "armv6m_6.3" / "_relume_native.mpy"
PACKAGE = ROOT / "firmware" / "relume_pure"
XIP = 0x10000000
FILES = 0x60000  # of flash, between the firmware and its filesystem at 0xA0000


@functools.cache
def net() -> Net:
    """A net of several segments in the M0+ kernels."""
    return planned(16)


def files() -> dict[str, bytes]:
    """What an installation copies to the board."""
    if not MODULE.is_file() or not STOCK.is_file():
        pytest.skip("make -C firmware natmod stock has not been run")
    return {
        "_relume_native.mpy": MODULE.read_bytes(),
        **{f"relume_pure/{path.name}": path.read_bytes() for path in PACKAGE.glob("*.py")},
    }


class Stock(Repl):
    """The board with stock firmware; the files are in its flash, behind its firmware."""

    def __init__(self, blob: bytes) -> None:
        self.places: list[tuple[str, int, int]] = []
        image = bytearray(b"\xff" * BOARD.flash_bytes)
        at = FILES
        for name, data in {**files(), "net.rlm": blob}.items():
            image[at : at + len(data)] = data
            self.places.append((name, XIP + at, len(data)))
            at += -(-len(data) // 16) * 16
        assert at <= 0xA0000, "the files meet the filesystem"
        super().__init__(flash=bytes(image), image=STOCK)


def test_the_firmware_is_without_relume_and_the_module_s_output_is_the_engine_s() -> None:
    made = net()
    board = Stock(made.blob)
    board.boot()
    board.pico.run(0.5)  # the prompts that the interrupts bring
    assert "ImportError" in board.type("import _relume")
    board.type("import os, uctypes, gc; os.mkdir('lib'); os.mkdir('lib/relume_pure')")
    for name, at, size in board.places[:-1]:
        board.type(f"f = open('lib/{name}', 'wb')")
        board.type(f"_ = f.write(uctypes.bytearray_at({at}, {size})); f.close()")
    free = int(board.type("gc.collect(); print(gc.mem_free())"))
    board.type("import _relume_native")
    heap = free - int(board.type("gc.collect(); print(gc.mem_free())"))
    assert heap < MODULE.stat().st_size + 2048
    board.type("import relume_pure as r, json; nvm = bytearray(16384)")
    _, at, size = board.places[-1]
    board.type(f"s = r.Session(uctypes.bytearray_at({at}, {size}), nvm); s.open()")
    board.type(f"s.begin(7, {made.input!r})")
    assert board.type("s.step()") == "1"
    board.type(f"s = r.Session(uctypes.bytearray_at({at}, {size}), nvm); s.open()")
    assert board.type(f"print([s.step() for _ in range({made.segments - 1})][-1])") == "2"
    assert bytes(json.loads(board.type("print(list(s.output()))"))) == made.output
