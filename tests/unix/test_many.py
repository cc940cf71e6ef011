"""Several models on one board over the link and from a program, the unix firmware killed in
between (docs/SPEC.md 4.7, 5, 6).

SECURITY F6.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import pytest
from relume.cli import main
from relume.errors import LinkError
from relume.link.client import Board as Client

from tests.unix.firmware import DONE, IDLE, RUNNING, STATUS, TAKE, Board, Machine, Refusal
from tests.unix.nets import Net, keyword_net, net
from tests.unix.test_link_unix import QUICK, PtyBoard, on_pty

__all__ = ["on_pty"]
pytestmark = pytest.mark.unix

INPUT, OUTPUT, CLEAR, MODELS, RESULT, DROP, REMOVE = 0x20, 0x21, 0x23, 0x30, 0x25, 0x26, 0x31
RESUMED, FINISHED = 2, 4


def model_of(made: Net) -> bytes:
    return made.blob[16:20]


def give(board: Board, made: Net, id: int) -> None:
    """The whole input, for a model that is named."""
    at, data = 0, made.input
    while at < len(data):
        body = struct.pack("<III", id, len(data), at) + data[at : at + 240] + model_of(made)
        at = struct.unpack("<I", board.request(INPUT, body))[0]


def state(board: Board, made: Net) -> tuple[int, int]:
    """State and inference of a model."""
    body = board.request(STATUS, model_of(made))
    return body[0], struct.unpack_from("<I", body, 8)[0]


def output(board: Board, made: Net, id: int) -> bytes:
    data, total = b"", 1
    while len(data) < total:
        body = board.request(OUTPUT, struct.pack("<II", id, len(data)) + model_of(made))
        total, data = struct.unpack_from("<I", body)[0], data + body[4:]
    return data


def settle(board: Board, *nets: Net) -> None:
    while any(state(board, made)[0] == RUNNING for made in nets):
        for _ in board.frames(0.02):
            pass


def test_two_models_run_side_by_side_each_named_by_its_id(board: Board) -> None:
    first, second = net(8), net(16)
    board.deploy(first.blob, "first")
    board.deploy(second.blob, "second")
    give(board, first, 1)
    give(board, second, 1)
    settle(board, first, second)
    assert [output(board, made, 1) for made in (first, second)] == [first.output, second.output]
    assert board.fetch(1) == second.output  # the last that was deployed, if none is named
    board.request(TAKE, struct.pack("<I", 1) + model_of(first))
    assert [state(board, made)[0] for made in (first, second)] == [IDLE, DONE]


def test_a_deploy_beside_a_running_inference_does_not_touch_it(machine: Machine) -> None:
    first, second, board = keyword_net(), net(16), Board.boot(machine)
    board.deploy(first.blob, "first")
    give(board, first, 1)
    board.cut()
    board = Board.boot(machine)
    board.deploy(second.blob, "second")
    give(board, second, 2)
    settle(board, first, second)
    assert [output(board, m, n) for n, m in ((1, first), (2, second))] == [
        first.output, second.output,
    ]  # fmt: skip
    board.cut()


@pytest.mark.parametrize("seed", range(4))
def test_killed_while_both_run_both_outputs_are_exact(machine: Machine, seed: int) -> None:
    first, second, dice = keyword_net(), net(16), random.Random(seed)
    board = Board.boot(machine)
    board.deploy(first.blob, "first")
    board.deploy(second.blob, "second")
    give(board, first, 7)
    give(board, second, 8)
    for _ in range(12):
        for _ in board.frames(dice.random() * 0.01):
            pass
        board.cut()
        board = Board.boot(machine)
        board.wait_event(1)
    settle(board, first, second)
    assert output(board, first, 7) == first.output
    assert output(board, second, 8) == second.output
    board.cut()


def test_an_output_that_nobody_took_is_queued_and_taken_once(machine: Machine) -> None:
    made, board = net(8), Board.boot(machine)
    board.deploy(made.blob, "net")
    for id in (5, 3, 9):
        give(board, made, id)
        settle(board, made)
    board.cut()
    board = Board.boot(machine)
    for id in (5, 3):
        for _ in range(2):  # an answer that is lost is given again
            body = board.request(RESULT, struct.pack("<HI", 0, 0))
            assert body[:8] == model_of(made) + struct.pack("<I", id)
            assert body[12:] == made.output[:240]
        for _ in range(2):
            assert board.request(DROP, body[:8]) == b""
    with pytest.raises(Refusal) as end:
        board.request(RESULT, struct.pack("<HI", 0, 0))
    assert end.value.status == 1
    assert output(board, made, 9) == made.output
    board.cut()


def test_a_full_queue_refuses_the_input_and_keeps_all(board: Board) -> None:
    made = net(8)
    board.deploy(made.blob, "net")
    for id in range(1, 18):
        give(board, made, id)
        settle(board, made)
    with pytest.raises(Refusal, match="relume run --results takes them") as full:
        give(board, made, 99)
    assert full.value.status == 17
    assert state(board, made) == (DONE, 17)
    board.request(DROP, model_of(made) + struct.pack("<I", 1))
    give(board, made, 99)


def test_a_model_that_is_removed_is_gone_and_its_room_is_free(board: Board) -> None:
    first, second = net(8), net(16)
    board.deploy(first.blob, "first")
    board.deploy(second.blob, "second")
    give(board, first, 1)
    for _ in range(2):
        assert board.request(REMOVE, b"first\0") == b""
    with pytest.raises(Refusal, match="no model") as gone:
        board.request(STATUS, model_of(first))
    assert gone.value.status == 65
    give(board, second, 2)
    board.deploy(first.blob, "first")
    settle(board, second)
    assert state(board, first)[0] != RUNNING
    assert output(board, second, 2) == second.output


@pytest.mark.parametrize("kind", [STATUS, OUTPUT, TAKE, CLEAR])
def test_a_model_that_is_not_there_is_one_line(board: Board, kind: int) -> None:
    board.deploy(net(8).blob)
    own = {STATUS: 0, OUTPUT: 8, TAKE: 4, CLEAR: 0}[kind]
    with pytest.raises(Refusal, match="no model 00bc614e on the board") as refused:
        board.request(kind, bytes(own) + struct.pack("<I", 12345678))
    assert refused.value.status == 65
    for body in (b"x" * (own + 1), b"x" * (own + 9)):
        with pytest.raises(Refusal, match="4 that name a model"):
            board.request(kind, body)


# ---- The commands ------------------------------------------------------------


def files(folder: Path) -> tuple[Path, Path]:
    paths = folder / "a.rlm", folder / "b.rlm"
    for path, made in zip(paths, (net(8), net(16)), strict=True):
        path.write_bytes(made.blob)
        path.with_suffix(".bin").write_bytes(made.input)
    return paths


def test_deploy_two_run_both_list_and_remove(
    on_pty: PtyBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = files(tmp_path)
    port = ["-p", on_pty.path]
    for path in (a, b):
        assert main(["deploy", str(path), "--name", path.stem, *port]) == 0
    capsys.readouterr()
    for name, made in (("a", net(8)), ("b", net(16)), ("a", net(8))):
        data = str(tmp_path / f"{name}.bin")
        assert main(["run", name, "-i", data, "--json", *port]) == 0
        found = bytes(v & 255 for v in json.loads(capsys.readouterr().out)["output"])
        assert found == made.output
    assert main(["deploy", "--list", "--json", *port]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["state"], row["active"]) for row in rows] == [
        ("a", "idle", False), ("b", "idle", True),
    ]  # fmt: skip
    assert main(["deploy", "--list", *port]) == 0
    assert "NVM bytes" in capsys.readouterr().out
    labels = on_pty.machine.folder / "labels"
    labels.mkdir()
    ids = [struct.unpack_from("<I", net(seed).blob, 16)[0] for seed in (8, 16)]
    for name in (*(f"{id:08x}.txt" for id in ids), "0badcafe.txt", "mine.txt", "notahexa.txt"):
        (labels / name).write_text("x")
    assert main(["deploy", "--remove", "a", *port]) == 0
    left = {f"{ids[1]:08x}.txt", "mine.txt", "notahexa.txt"}
    assert {path.name for path in labels.iterdir()} == left
    assert main(["deploy", "--remove", "a", *port]) == 1
    assert "no model a on the board (there: b)" in capsys.readouterr().err


def test_only_takes_the_place_of_all_others(
    on_pty: PtyBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = files(tmp_path)
    port = ["-p", on_pty.path]
    assert main(["deploy", str(a), "--name", "a", *port]) == 0
    assert main(["deploy", str(b), "--name", "b", "--only", *port]) == 0
    capsys.readouterr()
    assert main(["deploy", "--list", "--json", *port]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["b"]


def test_what_does_not_fit_beside_the_others_is_said_before_it_is_sent(on_pty: PtyBoard) -> None:
    with Client(on_pty.path, QUICK) as client:
        for n in range(8):
            client.deploy(net(8 + n).blob, f"m{n}")
        told = r"8 models are on the board.*--remove NAME, or --only"
        with pytest.raises(LinkError, match=told):
            client.deploy(net(16).blob, "m8")
        assert client.deploy(net(16).blob, "m3").name == "m3"
        assert len(client.models()) == 8


def test_results_come_by_the_command_and_only_once(
    on_pty: PtyBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = net(8)
    with Client(on_pty.path, QUICK) as client:
        client.deploy(made.blob, "net")
        for id in (1, 2):
            at = 0
            while at < len(made.input):
                body = struct.pack("<III", id, len(made.input), at) + made.input[at : at + 240]
                at = struct.unpack("<I", client.stream.request(INPUT, body))[0]
            while client.status().state == RUNNING:
                pass
    assert main(["run", "--results", "--json", "-p", on_pty.path]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["inference"] for row in rows) == ["00000001", "00000002"]
    assert all(bytes(v & 255 for v in row["output"]) == made.output for row in rows)
    assert all(row["name"] == "net" for row in rows)
    assert main(["run", "--results", "-p", on_pty.path]) == 0
    assert "no outputs wait" in capsys.readouterr().out


# ---- From a program ----------------------------------------------------------

PROGRAM = """
import relume, json
queue = relume.Queue()
"""


def deploy_both(machine: Machine) -> tuple[Net, Net]:
    first, second, board = net(8), net(16), Board.boot(machine)
    board.deploy(first.blob, "first")
    board.deploy(second.blob, "second")
    board.cut()
    return first, second


@pytest.mark.parametrize(
    ("ranks", "order"),
    [
        (("", ""), ["first", "second"]),
        (("", ", priority=1"), ["second", "first"]),
        ((", deadline_ms=900", ", deadline_ms=800"), ["second", "first"]),
        (("", ", deadline_ms=2**31"), ["second", "first"]),
        ((", deadline_ms=2**32 - 5", ", deadline_ms=2**32 + 5"), ["first", "second"]),
        ((", priority=2", ", priority=1, deadline_ms=1"), ["first", "second"]),
    ],
)
def test_a_program_queues_by_priority_then_deadline_then_age(
    machine: Machine, ranks: tuple[str, str], order: list[str]
) -> None:
    first, second = deploy_both(machine)
    source = PROGRAM + f"""
queue.begin("first", {first.input!r}{ranks[0]})
queue.begin("second", {second.input!r}{ranks[1]})
"""
    machine.script(source)
    run = PROGRAM + """
out = []
for name, output in queue.run():
    out.append([name, list(output)])
    queue.take(name)
print(json.dumps(out))
"""
    found = machine.value(run)
    outputs = {"first": list(first.output), "second": list(second.output)}
    assert found == [[name, outputs[name]] for name in order]


def test_a_more_urgent_input_takes_over_at_the_end_of_a_segment(machine: Machine) -> None:
    first, second = deploy_both(machine)
    source = PROGRAM + f"""
queue.begin("first", {first.input!r})
models = [queue.step()[0]]
queue.begin("second", {second.input!r}, priority=9)
while True:
    done = queue.step()
    if done is None:
        break
    models.append(done[0])
names = dict((queue.find(name), name) for name in ("first", "second"))
print(json.dumps([names[model] for model in models]))
"""
    found = machine.value(source)
    assert found[0] == "first" and found[-1] == "first"
    middle = found[1:]
    assert middle == sorted(middle, reverse=True) and "second" in middle


def test_a_session_of_a_deployed_model_has_its_own_part(machine: Machine) -> None:
    first, second = deploy_both(machine)
    source = f"""
import relume, json
a, b = relume.Session("first"), relume.Session("second")
a.begin(4, {first.input!r})
b.begin(5, {second.input!r})
print(json.dumps([list(s.run()) for s in (a, b)]))
"""
    assert machine.value(source) == [list(first.output), list(second.output)]


def test_a_queue_says_what_is_not_there_and_what_waits(machine: Machine) -> None:
    first, _ = deploy_both(machine)
    source = PROGRAM + f"""
texts = []
queue.begin("first", {first.input!r})
for _ in queue.run():
    pass
for call in (lambda: queue.begin("third", b""), lambda: queue.begin("first", {first.input!r})):
    try:
        call()
    except (ValueError, OSError) as error:
        texts.append(str(error))
print(json.dumps(texts))
"""
    assert machine.value(source) == [
        "no model third on the board", "the output before it waits: take it first",
    ]  # fmt: skip
