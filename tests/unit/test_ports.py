"""`-p`: every name that mpremote takes, and one clear line for a port that cannot be used."""

from __future__ import annotations

import os
import pty
import sys
import types

import pytest
from relume.errors import BoardError, LinkError
from relume.link import ports
from relume.link.ports import FoundPort, PortAbsent, PortHeld, explain, open_port
from relume.link.transport import SerialWire

PICO = FoundPort("/dev/ttyACM3", True, "E6614103E7", "Pico")
LEGACY = FoundPort("/dev/ttyS0", False, None, "")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[FoundPort]:
    """This machine's ports, as the test wants them."""
    found = [LEGACY, PICO]
    monkeypatch.setattr(ports, "list_ports", lambda: sorted(found, key=lambda p: p.device))
    return found


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("a0", "/dev/ttyACM0"), ("a12", "/dev/ttyACM12"), ("u1", "/dev/ttyUSB1"), ("c3", "COM3"),
        ("auto", "/dev/ttyACM3"), ("id:E6614103E7", "/dev/ttyACM3"),
        ("port:/dev/ttyACM1", "/dev/ttyACM1"), ("/dev/pts/7", "/dev/pts/7"), ("COM4", "COM4"),
        ("socket://127.0.0.1:2040", "socket://127.0.0.1:2040"),
        ("rfc2217://host:4000", "rfc2217://host:4000"),
    ],
)  # fmt: skip
def test_names_of_mpremote_are_taken(machine: list[FoundPort], text: str, device: str) -> None:
    assert open_port(text).device() == device


def test_auto_without_a_board_lists_what_is_there(machine: list[FoundPort]) -> None:
    machine.remove(PICO)
    with pytest.raises(PortAbsent, match="no USB serial port: ports here: /dev/ttyS0"):
        open_port("auto").device()
    machine.clear()
    with pytest.raises(PortAbsent, match="no serial port now; is the board plugged in"):
        open_port("auto").device()


def test_auto_with_two_boards_asks_which(machine: list[FoundPort]) -> None:
    machine.append(FoundPort("/dev/ttyACM4", True, "E66141", "Feather"))
    with pytest.raises(LinkError, match=r"ttyACM3 \(Pico\), /dev/ttyACM4 \(Feather\): say which"):
        open_port("auto").device()


def test_an_unknown_serial_number_is_named(machine: list[FoundPort]) -> None:
    with pytest.raises(PortAbsent, match=r"serial number 123: .*ttyACM3 \(Pico\)"):
        open_port("id:123").device()


@pytest.mark.parametrize("text", ["spy://x", "http://host/", "loop://"])
def test_other_urls_are_refused(text: str) -> None:
    with pytest.raises(LinkError, match="only socket:// and rfc2217://"):
        open_port(text)


def test_an_empty_port_says_what_to_give() -> None:
    with pytest.raises(LinkError, match="give a0, auto"):
        open_port("").device()


def test_a_board_that_comes_back_under_another_name_is_found(machine: list[FoundPort]) -> None:
    port = open_port("/dev/ttyACM3")
    assert port.device() == "/dev/ttyACM3"
    machine.remove(PICO)
    assert port.device() == "/dev/ttyACM3"
    machine.append(FoundPort("/dev/ttyACM4", True, PICO.serial, "Pico"))
    assert port.device() == "/dev/ttyACM4"


def test_emulated_boards_open_a_local_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Emulated:
        tcp_port = 4711
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    board = Emulated()

    def open_emulated(spec: str) -> Emulated:
        asked.append(spec)
        return board

    fake = types.SimpleNamespace(open_emulated=open_emulated)
    monkeypatch.setitem(sys.modules, "relume_boards.virtual", fake)
    port = open_port("emu:RPI_PICO?cap=1mF")
    assert asked == ["emu:RPI_PICO?cap=1mF"]
    assert port.device() == "socket://127.0.0.1:4711"
    port.close()
    assert board.stopped


def test_emulated_boards_that_are_not_installed_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "relume_boards.virtual", None)
    with pytest.raises(BoardError, match=r"pip install 'relume\[emulate\]'"):
        open_port("emu:RPI_PICO")


def test_a_port_that_is_not_there_is_named_with_what_is(machine: list[FoundPort]) -> None:
    with pytest.raises(PortAbsent, match=r"/dev/ttyNONE: no such port; ports here: .*Pico"):
        SerialWire("/dev/ttyNONE")


def test_a_socket_where_nothing_listens_is_named() -> None:
    with pytest.raises(PortAbsent, match=r"socket://127.0.0.1:1: nothing answers there"):
        SerialWire("socket://127.0.0.1:1")


def test_a_port_held_by_another_program_names_the_program() -> None:
    import subprocess

    master, slave = pty.openpty()
    name = os.ttyname(slave)
    script = (
        "import fcntl, sys, time\n"
        f"port = open({name!r}, 'rb+', buffering=0)\n"
        "fcntl.flock(port, fcntl.LOCK_EX)\nprint('held', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"held\n"
            with pytest.raises(PortHeld) as caught:
                SerialWire(name)
        finally:
            other.kill()
    os.close(master)
    os.close(slave)
    text = str(caught.value)
    assert text.startswith(f"{name} is held by ") and "end that program" in text
    if os.path.isdir("/proc"):
        assert f"(process {other.pid})" in text


def test_a_port_that_may_not_be_opened_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *args: False)
    monkeypatch.setattr(ports, "_group", lambda device: "dialout")
    error = explain("/dev/ttyACM0", PermissionError(13, "Permission denied"))
    assert isinstance(error, PortHeld)
    assert str(error).endswith("add yourself to its group (dialout)")


def test_windows_tells_of_a_held_port_in_words() -> None:
    error = explain("COM3", OSError("could not open port 'COM3': PermissionError(13, 'Access')"))
    assert isinstance(error, PortHeld)
    error = explain("COM9", OSError("could not open port 'COM9': FileNotFoundError(2, 'x')"))
    assert isinstance(error, PortAbsent)
