"""`relume monitor` as a person uses it, against a board on a TCP port and a recording."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from relume.cli import main
from relume.commands.monitor import Replay
from relume.link.messages import State
from relume.watch.facts import Fact, Note, read_recording

from tests.unit.fakeboard import FakeBoard, Kept, answer_of
from tests.unit.fakelines import TcpBoard
from tests.unit.test_link_drops import INPUT, OLD
from tests.unit.test_watch_facts import written
from tests.unit.test_watched import STORY


@pytest.fixture
def board() -> Iterator[TcpBoard]:
    kept = Kept(
        models={"old": OLD}, active="old", state=State.RUNNING, inference=7, input=INPUT, model=1
    )
    made = TcpBoard(kept, FakeBoard)
    yield made
    made.stop()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    from relume.watch.facts import to_json

    return written(tmp_path / "r.jsonl", *[to_json(Fact(t, what)) for t, what in STORY])


def test_once_prints_one_status(board: TcpBoard, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "-p", board.url, "--once", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["board"], found["inference"], found["tiles"]) == ("RPI_PICO", "00000007", 8)
    assert found["model_name"] == "old" and not board.kept.taken
    assert main(["monitor", "-p", board.url, "--once"]) == 0
    assert "RPI_PICO, firmware 0.1.0" in capsys.readouterr().out


def test_once_with_nobody_there_is_one_line(
    board: TcpBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    board.stop()
    assert main(["monitor", "-p", board.url, "--once", "--for", "0.3"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"relume: {board.url}: ") and error.count("\n") == 1


def test_lines_of_json_are_a_recording(
    board: TcpBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.jsonl"
    board.cut_after = 30
    assert main(["monitor", "-p", board.url, "--json", "--record", str(path), "--for", "2"]) == 0
    out = capsys.readouterr().out
    assert out == path.read_text()
    head, facts = read_recording(path)
    assert head["port"] == board.url and head["started"]
    kinds = [json.loads(line)["kind"] for line in out.splitlines()[1:]]
    assert {"line", "hello", "status", "event", "output"} <= set(kinds)
    assert answer_of(OLD, INPUT, 12).hex() in out and facts[0].t < 1
    assert board.kept.state == State.DONE and not board.kept.taken


def test_it_ends_with_its_recording_when_it_is_told_to(board: TcpBoard, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    arguments = ["monitor", "-p", board.url, "--record", str(path)]
    code = f"import sys; from relume.cli import main; sys.exit(main({arguments!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0 and "the line is open" in line
    assert read_recording(path)[1]


def test_a_replay_prints_what_was_heard(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", "--replay", str(recording), "--speed", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "     1.500 s  board is off, waiting" in lines
    assert "    20.300 s  done       inference 00000007, tile    8  3.00 V" in lines


def test_a_replay_gives_the_same_lines_again(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", "--replay", str(recording), "--speed", "0", "--json"]) == 0
    assert capsys.readouterr().out == recording.read_text()


def test_a_replay_may_end_early(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--replay", str(recording), "--speed", "0", "--for", "10"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("     9.900 s")


def test_a_replay_takes_the_time_that_it_took_divided_by_the_speed() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    facts = [Fact(float(t), Note(str(t))) for t in range(11)]
    replay = Replay(facts, 4.0, lambda: now, sleep)
    heard = []
    while not replay.over:
        heard += [(fact.t, now) for fact in replay.poll(0.1)]
    assert [t for t, _ in heard] == [fact.t for fact in facts]
    assert all(t / 4 <= when < t / 4 + 0.11 for t, when in heard)


def test_page_and_picture_come_out_of_a_replay(recording: Path, tmp_path: Path) -> None:
    page, svg = tmp_path / "page.html", tmp_path / "panel.svg"
    options = ["--page", str(page), "--svg", str(svg)]
    assert main(["monitor", "--replay", str(recording), *options]) == 0
    assert "1 inference finished, through 2 brown-outs" in page.read_text()
    text = "".join(ElementTree.parse(svg).getroot().itertext())
    assert "RPI_PICO" in text and "url(" not in svg.read_text().replace("url(#", "")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--replay", "x", "--once"], "--replay shows what was recorded"),
        (["--speed", "2"], "--speed is a number of at least 0, for --replay"),
        (["--replay", "x", "--speed", "-1"], "--speed is a number of at least 0, for --replay"),
        (["--replay", "x", "--speed", "nan"], "--speed is a number of at least 0, for --replay"),
        (["--for", "0"], "give seconds above 0"),
        (["--replay", "/nowhere/x"], "/nowhere/x: cannot be read"),
        (["--replay", "x", "--net", "/nowhere/x.rlm"], "/nowhere/x.rlm: "),
        (["--replay", "x", "--labels", "/nowhere/l"], "/nowhere/l: cannot be read as labels"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    options: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", *options]) == 1
    assert why in capsys.readouterr().err
