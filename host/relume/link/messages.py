"""Bodies of the frames (docs/SPEC.md 6) as dataclasses, both ways."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from relume.errors import LinkError

REPLY = 0x80
CHUNK = 240  # data bytes in PUT_DATA, INPUT and OUTPUT
STATUS_STATE = 14  # the code of "not possible in this state" (status.h), sign dropped
PAST_LAST = 1


class Kind(IntEnum):
    """Frame types."""

    HELLO = 0x01
    STATUS = 0x02
    PUT_BEGIN = 0x10
    PUT_DATA = 0x11
    PUT_END = 0x12
    INPUT = 0x20
    OUTPUT = 0x21
    TAKE = 0x22
    CLEAR = 0x23
    TIMES = 0x24
    RESULT = 0x25
    DROP = 0x26
    MODELS = 0x30
    REMOVE = 0x31
    OWNER = 0x32
    EVENT = 0x40
    MESSAGE = 0x41
    EXIT = 0x7F


class State(IntEnum):
    """Of the board's inference."""

    EMPTY = 0
    RUNNING = 1
    DONE = 2
    IDLE = 3
    STUCK = 4


class EventKind(IntEnum):
    """What an EVENT frame tells."""

    BOOTED = 1
    RESUMED = 2
    COMMITTED = 3
    DONE = 4
    STUCK = 5
    ERASED = 6


@dataclass(frozen=True)
class Hello:
    """Who answers. Sizes in bytes; model: meta_crc of the active one, 0 = none."""

    protocol: int
    blob_major: int
    blob_minor: int
    nvm_kind: int
    nvm_size: int
    blobs_size: int
    free_heap: int
    model: int
    board: str
    firmware: str
    model_name: str


@dataclass(frozen=True)
class Status:
    """The record of the board's inference; progress 0..256 is the share of the segments."""

    state: State
    progress: int
    model: int
    inference: int
    tile: int
    n_tiles: int
    cycles: int
    commits: int
    nvm_bytes: int
    brownouts: int


@dataclass(frozen=True)
class Event:
    """An EVENT frame. millivolts 0 = unknown; micros since the board's boot."""

    kind: EventKind
    state: State
    millivolts: int
    inference: int
    tile: int
    record: int
    micros: int


@dataclass(frozen=True)
class Slot:
    """A model on the board, and its part of the NVM of its kind (SPEC 2.1); bytes."""

    size: int
    meta_crc: int
    active: bool
    name: str
    nvm_kind: int = 1
    store_at: int = 0
    store_size: int = 0


@dataclass(frozen=True)
class Waiting:
    """An output that waits on the board. total: its bytes; data: those from an offset on."""

    model: int
    inference: int
    total: int
    data: bytes


@dataclass(frozen=True)
class Times:
    """TIMES's reply: clock of the cycles, ops of the model, cycles of a run of them."""

    hz: int
    n_ops: int
    cycles: tuple[int, ...]


_HELLO = struct.Struct("<4BIIII")
_STATUS = struct.Struct("<BBHIIIIQIII")
_EVENT = struct.Struct("<BBHIIII")
_TIMES = struct.Struct("<IH")
_SLOT = struct.Struct("<IIBBII")
_WAITING = struct.Struct("<III")


def parse_hello(body: bytes) -> Hello:
    """HELLO's reply after its status. Errors: LinkError."""
    protocol, major, minor, nvm, *sizes = _unpack(_HELLO, body, "HELLO")
    texts = body[_HELLO.size :].split(b"\0")
    if len(texts) < 4:
        raise LinkError("the board's HELLO is cut short: another firmware version?")
    board, firmware, name = (text.decode("utf-8", "replace") for text in texts[:3])
    nvm_size, blobs_size, free_heap, model = sizes
    return Hello(
        protocol, major, minor, nvm, nvm_size, blobs_size, free_heap, model, board, firmware, name
    )


def parse_status(body: bytes) -> Status:
    """STATUS's reply after its status. Errors: LinkError."""
    state, progress, _, *rest = _unpack(_STATUS, body, "STATUS")
    return Status(_state(state), progress, *rest)


def parse_event(body: bytes) -> Event | None:
    """An EVENT frame's body; None for one that this version does not know."""
    if len(body) < _EVENT.size:
        return None
    kind, state, *rest = _EVENT.unpack_from(body)
    try:
        return Event(EventKind(kind), State(state), *rest)
    except ValueError:
        return None


def parse_slot(body: bytes) -> Slot:
    """MODELS's reply after its status. Errors: LinkError."""
    size, meta_crc, active, kind, at, room = _unpack(_SLOT, body, "MODELS")
    name = body[_SLOT.size :].split(b"\0")[0].decode("utf-8", "replace")
    return Slot(size, meta_crc, active != 0, name, kind, at, room)


def parse_waiting(body: bytes) -> Waiting:
    """RESULT's reply after its status. Errors: LinkError."""
    model, inference, total = _unpack(_WAITING, body, "RESULT")
    return Waiting(model, inference, total, body[_WAITING.size :])


def parse_times(body: bytes) -> Times:
    """TIMES's reply after its status. Errors: LinkError."""
    hz, n_ops = _unpack(_TIMES, body, "TIMES")
    rest = body[_TIMES.size :]
    if hz == 0 or len(rest) % 4:
        raise LinkError("the board's answer to TIMES is cut short: another firmware version?")
    return Times(hz, n_ops, struct.unpack(f"<{len(rest) // 4}I", rest))


def parse_u32(body: bytes, what: str) -> int:
    """The u32 at the start of a reply. Errors: LinkError."""
    return int(_unpack(struct.Struct("<I"), body, what)[0])


def _state(number: int) -> State:
    try:
        return State(number)
    except ValueError:
        raise LinkError(f"the board tells state {number}: another firmware version?") from None


def _unpack(layout: struct.Struct, body: bytes, what: str) -> tuple[int, ...]:
    if len(body) < layout.size:
        text = f"the board's answer to {what} is {len(body)} bytes, not {layout.size}"
        raise LinkError(f"{text}: another firmware version?")
    return layout.unpack_from(body)
