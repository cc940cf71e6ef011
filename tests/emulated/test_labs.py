"""The labs of firmware/examples on the emulated Pico, as their pages say, and what they show."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from relume.cli import main
from relume_boards.virtual.spec import open_emulated

from tests.emulated.test_board_firmware import firmware
from tests.native import ROOT
from tests.unix.test_examples import module

pytestmark = pytest.mark.emulated

EXAMPLES = ROOT / "firmware" / "examples"


def shown(lab: str) -> set[str]:
    """Lines that a lab's page shows as output; numbers are 0."""
    page = (EXAMPLES / lab / "README.md").read_text()
    return {plain(line) for block in re.findall(r"```text\n(.*?)```", page, re.S)
            for line in block.split("\n") if line.strip()}  # fmt: skip


def plain(line: str) -> str:
    return re.sub(r"-?\d+(\.\d+)?", "0", " ".join(line.split()))


def deploy(lab: str, folder: Path, *options: str) -> str:
    """Plans and deploys a lab's model with its labels; the board that has it."""
    pytest.importorskip("ai_edge_litert")
    firmware()
    files, blob = EXAMPLES / lab, folder / f"{lab}.rlm"
    board = f"emu:RPI_PICO?state={folder / 'board'}"
    assert main(["plan", str(files / f"{lab}.tflite"), "-o", str(blob), *options]) == 0
    assert main(["deploy", str(blob), "--labels", str(files / f"{lab}.txt"), "-p", board]) == 0
    return board


def run(board: str, source: str, seconds: float = 500) -> str:
    """What a program prints on it."""
    with open_emulated(board) as bench:
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", bench.url, "exec", source],
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def source(lab: str, most: str = "") -> str:
    text = (EXAMPLES / lab / "main.py").read_text()
    assert text.endswith("    main()\n")
    return text.replace("    main()\n", f"    main({most})\n")


def test_digits_are_read_on_the_board_with_the_labels_that_were_deployed(tmp_path: Path) -> None:
    printed = run(deploy("digits", tmp_path), source("digits"))
    assert re.findall(r"this is (\w+)", printed) == ["three", "eight", "zero"]
    seen = {plain(line) for line in printed.split("\n") if line.startswith(("model", "this"))}
    assert seen <= shown("digits")


@pytest.mark.heavy
def test_digits_are_read_on_a_capacitor_that_is_empty_in_the_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    files, blob, given = EXAMPLES / "digits", tmp_path / "digits.rlm", tmp_path / "drawn.npy"
    sys_path = [*sys.path]
    sys.path.insert(0, str(files))
    try:
        drawn = module(files / "main.py")
    finally:
        sys.path[:] = sys_path
    rows = [drawn.pixels(text) for text in drawn.DRAWN]
    np.save(given, np.array(rows, np.float32).reshape(-1, 64))
    assert main(["plan", str(files / "digits.tflite"), "-o", str(blob)]) == 0
    supply = "emu:RPI_PICO?cap=150uF&power=3mW"
    labels = str(files / "digits.txt")
    capsys.readouterr()
    assert main(["run", str(blob), "-p", supply, "--input", str(given), "--labels", labels]) == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"^ +\d +(\w+) +(\d+) ", printed, re.M)
    assert [label for label, _ in rows] == ["three", "eight", "zero"]
    assert sum(int(count) for _, count in rows) > 0
    assert {plain(row) for row in printed.split("\n") if re.match(r" +\d +\w", row)} <= shown(
        "digits"
    )


@pytest.mark.heavy
def test_sounds_are_heard_at_the_microphone_s_pin(tmp_path: Path) -> None:
    made = module(EXAMPLES / "sounds" / "make_sounds.py")
    path = tmp_path / "demo.wav"
    made.write(path, np.random.default_rng(3))
    board = deploy("sounds", tmp_path)
    printed = run(f"{board}&sound={path}", source("sounds", "4"))
    lines = {plain(line) for line in printed.split("\n") if line.strip()}
    assert lines == shown("sounds") == {"listening", *(f"{name} (0 %)" for name in made.NAMES)}


@pytest.mark.heavy
def test_gestures_are_seen_over_the_bus_and_counted(tmp_path: Path) -> None:
    made = module(EXAMPLES / "gestures" / "make_motions.py")
    path = tmp_path / "demo.csv"
    made.write(path, np.random.default_rng(3))
    board = deploy("gestures", tmp_path)
    printed = run(f"{board}&motion={path}", source("gestures", "10"))
    rows = re.findall(r"^(\d+): (\w+), (\d+) so far$", printed, re.M)
    counts: Counter[str] = Counter()
    for number, (said, name, count) in enumerate(rows, 1):
        counts[name] += 1
        assert (int(said), int(count)) == (number, counts[name])
    assert set(counts) == set(made.NAMES) and len(rows) == 10
    assert {plain(line) for line in printed.split("\n") if line.strip()} == shown("gestures")


@pytest.mark.heavy
def test_gestures_are_counted_once_on_a_capacitor(tmp_path: Path) -> None:
    made = module(EXAMPLES / "gestures" / "make_motions.py")
    path = tmp_path / "demo.csv"
    made.write(path, np.random.default_rng(3))
    board = deploy("gestures", tmp_path, "--cap", "15mF")
    run(board, f"with open('main.py', 'w') as f: f.write({source('gestures')!r})")
    with open_emulated(f"{board}&motion={path}&cap=15mF&power=20mW") as bench:
        assert bench.wait_until(lambda record: record.brownouts >= 3, 500)
        done = {one.inference for one in bench.events if one.kind == "done"}
    printed = run(board, "import relume; print(dict(relume.Store().items()))")
    counts = {key.decode(): int(value) for key, value in ast.literal_eval(printed).items()}
    counted = counts.pop("counted")
    assert sum(counts.values()) == counted >= 3 and set(counts) <= set(made.NAMES)
    assert not done or counted >= max(done) - 1


@pytest.mark.heavy
def test_a_log_survives_every_turning_off(tmp_path: Path) -> None:
    firmware()
    state = f"emu:RPI_PICO?state={tmp_path}"
    warm = tmp_path / "day.csv"
    warm.write_text("seconds,celsius\n0,18\n20,26\n40,18\n")
    run(state, f"with open('main.py', 'w') as f: f.write({source('sensor_node')!r})")
    with open_emulated(f"{state}&cap=2.2mF&power=20mW&celsius={warm}") as bench:
        assert bench.wait_until(lambda record: record.brownouts >= 4, 500)
        offs = bench.run.brownouts
    fetch = (EXAMPLES / "sensor_node" / "fetch.py").read_text()
    lines = run(state, fetch).split()
    numbers = [int(line.split(",")[0]) for line in lines[1:]]
    degrees = [float(line.split(",")[1]) for line in lines[1:]]
    assert lines[0] == "reading,celsius" and numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= offs - 1 and all(17 < one < 27 for one in degrees)
    assert len(set(degrees)) > 2, "it gets warmer"
    assert {plain(line) for line in lines} <= shown("sensor_node")
