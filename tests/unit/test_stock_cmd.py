"""deploy and run when a prompt without relume answers: they go on over the REPL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relume.blob.reader import Blob, read_blob
from relume.cli import main
from relume.link import install, stock, stock_run
from relume.link.device import Firmware
from relume.link.inference import Result
from relume.link.install import Installed

from tests.unit.fakeboard import FakeBoard, Kept
from tests.unit.fakelines import TcpBoard
from tests.unit.test_link_drops import NEW

PICO = Firmware("micropython", "1.25.0", "Raspberry Pi Pico with RP2040", 0, "/lib", 4096, 1, 1)


@pytest.fixture
def board() -> Iterator[TcpBoard]:
    made = TcpBoard(Kept(), lambda kept: FakeBoard(kept, mode="repl", has_relume=False))
    yield made
    made.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """(name, labels) of each installation, which is none."""
    calls: list[tuple[str, list[str]]] = []

    def fake(
        port: Any, blob: Blob, name: str, labels: list[str],
        progress: Callable[[int], None] = lambda done: None,
    ) -> Installed:  # fmt: skip
        calls.append((name, labels))
        copied = stock.Copied(2000, 1000, 0, 1.5)
        tested = stock.Tested(53_000, 180_000, True, 7, 7, 12)
        return Installed(f"/{name}.rlm", "armv6m", blob.board, PICO, copied, tested)

    monkeypatch.setattr(install, "install", fake)
    return calls


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.rlm"
    path.write_bytes(NEW)
    return path


def test_deploy_installs_and_tells_what_was_proven(
    board: TcpBoard, net: Path, asked: list[tuple[str, list[str]]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["deploy", str(net), "-p", board.url]) == 0
    text = capsys.readouterr().out
    assert asked == [("net", [])]
    assert "armv6m module; 1,000 of 2,000 bytes sent" in text
    assert "self-test: output 00000007 in 12 ms, TFLite's own" in text
    assert 'relume.Model("/net.rlm")' in text
    names = [f"class {n}" for n in range(read_blob(NEW).output_tensor.shape[-1])]
    net.with_suffix(".txt").write_text("\n".join(names))
    assert main(["deploy", str(net), "-p", board.url, "--name", "mine", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert asked[-1] == ("mine", names) and facts["heap"] == 53_000


def test_run_installs_and_runs_there(
    board: TcpBoard, net: Path, asked: list[tuple[str, list[str]]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tensor, target = read_blob(NEW).input_tensor, read_blob(NEW).output_tensor

    def fake(opener: Any, path: str, items: Any, patience: float) -> list[Result]:
        assert path == "/net.rlm"
        return [Result(item[:1] * target.size, 0, 1, 0, 3, 400, 0.1, 1) for item in items]

    monkeypatch.setattr(stock_run, "run", fake)
    np.save(tmp_path / "x.npy", np.full((2, *tensor.shape), 5, np.int8))
    given = ["run", str(net), "-p", board.url, "--input", str(tmp_path / "x.npy"), "--json"]
    assert main(given) == 0
    caught = capsys.readouterr()
    assert [row["output"] for row in json.loads(caught.out)] == [[5] * target.size] * 2
    assert "commits went to RAM" in caught.err


def test_run_by_name_says_that_a_file_would_do(
    board: TcpBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.int8))
    given = ["run", "net", "-p", board.url, "--input", str(tmp_path / "x.npy")]
    assert main(given) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "or give the .rlm, which runs there from RAM" in line
