"""relume deploy: what it prints, what it refuses, and that the board keeps what it had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from relume.cli import main

from tests.unit.fakeboard import FakeBoard, Kept
from tests.unit.fakelines import TcpBoard
from tests.unit.test_link_drops import NEW, OLD


@pytest.fixture
def board() -> Iterator[TcpBoard]:
    made = TcpBoard(Kept(models={"old": OLD}, active="old"), FakeBoard)
    yield made
    made.stop()


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.rlm"
    path.write_bytes(NEW)
    return path


def test_a_deploy_says_how_many_bytes_were_verified(
    board: TcpBoard, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(net), "-p", board.url, "--name", "mine"]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"mine: {len(NEW)} bytes verified on RPI_PICO in ")
    assert board.kept.models["mine"] == NEW and board.kept.active == "mine"
    assert main(["deploy", str(net), "-p", board.url, "--name", "mine"]) == 0
    assert "(it was there already)" in capsys.readouterr().out


def test_json_tells_the_same(
    board: TcpBoard, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(net), "-p", board.url, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == len(NEW) and facts["resumed"] == 0
    assert facts["board"] == "RPI_PICO" and facts["name"] == board.kept.active


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that fails."""
    assert main(arguments) == 1
    caught = capsys.readouterr()
    assert caught.out == "" and caught.err.count("\n") == 1
    return caught.err


@pytest.mark.parametrize("at", [0, 4, 100, 200, 1000, len(NEW) - 1])
def test_a_damaged_blob_is_refused_before_anything_is_sent(
    board: TcpBoard, net: Path, at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    net.write_bytes(NEW[:at] + bytes((NEW[at] ^ 0x40,)) + NEW[at + 1 :])
    assert str(net) in refusal(["deploy", str(net), "-p", board.url], capsys)
    net.write_bytes(NEW[:at])
    assert str(net) in refusal(["deploy", str(net), "-p", board.url], capsys)
    assert board.kept == Kept(models={"old": OLD}, active="old")


def test_a_blob_for_another_board_is_refused(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = TcpBoard(Kept(), lambda kept: FakeBoard(kept, name="RPI_PICO2"))
    try:
        line = refusal(["deploy", str(net), "-p", board.url], capsys)
    finally:
        board.stop()
    assert "planned for RPI_PICO, but RPI_PICO2 answers" in line
    assert board.kept.models == {}


def test_a_name_that_is_too_long_is_refused(
    board: TcpBoard, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(["deploy", str(net), "-p", board.url, "--name", "x" * 32], capsys)
    assert "1 to 31 bytes" in line and board.kept.active == "old"


def test_a_missing_file_and_a_missing_port_are_one_line_each(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing.rlm" in refusal(["deploy", str(tmp_path / "nothing.rlm")], capsys)
    assert "/dev/ttyNONE" in refusal(["deploy", str(net), "-p", "/dev/ttyNONE"], capsys)


class WornBoard(FakeBoard):
    """Its flash does not keep what is written."""

    def put_end(self, body: bytes) -> bytes:
        self.kept.sectors[700] ^= 1
        return super().put_end(body)


def test_a_board_whose_check_fails_keeps_its_model_and_says_why(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = TcpBoard(Kept(models={"old": OLD}, active="old"), WornBoard)
    try:
        line = refusal(["deploy", str(net), "-p", board.url], capsys)
    finally:
        board.stop()
    assert "the board refuses model" in line and "blob checksum differs" in line
    assert board.kept.active == "old" and board.kept.models == {"old": OLD}
