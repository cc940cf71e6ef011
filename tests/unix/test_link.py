"""The frame server of the firmware, on the unix port over pipes (docs/SPEC.md 6).

SECURITY F2, F3, R1.
"""

from __future__ import annotations

import random
import struct

import pytest
from relume.link.frames import encode, encode_quiet

from tests.unix.firmware import (
    CLEAR,
    DONE,
    EMPTY,
    EXIT,
    HELLO,
    IDLE,
    INPUT,
    MODELS,
    OUTPUT,
    PUT_BEGIN,
    PUT_DATA,
    PUT_END,
    RUNNING,
    STATUS,
    TAKE,
    Board,
    Machine,
    Refusal,
)
from tests.unix.nets import keyword_net, net

pytestmark = pytest.mark.unix

BOOTED, RESUMED, COMMITTED, FINISHED = 1, 2, 3, 4
BAD_REQUEST, NO_MODEL = 64, 65
SECTOR, SLOT_DATA = 4096, 256


def refused(board: Board, kind: int, body: bytes = b"") -> Refusal:
    with pytest.raises(Refusal) as caught:
        board.request(kind, body)
    return caught.value


def test_deploy_run_fetch_and_take(board: Board) -> None:
    made = net(16)
    assert board.request(HELLO)[:4] == bytes([1, 1, 0, 0])
    board.deploy(made.blob, "sixteen")
    hello = board.request(HELLO)
    assert hello[16:20] == made.blob[16:20]
    assert hello[20:].split(b"\0")[2] == b"sixteen"
    board.give(41, made.input)
    board.wait_event(FINISHED)
    status = board.status()
    assert (status["state"], status["inference"], status["tile"]) == (DONE, 41, made.tiles)
    assert board.fetch(41) == made.output
    board.request(TAKE, struct.pack("<I", 41))
    assert board.status()["state"] == IDLE
    committed = [event for event in board.events if event[0] == COMMITTED]
    assert len(committed) == made.segments + 1


def test_a_board_without_a_model_says_so(board: Board) -> None:
    assert board.status()["state"] == EMPTY
    assert refused(board, INPUT, struct.pack("<III", 1, 4, 0)).status == NO_MODEL
    assert refused(board, MODELS, b"\0\0").status == 1


def test_a_repeated_request_is_not_done_again(board: Board) -> None:
    made = net(8)
    board.deploy(made.blob)
    meta, data = struct.unpack_from("<II", made.blob, 16)
    begin = struct.pack("<III", len(made.blob) + 16, meta, data) + b"other\0"
    board.request(PUT_BEGIN, begin)
    piece = struct.pack("<I", 0) + made.blob[:240]
    for _ in range(3):
        assert board.request(PUT_DATA, piece, seq=77) == struct.pack("<I", 240)


def test_a_repeated_input_of_the_same_inference_changes_nothing(board: Board) -> None:
    made = net(8)
    board.deploy(made.blob)
    board.give(5, made.input)
    board.wait_event(FINISHED)
    commits = board.status()["commits"]
    board.give(5, bytes(len(made.input)))
    assert board.status()["commits"] == commits
    assert board.fetch(5) == made.output


def test_a_cut_upload_goes_on_at_the_last_whole_sector(machine: Machine) -> None:
    blob = net(16).blob
    assert len(blob) > SECTOR
    first = Board.boot(machine)
    at = first.put_begin(blob, "net")
    while at < SECTOR:
        at = first.put_data(blob, at)
    first.cut()
    second = Board.boot(machine)
    assert second.put_begin(blob, "net") == SECTOR - SLOT_DATA
    assert second.deploy(blob) <= (len(blob) - SECTOR + SLOT_DATA) // 240 + 1
    assert second.request(HELLO)[16:20] == blob[16:20]
    second.cut()


def test_a_cut_upload_leaves_the_model_before_it_active(machine: Machine) -> None:
    old, new = net(8).blob, net(16).blob
    rng = random.Random(1)
    board = Board.boot(machine)
    board.deploy(old, "old")
    for _ in range(12):
        at = board.put_begin(new, "new")
        for _ in range(rng.randrange(0, 30)):
            if at < len(new):
                at = board.put_data(new, at)
        board.cut()
        board = Board.boot(machine)
        assert board.request(HELLO)[16:20] == old[16:20]
    board.deploy(new, "new")
    assert board.request(HELLO)[16:20] == new[16:20]
    names = [board.request(MODELS, struct.pack("<H", i))[18:-1] for i in range(2)]
    assert sorted(names) == [b"new", b"old"]
    board.cut()


def test_a_damaged_blob_never_becomes_a_model(board: Board) -> None:
    good = net(8).blob
    for at in (0, 40, 150, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 4
        with pytest.raises(Refusal) as caught:
            board.deploy(bytes(bad))
        assert "at offset" in caught.value.text
        assert refused(board, MODELS, b"\0\0").status == 1
    board.deploy(good)
    assert board.request(HELLO)[16:20] == good[16:20]


def test_models_of_one_name_replace_each_other_and_old_ones_make_room(board: Board) -> None:
    blobs = [net(8).blob, net(16).blob]
    for turn in range(6):
        board.deploy(blobs[turn % 2], "same")
        assert refused(board, MODELS, b"\x01\0").status == 1
        assert board.request(HELLO)[16:20] == blobs[turn % 2][16:20]


def test_a_blob_larger_than_the_region_is_refused(board: Board) -> None:
    body = struct.pack("<III", 0x100000, 1, 2) + b"x\0"
    assert refused(board, PUT_BEGIN, body).status == 17


def test_cuts_during_a_run_are_survived(machine: Machine) -> None:
    made, rng = keyword_net(), random.Random(4)
    board = Board.boot(machine)
    board.deploy(made.blob)
    board.give(9, made.input)
    resumed = 0
    for life in range(40):
        if life % 2:
            board.wait_event(COMMITTED)  # power that never lets a tile finish ends in stuck
        for _ in board.frames(rng.random() * 0.002):
            pass
        board.cut()
        board = Board.boot(machine)
        board.wait_event(BOOTED)
        state = board.events[0][1]
        resumed += state == RUNNING
        if state == DONE:
            break
        assert state == RUNNING
        board.wait_event(RESUMED)
    if board.status()["state"] == RUNNING:
        board.wait_event(FINISHED)
    assert board.status()["brownouts"] == resumed
    assert board.fetch(9) == made.output
    assert resumed >= 1
    board.cut()


def test_an_input_cut_in_the_middle_starts_over(machine: Machine) -> None:
    made = net(4)
    board = Board.boot(machine)
    board.deploy(made.blob)
    body = struct.pack("<III", 2, len(made.input), 0) + made.input[:240]
    assert board.request(INPUT, body) == struct.pack("<I", 240)
    board.cut()
    board = Board.boot(machine)
    body = struct.pack("<III", 2, len(made.input), 240) + made.input[240:480]
    assert board.request(INPUT, body) == struct.pack("<I", 0)
    board.give(2, made.input)
    board.wait_event(FINISHED)
    assert board.fetch(2) == made.output
    board.cut()


def test_a_foreign_inference_is_cleared_by_request_only(board: Board) -> None:
    first, second = net(8), net(16)
    board.deploy(first.blob, "same")
    board.give(1, first.input)
    board.wait_event(FINISHED)
    board.deploy(second.blob, "same")
    assert refused(board, INPUT, struct.pack("<III", 2, len(second.input), 0)).status == 16
    assert board.status()["state"] == DONE
    board.request(CLEAR)
    board.give(2, second.input)
    board.wait_event(FINISHED)
    assert board.fetch(2) == second.output


def test_short_and_unknown_requests_get_one_line_and_the_board_serves_on(board: Board) -> None:
    assert refused(board, PUT_END).status == 14
    board.deploy(net(8).blob)
    for kind in (PUT_BEGIN, PUT_DATA, INPUT, OUTPUT, TAKE, MODELS, 0x55):
        refusal = refused(board, kind, b"\x01")
        assert refusal.status == BAD_REQUEST
        assert refusal.text and "\n" not in refusal.text
    for name in (b"", b"x", b"a\0b\0", b"\xff\0", b"y" * 32 + b"\0"):
        refused(board, PUT_BEGIN, struct.pack("<III", 1000, 0, 0) + name)
    assert board.status()["state"] == EMPTY


def test_random_requests_never_stop_the_server(board: Board) -> None:
    """Noise between frames holds no Ctrl-C and no zero byte: a zero would join it to a frame."""
    rng = random.Random(2)
    board.deploy(net(8).blob)
    kinds = [STATUS, PUT_BEGIN, PUT_DATA, PUT_END, INPUT, OUTPUT, TAKE, CLEAR, MODELS, 0x99, 0xFF]
    for seq in range(300):
        body = rng.randbytes(rng.choice([0, 1, 4, 8, 12, 13, 40, 256]))
        board.write(rng.randbytes(rng.randrange(3)).translate(None, b"\0\x03"))
        board.write(encode(rng.choice(kinds), 200 + seq, body))
    assert board.request(HELLO)[0] == 1


@pytest.mark.parametrize("wire", [b"\x03", b"\r\x03", b"abc\r\n\x03"])
def test_ctrl_c_ends_a_server_that_no_host_speaks_to(board: Board, wire: bytes) -> None:
    board.write(wire)
    assert board.process.wait(timeout=10) == 0


def test_the_escape_ends_a_stream_at_once_and_a_lone_ctrl_c_does_not(board: Board) -> None:
    board.request(HELLO)
    board.write(b"\x03" + encode(STATUS, 3) + b"\x03\x03")
    assert board.request(STATUS)[0] == EMPTY
    board.write(b"\r\x03")
    assert board.process.wait(timeout=10) == 0


def test_exit_answers_and_ends(board: Board) -> None:
    assert board.request(EXIT) == b""
    assert board.process.wait(timeout=10) == 0


def test_a_closed_console_ends_the_server(board: Board) -> None:
    board.request(HELLO)
    assert board.process.stdin is not None
    board.process.stdin.close()
    assert board.process.wait(timeout=10) == 0


@pytest.mark.parametrize("greet", [True, False])
def test_what_follows_the_escape_is_left_for_the_repl(machine: Machine, greet: bool) -> None:
    """mpremote sends its next key right after; a server that swallows it locks people out."""
    source = "import relume.link, sys\nrelume.link.serve()\nprint([sys.stdin.read(7)])"
    process = machine.start("-c", source)
    wire = encode_quiet(HELLO, 1)[1] if greet else b""
    out, errors = process.communicate(wire + b"\r\x03\r\x01next\n", timeout=10)
    assert not errors
    assert out.endswith(rb"['\r\x01next\n']" + b"\n")
