"""A checkpoint of another version of the store: said once, never taken up (docs/SPEC.md 4.1)."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
from relume.link.client import Board as Client

from tests.native import ROOT
from tests.unix.firmware import STATUS, Board, Machine
from tests.unix.nets import net, planned
from tests.unix.test_link_unix import QUICK, PtyBoard, on_pty

__all__ = ["on_pty"]
SAID = (
    "NVM holds a checkpoint of another version of relume ({}):"
    " not taken up, the next input takes its place"
)
FRAM, FLASH = 1, 2
NVM_BYTES = 65536


def line(data: bytearray, kind: int, base: int = 0, size: int = -1) -> str | None:
    """older.line() over a memory."""
    path = ROOT / "firmware" / "relume" / "older.py"
    spec = importlib.util.spec_from_file_location("older", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def read(at: int, n: int) -> bytes:
        assert base <= at and at + n <= (base + size if size >= 0 else len(data))
        return bytes(data[at : at + n])

    said = module.line(SimpleNamespace(kind=kind, size=len(data), read=read), base, size)
    assert said is None or isinstance(said, str)
    return said


@pytest.mark.parametrize("slot", [0, 64])
@pytest.mark.parametrize("base", [0, 1024])
def test_either_slot_of_a_byte_writable_store_tells(slot: int, base: int) -> None:
    data = bytearray(8192)
    data[base + slot : base + slot + 4] = b"RLR2"
    assert line(data, FRAM, base, 1024) == SAID.format("RLR2")


@pytest.mark.parametrize("page", [(3, 0, b"RLS2"), (5, 15, b"RLR9"), (13, 1, b"RLRA")])
def test_any_page_of_a_ring_tells(page: tuple[int, int, bytes]) -> None:
    sector, number, mark = page
    data = bytearray(b"\xff" * NVM_BYTES)
    at = sector * 4096 + number * 256
    data[at : at + 4] = mark
    assert line(data, FLASH) == SAID.format(mark.decode())


def test_what_is_behind_the_stores_does_not() -> None:
    data = bytearray(b"\xff" * NVM_BYTES)
    data[14 * 4096 : 14 * 4096 + 4] = b"RLR2"  # the eighth for keys and values
    assert line(data, FLASH) is None


@pytest.mark.parametrize(
    "mark", [b"RLR1", b"RLR\xff", b"RLR\x00", b"RLS1", b"RLX2", bytes(4), b"\xff" * 4]
)
def test_our_own_and_torn_and_foreign_bytes_do_not(mark: bytes) -> None:
    data = bytearray(b"\xff" * 8192)
    data[:4] = mark
    assert line(data, FRAM) is None and line(data, FLASH) is None


def other_version(machine: Machine) -> None:
    """The NVM as another version might leave it."""
    data = bytearray(machine.value("import json, _relume; print(json.dumps(_relume.FILE_SIZE))"))
    data[:4] = data[64:68] = b"RLR2"
    (machine.folder / "nvm.bin").write_bytes(data)


@pytest.mark.unix
def test_a_program_is_told_once_and_its_inference_takes_the_place(machine: Machine) -> None:
    made = net(8)
    (machine.folder / "net.rlm").write_bytes(made.blob)
    other_version(machine)
    source = f"""
import relume
session = relume.Session("net.rlm")
assert session.state == relume.EMPTY
assert session.run({made.input!r}) == {made.output!r}
"""
    assert machine.script(source) == f"relume: {SAID.format('RLR2')}\n"
    opened = 'import relume\nassert relume.Session("net.rlm").state == relume.DONE\n'
    assert machine.script(opened) == ""


@pytest.mark.unix
def test_the_python_engine_tells_too(machine: Machine) -> None:
    made = planned(8, core="portable")
    (machine.folder / "net.rlm").write_bytes(made.blob)
    source = f"""
import sys
sys.path.insert(0, {str(ROOT / "firmware")!r})
import relume_pure
sys.modules["_relume"] = relume_pure
import relume

class Memory:
    def __init__(self):
        self.data = bytearray(8192)
        self.data[64:68] = b"RLR3"
    def __len__(self):
        return len(self.data)
    def __getitem__(self, part):
        return self.data[part]
    def __setitem__(self, part, value):
        self.data[part] = value

session = relume.Model("net.rlm", Memory())
relume.Model("net.rlm")
"""
    assert machine.script(source) == f"relume: {SAID.format('RLR3')}\n"


@pytest.mark.unix
def test_the_link_tells_at_turn_on_and_with_the_first_status(machine: Machine) -> None:
    made = net(8)
    board = Board.boot(machine)
    board.deploy(made.blob, "net")
    board.cut()
    other_version(machine)
    board = Board.boot(machine)
    board.request(STATUS)
    assert set(board.messages) == {SAID.format("RLR2")}
    heard = len(board.messages)
    board.request(STATUS)
    assert len(board.messages) == heard <= 2
    board.cut()


@pytest.mark.unix
def test_a_run_shows_the_line_and_ends_well(on_pty: PtyBoard) -> None:
    made = net(8)
    with Client(on_pty.path, QUICK) as client:
        client.deploy(made.blob, "net")
    other_version(on_pty.machine)
    on_pty.cut()
    with Client(on_pty.path, QUICK) as client:
        result = client.run(made.input)
    assert result.output == made.output
    assert f"the board says: {SAID.format('RLR2')}" in result.notes
