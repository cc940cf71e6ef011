"""Service before the interpreter (early.c, early_link.c) through the host library: SPEC 6.

SECURITY F2, R1.
"""

from __future__ import annotations

import ctypes
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from relume.blob.pack import pack
from relume.link.frames import Frame, encode
from relume.link.messages import (
    Event,
    EventKind,
    Kind,
    State,
    parse_event,
    parse_hello,
    parse_status,
)
from relume.model.graph import Graph
from relume.plan.planner import Budget, make_plan

from tests import native
from tests.early import ERASE, READ, Nvm, turn_on
from tests.unit.plan_nets import BOARD, RandomNet

FRAM, SIZE, ROOM, SLOT_DATA = 1, 1 << 16, 1 << 19, 256
NOTHING, LEFT = 0, 1
VON, VOFF, CAP_F = 5.0, 1.8, 1e-3
START_US = 178_000
CHUNK = 240
ID = 77


class Supply(Protocol):
    """What the board sees of its power, and of the time."""

    def millivolts(self) -> int: ...
    def micros(self) -> int: ...
    def asleep(self, ms: int) -> None: ...


@dataclass
class Still:
    """A voltage and a clock that stand: they never tell that the interpreter's start fits."""

    mv: int

    def millivolts(self) -> int:
        return self.mv

    def micros(self) -> int:
        return 0

    def asleep(self, ms: int) -> None:
        pass


@dataclass
class Bench:
    """A board with one model, an FRAM, and a host that sends what `script` holds."""

    net: Graph
    fram: bytearray = field(default_factory=lambda: bytearray(SIZE))
    millivolts: int = 5000
    waits: int = 3  # turns of silence before Ctrl-C
    room: int = ROOM

    def __post_init__(self) -> None:
        self.blob = pack(make_plan(self.net, BOARD, Budget(CAP_F, VON, VOFF)))
        name = b"net".ljust(32, b"\0")
        crcs = struct.unpack_from("<II", self.blob, 16)
        head = b"RLSL" + struct.pack("<IIII", 1, len(self.blob), *crcs) + name
        head += struct.pack("<II", 0, SIZE // 8 * 7)
        head += struct.pack("<I", zlib.crc32(head))
        image = head.ljust(SLOT_DATA, b"\xff") + self.blob
        self.image = ctypes.create_string_buffer(image + bytes(-len(image) % 4096))
        self.frames: list[Frame] = []

    def run(
        self, script: Iterator[bytes], supply: Supply | None = None, waits: int | None = None
    ) -> int:
        """One turn-on; `script` gives the next bytes whenever the board has none left."""
        on = supply or Still(self.millivolts)
        blobs, fram = Nvm(kind=2, size=len(self.image) - 1), Nvm(kind=FRAM, size=SIZE)
        blobs.read = READ(self._blobs)
        fram.read, fram.write, fram.erase = READ(self._read), READ(self._write), ERASE(_fail)
        return turn_on(
            blobs, self.image, lambda kind: fram, script, self.frames, room=self.room,
            millivolts=on.millivolts, micros=on.micros, asleep=on.asleep, start_us=START_US,
            waits=waits or self.waits,
        )  # fmt: skip

    def _blobs(self, _nvm: Any, at: int, data: int, n: int) -> int:
        ctypes.memmove(data, self.image.raw[at : at + n], n)
        return 0

    def _read(self, _nvm: Any, at: int, data: int, n: int) -> int:
        ctypes.memmove(data, bytes(self.fram[at : at + n]), n)
        return 0

    def _write(self, _nvm: Any, at: int, data: int, n: int) -> int:
        self.fram[at : at + n] = ctypes.string_at(data, n)
        return 0

    def replies(self, kind: Kind) -> list[bytes]:
        return [f.body for f in self.frames if f.kind == kind | 0x80]

    @property
    def events(self) -> list[Event]:
        found = [parse_event(f.body) for f in self.frames if f.kind == Kind.EVENT]
        return [event for event in found if event is not None]

    @property
    def input(self) -> bytes:
        size = self.net.tensors[self.net.input].size
        return random.Random(4).randbytes(size)

    def ask_input(self, id: int = ID) -> Iterator[bytes]:
        """The whole input, frame by frame."""
        data = self.input
        for seq, at in enumerate(range(0, len(data), CHUNK), 10):
            head = struct.pack("<III", id, len(data), at)
            yield encode(Kind.INPUT, seq, head + data[at : at + CHUNK])

    @property
    def expected(self) -> bytes:
        checked = native.accepted(self.blob)
        return checked.run(self.input)[checked.header.output]


def _fail(_nvm: Any, _at: int) -> int:
    return -9


@pytest.fixture
def bench() -> Bench:
    return Bench(RandomNet(3).graph(5))


def _whole(bench: Bench) -> Iterator[bytes]:
    yield encode(Kind.HELLO, 1, b"")
    yield from bench.ask_input()
    yield encode(Kind.STATUS, 100, b"")
    yield encode(Kind.OUTPUT, 101, struct.pack("<II", ID, 0))
    yield encode(Kind.TAKE, 102, struct.pack("<I", ID))
    yield encode(Kind.TAKE, 103, struct.pack("<I", ID))


def test_an_inference_is_served_from_input_to_take(bench: Bench) -> None:
    assert bench.run(_whole(bench)) == LEFT
    hello = parse_hello(bench.replies(Kind.HELLO)[0][1:])
    assert (hello.board, hello.firmware, hello.model_name) == ("BENCH", "9.9", "net")
    status = parse_status(bench.replies(Kind.STATUS)[0][1:])
    assert (status.state, status.inference, status.brownouts) == (State.DONE, ID, 0)
    output = bench.replies(Kind.OUTPUT)[0]
    assert output[0] == 0 and output[5:] == bench.expected[:CHUNK]
    assert [reply[0] for reply in bench.replies(Kind.TAKE)] == [0, 0]
    assert [event.kind for event in bench.events][:2] == [EventKind.BOOTED, EventKind.COMMITTED]
    assert bench.events[-1].kind == EventKind.DONE


def test_a_pending_inference_goes_on_and_says_so(bench: Bench) -> None:
    bench.run(_whole(bench))
    done = bytes(bench.fram)
    bench.fram[:] = bytes(SIZE)
    records: list[bytes] = []
    write = bench._write

    def watched(nvm: Any, at: int, data: int, n: int) -> int:
        result = write(nvm, at, data, n)
        if n == 64 and not records:
            records.append(bytes(bench.fram))
        return result

    bench._write = watched  # type: ignore[method-assign]
    bench.run(_whole(bench))
    assert done and records
    bench.fram[:], bench.frames = records[0], []
    ask = [encode(Kind.OUTPUT, 9, struct.pack("<II", ID, 0))]
    assert bench.run(iter(ask)) == LEFT
    assert bench.events[0].kind == EventKind.RESUMED
    assert bench.replies(Kind.OUTPUT)[0][5:] == bench.expected[:CHUNK]


def test_where_the_voltage_is_unknown_nothing_is_served(bench: Bench) -> None:
    bench.millivolts = 0
    assert bench.run(_whole(bench)) == NOTHING and not bench.frames


@pytest.mark.parametrize(
    "data",
    [b"\x03", b"\r\x03", encode(Kind.PUT_BEGIN, 5, bytes(14)), encode(Kind.EXIT, 5, b""),
     encode(Kind.INPUT, 5, bytes(11)), encode(Kind.TAKE, 5, bytes(3))],
)  # fmt: skip
def test_other_requests_and_ctrl_c_ask_for_the_interpreter(bench: Bench, data: bytes) -> None:
    bench.waits = 1000
    script = iter([data, *[b""] * 5, encode(Kind.STATUS, 6, b"")])
    assert bench.run(script) == LEFT
    assert not bench.replies(Kind.STATUS)


def test_a_ctrl_c_inside_a_frame_is_data(bench: Bench) -> None:
    wire = encode(Kind.STATUS, 0x0303, b"")
    assert b"\x03" in wire
    bench.run(iter([wire, encode(Kind.STATUS, 7, b"")]))
    assert len(bench.replies(Kind.STATUS)) == 2


def test_wrong_sizes_places_and_ids_are_refused_or_ignored(bench: Bench) -> None:
    size = len(bench.input)
    first = struct.pack("<III", ID, size, 0) + bench.input[:1]
    wrong = [
        encode(Kind.INPUT, 1, struct.pack("<III", ID, size + 1, 0)),
        encode(Kind.OUTPUT, 2, struct.pack("<II", ID, 0)),
        encode(Kind.TAKE, 3, struct.pack("<I", ID)),
        encode(Kind.INPUT, 4, first),
        encode(Kind.INPUT, 5, struct.pack("<III", ID, size, 7) + b"x"),
        encode(Kind.INPUT, 6, struct.pack("<III", ID, size, 1) + bytes(CHUNK)),
    ]
    bench.run(iter(wrong))
    replies = bench.replies(Kind.INPUT)
    assert replies[0][0] == 15 and replies[0][1:].startswith(b"buffer of the wrong size")
    assert bench.replies(Kind.OUTPUT)[0][0] == bench.replies(Kind.TAKE)[0][0] == 14
    assert replies[1] == replies[2] == b"\0" + struct.pack("<I", 1)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_survived_and_never_answered(bench: Bench, seed: int) -> None:
    draw = random.Random(seed)
    noise = [bytes(b for b in draw.randbytes(300) if b not in (3, 13)) for _ in range(20)]
    bench.run(iter([*noise, b"\0", encode(Kind.STATUS, 8, b"")]))
    kinds = [frame.kind for frame in bench.frames]
    assert kinds == [Kind.EVENT, Kind.STATUS | 0x80]
