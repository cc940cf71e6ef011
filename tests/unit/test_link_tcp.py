"""The client through pyserial and mpremote's transport, against a board on a TCP port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from relume.errors import LinkError
from relume.link.client import Board
from relume.link.stream import Timings
from relume.link.transport import SerialWire

from tests.unit.fakeboard import FakeBoard, Kept, answer_of
from tests.unit.fakelines import TcpBoard, wait_for
from tests.unit.test_link_drops import INPUT, NEW, OLD

QUICK = Timings(retry=0.2, hello=0.3, answer=4.0, progress=10.0, poll=0.5, fresh=0.2, appear=0.1)


@contextmanager
def board_on_tcp(make: Callable[[Kept], FakeBoard]) -> Iterator[TcpBoard]:
    board = TcpBoard(Kept(models={"old": OLD}, active="old"), make)
    try:
        yield board
    finally:
        board.stop()


def test_a_serving_board_is_deployed_to_and_runs() -> None:
    with board_on_tcp(FakeBoard) as board, Board(board.url, QUICK) as client:
        assert client.connect().board == "RPI_PICO"
        client.deploy(NEW, "new")
        assert [(slot.name, slot.active) for slot in client.models()] == [
            ("old", False),
            ("new", True),
        ]
        assert client.run(INPUT).output == answer_of(NEW, INPUT, 12)
    assert board.board.mode == "serving"


@pytest.mark.parametrize("mode", ["repl", "raw"])
def test_a_board_at_its_repl_is_asked_to_serve_and_sent_back(mode: str) -> None:
    with board_on_tcp(lambda kept: FakeBoard(kept, mode=mode)) as board:
        with Board(board.url, QUICK) as client:
            assert client.run(INPUT).output == answer_of(OLD, INPUT, 12)
        assert wait_for(lambda: board.board.mode == "repl")


@pytest.mark.parametrize("cut", [1, 40, 300, 700, 2000])
def test_a_connection_that_closes_with_the_power_is_taken_up_again(cut: int) -> None:
    with board_on_tcp(FakeBoard) as board, Board(board.url, QUICK) as client:
        board.cut_after = cut
        assert client.deploy(NEW, "new").size == len(NEW)
        board.cut_after = cut
        assert client.run(INPUT).output == answer_of(NEW, INPUT, 12)
        assert board.kept.models["new"] == NEW and board.kept.begun == 1


def test_firmware_without_relume_says_flash() -> None:
    def stock(kept: Kept) -> FakeBoard:
        return FakeBoard(kept, mode="repl", has_relume=False)

    with board_on_tcp(stock) as board, Board(board.url, QUICK) as client:
        with pytest.raises(LinkError) as caught:
            client.connect()
        text = str(caught.value)
    assert "micropython 1.25.0 on Raspberry Pi Pico with RP2040 has no relume" in text
    assert text.endswith("relume flash --board RPI_PICO")
    assert board.board.mode in ("raw", "repl")


def test_another_protocol_version_names_both() -> None:
    make = lambda kept: FakeBoard(kept, version=2)  # noqa: E731
    with (
        board_on_tcp(make) as board,
        Board(board.url, QUICK) as client,
        pytest.raises(LinkError, match="firmware speaks link protocol 2, this relume 1"),
    ):
        client.connect()


@contextmanager
def listener(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something on a TCP port that is no board."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            client, _ = server.accept()
            with client:
                talk(client)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"socket://127.0.0.1:{server.getsockname()[1]}"
    server.close()
    thread.join(2)


def read_all(client: socket.socket) -> None:
    while client.recv(4096):
        pass


def echo(client: socket.socket) -> None:
    while data := client.recv(4096):
        client.sendall(b"login: " + data.replace(b"\0", b"?"))


@pytest.fixture
def short_repl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relume.link.transport._REPL_S", 0.4)


HASTY = Timings(retry=0.1, hello=0.2, answer=1.0, appear=0.1)


def refusal(talk: Callable[[socket.socket], None]) -> str:
    """The error line of a client that meets this on the other end."""
    with listener(talk) as url, Board(url, HASTY) as client, pytest.raises(LinkError) as caught:
        client.connect()
    assert str(caught.value).startswith(url)
    return str(caught.value)


def test_silence_is_told_as_no_answer(short_repl: None) -> None:
    assert ": no answer: is the board powered" in refusal(read_all)


def test_something_that_is_no_micropython_is_told_with_what_it_says(
    short_repl: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refusal(echo)
    assert "is no MicroPython REPL" in text and "login" in text
    assert capsys.readouterr().out == "", "mpremote's own prints must not show"


def test_a_lost_connection_costs_no_pause() -> None:
    with board_on_tcp(FakeBoard) as board:
        wire = SerialWire(board.url)
        board.cut_after = 0
        wire.write(b"x")
        with pytest.raises(LinkError):
            for _ in range(100):
                wire.read(0.05)
        start = time.monotonic()
        wire.close()
        assert time.monotonic() - start < 0.1
