"""The board's frame decoder and encoder (frame.c) through the host library: SPEC 6.

SECURITY F1, F5.
"""

from __future__ import annotations

import ctypes
import random
import zlib
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from relume.link import frames as host

from tests import native

BODY, PAYLOAD, WIRE = 256, 264, 268
NONE, READY, ESCAPE = 0, 1, 2
FEW = settings(max_examples=200, derandomize=True, deadline=None)

BODIES = st.one_of(
    st.binary(max_size=BODY),
    st.integers(0, BODY).map(lambda n: bytes(n)),
    st.integers(0, BODY).map(lambda n: b"\xff" * n),
    st.integers(0, BODY).map(lambda n: bytes(n) + b"\x01" * (BODY - n)),
)
MESSAGES = st.tuples(st.integers(0, 255), st.integers(0, 65535), BODIES)


class _Decoder(ctypes.Structure):
    _fields_ = (
        ("payload", ctypes.c_uint8 * PAYLOAD), ("fill", ctypes.c_uint32),
        ("code", ctypes.c_uint8), ("full", ctypes.c_uint8),
        ("state", ctypes.c_uint8), ("escape", ctypes.c_uint8),
        ("fence", ctypes.c_uint8 * 64),
    )  # fmt: skip


@dataclass(frozen=True)
class Message:
    """What a frame carries."""

    kind: int
    seq: int
    body: bytes


class Board:
    """A decoder as on the board, with a fence behind it."""

    def __init__(self) -> None:
        self.state = _Decoder()
        ctypes.memset(ctypes.byref(self.state), 0x5A, ctypes.sizeof(self.state))
        self.librelume = native.librelume()
        self.librelume.rl_frame_reset(ctypes.byref(self.state))
        self.messages: list[Message] = []
        self.escapes = 0

    def feed(self, data: bytes) -> Board:
        """Feeds bytes and collects what they mean."""
        for byte in data:
            event = self.librelume.rl_frame_feed(ctypes.byref(self.state), ctypes.c_uint8(byte))
            assert self.state.fill <= PAYLOAD
            if event == READY:
                self.messages.append(self._message())
            self.escapes += event == ESCAPE
        assert bytes(self.state.fence) == b"\x5a" * 64
        return self

    def _message(self) -> Message:
        payload = bytes(self.state.payload)[: self.state.fill - 4]
        assert payload[1] == 1
        return Message(payload[0], int.from_bytes(payload[2:4], "little"), payload[4:])


def encode(kind: int, seq: int, body: bytes) -> bytes:
    """rl_frame_encode(), with a fence behind the wire buffer."""
    wire = (ctypes.c_uint8 * (WIRE + 16))(*[0xA5] * (WIRE + 16))
    function = native.librelume().rl_frame_encode
    function.restype = ctypes.c_size_t
    arguments = (ctypes.c_uint8(kind), ctypes.c_uint16(seq), body, ctypes.c_size_t(len(body)))
    n = int(function(*arguments, wire))
    assert n <= WIRE and bytes(wire)[WIRE:] == b"\xa5" * 16
    return bytes(wire)[:n]


def messages_of(data: bytes) -> list[Message]:
    """The messages in a stream."""
    return Board().feed(data).messages


@FEW
@given(MESSAGES)
def test_what_the_board_encodes_it_decodes(message: tuple[int, int, bytes]) -> None:
    wire = encode(*message)
    assert wire[0] == wire[-1] == 0 and 0 not in wire[1:-1]
    assert messages_of(wire) == [Message(*message)]


@FEW
@given(MESSAGES)
def test_board_and_host_encode_alike_and_understand_each_other(
    message: tuple[int, int, bytes],
) -> None:
    assert encode(*message) == host.encode(*message)
    (frame,) = host.Decoder().feed(encode(*message))
    assert (frame.kind, frame.seq, frame.body) == message


def test_a_body_that_is_too_long_is_not_encoded() -> None:
    assert encode(1, 1, bytes(BODY)) and not encode(1, 1, bytes(BODY + 1))


@FEW
@given(st.lists(MESSAGES, max_size=4), st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"")))
def test_frames_one_after_another_come_out_in_order_with_text_between(
    messages: list[tuple[int, int, bytes]], text: bytes
) -> None:
    stream = b"".join(encode(*message) + text for message in messages)
    assert messages_of(text + stream) == [Message(*message) for message in messages]


@FEW
@given(MESSAGES, st.binary(max_size=700))
def test_noise_never_costs_more_than_one_frame_behind_it(
    message: tuple[int, int, bytes], noise: bytes
) -> None:
    assert messages_of(noise + encode(*message) * 2)[-1] == Message(*message)


@FEW
@given(MESSAGES, st.data())
def test_a_truncated_frame_is_dropped_and_the_next_one_is_not(
    message: tuple[int, int, bytes], data: st.DataObject
) -> None:
    wire = encode(*message)
    cut = wire[: data.draw(st.integers(0, len(wire) - 1))]
    assert messages_of(cut) == []
    seen = messages_of(cut + wire)
    # When only the closing zero is missing, the next frame's opening zero closes this one.
    assert seen == [Message(*message)]


@FEW
@given(MESSAGES, st.data())
def test_up_to_four_flipped_bits_are_always_found(
    message: tuple[int, int, bytes], data: st.DataObject
) -> None:
    payload = host.cobs_decode(encode(*message)[1:-1])
    assert payload is not None
    bits = data.draw(st.sets(st.integers(0, 8 * len(payload) - 1), min_size=1, max_size=4))
    damaged = bytearray(payload)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    assert messages_of(b"\0" + host.cobs_encode(bytes(damaged)) + b"\0") == []


@FEW
@given(st.binary(max_size=2000))
def test_any_bytes_are_taken_and_only_frames_with_the_right_crc_come_out(noise: bytes) -> None:
    board = Board()
    for message in board.feed(noise).messages:
        assert encode(message.kind, message.seq, message.body) in noise


def test_noise_of_a_megabit_holds_no_frame() -> None:
    assert messages_of(random.Random(1).randbytes(130_000)) == []


@FEW
@given(st.integers(0, 20))
def test_a_payload_that_is_too_long_or_too_short_is_dropped(extra: int) -> None:
    long = bytes(range(1, 256)) + bytes(PAYLOAD - 255 - 4 + 1 + extra)
    short = bytes(extra % 4)
    for payload in (long, short):
        whole = payload + zlib.crc32(payload).to_bytes(4, "little")
        stream = b"\0" + host.cobs_encode(whole) + b"\0"
        good = encode(7, 7, b"next")
        assert messages_of(stream + good) == [Message(7, 7, b"next")]


def test_the_escape_counts_only_outside_a_frame() -> None:
    assert Board().feed(b"\r\x03").escapes == 1
    assert Board().feed(b"\r\r\x03").escapes == 1
    assert Board().feed(b"\r\x03\r\x03\x03").escapes == 2
    assert Board().feed(b"\rx\x03").escapes == 0
    assert Board().feed(b"\x03").escapes == 0
    inside = Board().feed(b"\0\r\x03")
    assert inside.escapes == 0
    body = b"\r\x03" * 60
    wire = encode(0x21, 9, body)
    assert b"\r\x03" in wire
    board = Board().feed(wire)
    assert (board.escapes, len(board.messages)) == (0, 1)
    assert board.feed(b"\r\x03").escapes == 1
    # The carriage return that ended a frame's data is no half of an escape.
    assert Board().feed(wire + b"\x03").escapes == 0


def test_a_hello_can_be_sent_without_the_byte_of_ctrl_c() -> None:
    free = [seq for seq in range(256) if b"\x03" not in encode(0x01, seq, b"")]
    assert len(free) > 100
    assert messages_of(encode(0x01, free[0], b"")) == [Message(0x01, free[0], b"")]
