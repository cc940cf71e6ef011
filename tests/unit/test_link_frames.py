"""Frames on the host: what is encoded comes back, and noise costs only the frame it hits.

SECURITY F5.
"""

from __future__ import annotations

import random
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from relume.link import frames
from relume.link.frames import CONSOLE_KEYS, CTRL_C, Decoder, cobs_encode, encode, encode_quiet
from relume.link.messages import Kind

BODIES = st.one_of(
    st.binary(max_size=frames.MAX_BODY),
    st.integers(0, frames.MAX_BODY).map(lambda n: b"\0" * n),
    st.integers(0, frames.MAX_BODY).map(lambda n: b"\xff" * n),
)
PIECES = settings(max_examples=150, derandomize=True, deadline=None)


def textbook(wire: bytes) -> bytes:
    """The textbook decoder, written apart from the one under test."""
    out, at = bytearray(), 0
    while at < len(wire):
        code = wire[at]
        out += wire[at + 1 : at + code]
        at += code
        if code < 0xFF and at < len(wire):
            out.append(0)
    return bytes(out)


@PIECES
@given(BODIES, st.integers(0, 255), st.integers(0, 65535), st.integers(1, 40))
def test_a_frame_comes_back_whatever_pieces_it_comes_in(
    body: bytes, kind: int, seq: int, piece: int
) -> None:
    wire, decoder = encode(kind, seq, body), Decoder()
    assert b"\0" not in wire[1:-1]
    assert len(wire) <= frames.MAX_PAYLOAD + frames.MAX_PAYLOAD // 254 + 3
    got = [f for at in range(0, len(wire), piece) for f in decoder.feed(wire[at : at + piece])]
    assert got == [frames.Frame(kind, seq, body)]


@PIECES
@given(st.binary(max_size=600))
def test_cobs_is_the_published_code(payload: bytes) -> None:
    wire = cobs_encode(payload)
    assert 0 not in wire
    assert textbook(wire) == frames.cobs_decode(wire) == payload
    assert len(wire) <= len(payload) + len(payload) // 254 + 1


@PIECES
@given(BODIES, st.data())
def test_no_flipped_bit_passes(body: bytes, data: st.DataObject) -> None:
    wire = bytearray(encode(7, 9, body))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= 1 << data.draw(st.integers(0, 7))
    assert all(f == frames.Frame(7, 9, body) for f in Decoder().feed(bytes(wire)))


@PIECES
@given(st.lists(st.one_of(st.binary(max_size=40), BODIES.map(lambda b: (b,))), max_size=12))
def test_noise_between_frames_loses_none_of_them(parts: list[bytes | tuple[bytes]]) -> None:
    decoder, sent, got = Decoder(), [], []
    for number, part in enumerate(parts):
        if isinstance(part, tuple):
            sent.append((number, part[0]))
            part = encode(5, number, part[0])
        got += [(f.seq, f.body) for f in decoder.feed(part) if f.kind == 5]
    assert got == sent


@PIECES
@given(BODIES, BODIES, st.data())
def test_a_frame_cut_short_by_a_reboot_does_not_harm_the_next(
    first: bytes, second: bytes, data: st.DataObject
) -> None:
    wire, decoder = encode(1, 1, first), Decoder()
    cut = data.draw(st.integers(0, len(wire) - 1))
    got = decoder.feed(wire[:cut]) + decoder.feed(encode(2, 2, second))
    assert [f for f in got if f.kind == 2] == [frames.Frame(2, 2, second)]
    whole = cut == len(wire) - 1  # the next frame's zero ends it
    assert [f for f in got if f.kind != 2] == [frames.Frame(1, 1, first)] * whole


def test_hello_holds_no_key_that_a_console_acts_on() -> None:
    for start in range(1, 65536, 97):
        seq, wire = encode_quiet(Kind.HELLO, start, b"", CONSOLE_KEYS)
        assert CONSOLE_KEYS.isdisjoint(wire) and 1 <= seq <= 65535
        assert Decoder().feed(wire) == [frames.Frame(Kind.HELLO, seq, b"")]


def test_small_requests_are_numbered_so_that_they_hold_no_ctrl_c() -> None:
    for start in range(1, 65536, 131):
        _, wire = encode_quiet(Kind.STATUS, start)
        assert CTRL_C not in wire


def test_a_body_with_ctrl_c_is_sent_all_the_same() -> None:
    seq, wire = encode_quiet(Kind.PUT_DATA, 77, b"\x03" * 10)
    assert seq == 77 and wire == encode(Kind.PUT_DATA, 77, b"\x03" * 10)


def test_sequence_numbers_never_become_0() -> None:
    assert frames.next_seq(65535) == 1
    assert frames.next_seq(0) == 1


def test_a_body_that_is_too_long_is_refused() -> None:
    encode(1, 1, bytes(frames.MAX_BODY))
    try:
        encode(1, 1, bytes(frames.MAX_BODY + 1))
    except ValueError as error:
        assert "257" in str(error)
    else:
        raise AssertionError("no error")


def test_a_good_checksum_does_not_save_a_frame_that_is_too_long() -> None:
    head = bytes((1, 1, 5, 0)) + bytes(range(1, 256)) * 2
    payload = head + zlib.crc32(head).to_bytes(4, "little")
    wire = b"\0" + cobs_encode(payload) + b"\0"
    decoder = Decoder()
    assert decoder.feed(wire) == []
    assert decoder.feed(encode(3, 3)) == [frames.Frame(3, 3, b"")]


def test_what_the_console_prints_is_kept_for_the_error_message_but_not_for_ever() -> None:
    decoder = Decoder()
    decoder.feed(b"Traceback\r\n" + encode(1, 1, b"abc") + b"MemoryError:\r\n")
    assert decoder.text == b"Traceback\r\nMemoryError:\r\n"
    noise = random.Random(1).randbytes(200_000)
    decoder.feed(noise)
    assert decoder.text.endswith(noise[-100:].rpartition(b"\0")[2])
    decoder.feed(b"x" * 100_000)
    assert len(decoder.text) <= 4 * 4096
