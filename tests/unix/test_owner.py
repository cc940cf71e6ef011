"""A board with an owner takes the owner's models only: firmware on the unix port (SPEC 6.1).

SECURITY F7.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from relume.blob.reader import read_blob
from relume.cli import main
from relume.errors import LinkError
from relume.link.owner import NOBODY, Owner

from tests.unix.firmware import HELLO, MODELS, PUT_BEGIN, PUT_END, Board, Machine, Refusal
from tests.unix.nets import net
from tests.unix.test_link_unix import PtyBoard

pytestmark = pytest.mark.unix

OWNER, NOT_OWNER, BAD_REQUEST = 0x32, 68, 64
FINISHED = 4
MINE = Owner(Ed25519PrivateKey.from_private_bytes(b"mine" * 8))
OTHER = Owner(Ed25519PrivateKey.from_private_bytes(b"else" * 8))


def begin(blob: bytes, name: bytes = b"net\0") -> bytes:
    return struct.pack("<III", len(blob), *struct.unpack_from("<II", blob, 16)) + name


def signed(owner: Owner, blob: bytes, name: bytes = b"net\0") -> bytes:
    return begin(blob, name) + owner.model(begin(blob, name), read_blob(blob))


def refused(board: Board, kind: int, body: bytes) -> int:
    with pytest.raises(Refusal) as caught:
        board.request(kind, body)
    return caught.value.status


def own(board: Board, new: bytes, by: Owner | None = None) -> None:
    answer = board.request(OWNER)
    board.request(OWNER, new + (by.change(new, answer[32:]) if by else b""))


def models(board: Board) -> int:
    count = 0
    while True:
        try:
            board.request(MODELS, struct.pack("<H", count))
        except Refusal:
            return count
        count += 1


def upload(board: Board, blob: bytes, head: bytes) -> None:
    at = struct.unpack("<I", board.request(PUT_BEGIN, head))[0]
    while at < len(blob):
        at = board.put_data(blob, at)
    board.request(PUT_END)


def test_only_what_the_owner_has_signed_is_taken(board: Board) -> None:
    blob = net(8).blob
    own(board, MINE.public)
    assert board.request(OWNER)[:32] == MINE.public
    for body in (begin(blob), signed(OTHER, blob), begin(blob) + bytes(128),
                 signed(MINE, blob, b"other\0")[:12] + signed(MINE, blob)[12:-128]
                 + signed(MINE, blob, b"other\0")[-128:]):  # fmt: skip
        assert refused(board, PUT_BEGIN, body) == NOT_OWNER
    assert models(board) == 0
    upload(board, blob, signed(MINE, blob))
    assert models(board) == 1


def test_a_refusal_leaves_the_model_of_that_name(board: Board) -> None:
    made, other = net(8), net(16)
    own(board, MINE.public)
    upload(board, made.blob, signed(MINE, made.blob))
    for body in (begin(other.blob), signed(OTHER, other.blob)):
        assert refused(board, PUT_BEGIN, body) == NOT_OWNER
    board.give(5, made.input)
    board.wait_event(FINISHED)
    assert board.fetch(5) == made.output


def test_bytes_that_were_not_signed_do_not_become_a_model(board: Board) -> None:
    """Another blob under the digest of the owner's."""
    mine, forged = net(8).blob, net(16).blob
    own(board, MINE.public)
    digest = hashlib.sha512(mine).digest()
    head = begin(forged)
    body = head + digest + MINE.model(head, read_blob(mine))[64:]
    with pytest.raises(Refusal) as caught:
        upload(board, forged, body)
    assert caught.value.status == NOT_OWNER and models(board) == 0


def test_the_owner_changes_by_its_own_signature_only(board: Board) -> None:
    own(board, MINE.public)
    for by in (None, OTHER):
        with pytest.raises(Refusal):
            own(board, OTHER.public, by)
    old = MINE.change(NOBODY, board.request(OWNER)[32:])
    board.request(OWNER)  # another nonce: what was signed before holds no more
    assert refused(board, OWNER, NOBODY + old) == NOT_OWNER
    own(board, OTHER.public, MINE)
    assert board.request(OWNER)[:32] == OTHER.public
    own(board, NOBODY, OTHER)
    blob = net(8).blob
    upload(board, blob, begin(blob))
    assert models(board) == 1


def test_the_owner_outlives_the_power(machine: Machine) -> None:
    board = Board.boot(machine)
    own(board, MINE.public)
    board.cut()
    board = Board.boot(machine)
    board.request(HELLO)
    assert board.request(OWNER)[:32] == MINE.public
    board.cut()


@pytest.mark.parametrize("damage", [b"", b"short", bytes(33)])
def test_a_damaged_owner_s_file_admits_nobody(machine: Machine, damage: bytes) -> None:
    (machine.folder / "relume.owner").write_bytes(damage)
    board = Board.boot(machine)
    board.request(HELLO)
    blob = net(8).blob
    assert refused(board, PUT_BEGIN, signed(MINE, blob)) != 0
    assert refused(board, PUT_BEGIN, begin(blob)) != 0
    board.cut()


def test_what_is_no_request_of_owner_is_refused(board: Board) -> None:
    board.request(HELLO)
    for body in (b"x", bytes(31), bytes(97), bytes(95)):
        assert refused(board, OWNER, body) == BAD_REQUEST
    assert refused(board, OWNER, MINE.public) == NOT_OWNER, "no nonce was asked for"


def test_the_commands_make_a_key_and_use_it(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob, key, other = tmp_path / "net.rlm", str(tmp_path / "a.pem"), str(tmp_path / "b.pem")
    blob.write_bytes(net(8).blob)
    assert main(["owner", "new", key]) == 0 and main(["owner", "new", other]) == 0
    assert Path(key).stat().st_mode & 0o77 == 0
    assert main(["owner", "new", key]) == 1
    board = PtyBoard(machine)
    port = ["-p", board.path]
    try:
        assert main(["owner", "show", *port]) == 0
        assert main(["owner", "set", key, *port]) == 0
        assert main(["deploy", str(blob), *port]) == 1
        assert main(["deploy", str(blob), "--owner", other, *port]) == 1
        assert main(["deploy", str(blob), "--owner", key, *port]) == 0
        assert main(["owner", "set", other, *port]) == 1
        assert main(["owner", "set", other, "--from", key, *port]) == 0
        assert main(["owner", "off", key, *port]) == 1
        assert main(["owner", "off", other, *port]) == 0
    finally:
        board.stop()
    out, err = capsys.readouterr()
    assert "no owner" in out and "takes any model" in out
    lines = err.splitlines()
    assert len(lines) == 5 and "is there already" in lines[0]
    assert all("models of its owner only" in line for line in lines[1:3])
    assert all("present owner must sign" in line for line in lines[3:])


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "No such file"), (b"no key", "no private key in PEM"), (b"", "no private key in PEM")],
)
def test_a_file_that_is_no_key_is_one_line(
    tmp_path: Path, content: bytes | None, text: str
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LinkError, match=text):
        Owner.load(path)
