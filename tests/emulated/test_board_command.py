"""`relume emulate` as a person uses it: serve, connect, stop, keep the record."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from relume.cli import main

from tests.emulated.bench import SPIN, uf2


def start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "relume.cli", "emulate", "RPI_PICO", "--tcp", "0", *options]
    code = f"import sys; from relume.cli import main; sys.exit(main({command[3:]!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "spin.uf2"
    path.write_bytes(uf2(SPIN))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_told_to_stop_and_writes_the_record(
    number: signal.Signals, image: Path, tmp_path: Path
) -> None:
    record = tmp_path / "run.json"
    process = start("--json", "--firmware", str(image), "--record", str(record))
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        time.sleep(0.3)
        process.send_signal(number)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    run = json.loads(rest)["run"]
    assert run["power"][0]["on"] and run["power"][-1]["cause"] == "stop"
    assert json.loads(record.read_text())["totals"]["drawn_j"] > 0


def test_cuts_are_reported_as_they_come(image: Path, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    supply = ("--cap", "100uF", "--power", "20mW", "--seed", "4")
    process = start("--firmware", str(image), "--record", str(page), *supply)
    assert process.stdout is not None
    lines = []
    while len([line for line in lines if "power off: brown-out, 1.80 V" in line]) < 2:
        lines.append(process.stdout.readline())
        assert lines[-1], "ended early"
    process.send_signal(signal.SIGINT)
    assert "brown-outs" in process.communicate(timeout=30)[0]
    assert "0.1 mF, on at 5 V, off at 1.8 V, harvest constant 20 mW" in page.read_text()


def test_a_record_of_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulate", "RPI_PICO", "--record", "run.txt"]) == 1
    assert "run.txt: --record writes .json, .html or .svg" in capsys.readouterr().err


def test_a_taken_port_is_one_clear_line(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert main(["emulate", "RPI_PICO", "--firmware", str(image), "--tcp", port]) == 1
    assert f"TCP port {port} cannot be served" in capsys.readouterr().err
