"""The record of an emulated run, and the board's events read from its console.

`Run` is plain data: `to_json` and `from_json` are each other's inverse.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

EVENT_NAMES = {
    1: "booted", 2: "resumed", 3: "committed", 4: "done", 5: "stuck", 6: "erased",
}  # fmt: skip
_EVENT_TYPE = 0x40
_EVENT = struct.Struct("<BBHIIII")
_MAX_FRAME = 300
_MAX_SAMPLES = 6000


@dataclass(frozen=True)
class Sample:
    """Capacitor voltage at a time (s since the emulation's start)."""

    t: float
    volts: float


@dataclass(frozen=True)
class PowerChange:
    """The board went on or off. Cause: "charged", "plugged", "brown-out", "unplugged", "stop"."""

    t: float
    on: bool
    cause: str
    volts: float


@dataclass(frozen=True)
class Cut:
    """Where a power cut hit: core cycles and microseconds since boot, program counter, and the
    NVM operation that it broke ("program", "erase 4K", "fram write"), if any, with its address."""

    t: float
    cycles: int
    boot_us: float
    pc: int
    operation: str = ""
    address: int = 0


@dataclass(frozen=True)
class BoardEvent:
    """An EVENT frame of the board (SPEC section 6) with the time at which its last byte went."""

    t: float
    kind: str
    state: int
    millivolts: int
    inference: int
    tile: int
    seq: int
    boot_us: int


@dataclass
class Run:
    """What happened: all times in seconds since the emulation's start, energies in joule.

    `boot_s`: what a boot takes at least. `results`: what the host makes of an inference's output
    (its id as text -> a short text); the host fills it in."""

    board: str = ""
    models: dict[str, str] = field(default_factory=dict)
    supply: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    boot_s: float = 0.0
    end: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    power: list[PowerChange] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    events: list[BoardEvent] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Run:
        """The run that `to_json` came from. Unknown keys are refused (TypeError)."""
        made = dict(data)
        for key, kind in (
            ("samples", Sample), ("power", PowerChange), ("cuts", Cut), ("events", BoardEvent),
        ):  # fmt: skip
            made[key] = [kind(**item) for item in data.get(key, [])]
        return cls(**made)

    @property
    def brownouts(self) -> int:
        """How often the capacitor ran empty."""
        return sum(1 for change in self.power if not change.on and change.cause == "brown-out")

    @property
    def charges(self) -> int:
        """How often the board was turned on."""
        return sum(1 for change in self.power if change.on)


class VoltageLog:
    """Voltage samples, thinned as they come: turning points and a few thousand others stay."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples
        self._step_v = 0.01
        self._step_s = 0.0
        self._limit = _MAX_SAMPLES

    def add(self, t: float, volts: float, keep: bool = False) -> None:
        """A sample; dropped if neither voltage nor time moved enough, unless `keep`."""
        samples = self._samples
        if samples and not keep:
            last = samples[-1]
            if abs(volts - last.volts) < self._step_v or t - last.t < self._step_s:
                return
        samples.append(Sample(t, volts))
        if len(samples) > self._limit:
            self._thin()
            self._limit = max(_MAX_SAMPLES, 2 * len(samples))

    def _thin(self) -> None:
        """Keep turning points, drop every second of the rest."""
        old = self._samples
        kept = [old[0]]
        for index in range(1, len(old) - 1):
            before, here, after = old[index - 1].volts, old[index].volts, old[index + 1].volts
            turning = (here - before) * (after - here) <= 0
            if turning or index % 2:
                kept.append(old[index])
        kept.append(old[-1])
        self._samples[:] = kept
        self._step_v = min(0.2, self._step_v * 1.6)
        span = kept[-1].t - kept[0].t
        self._step_s = span / _MAX_SAMPLES


class EventReader:
    """Finds EVENT frames in the console's output; everything else goes by."""

    def __init__(self) -> None:
        self._frame = bytearray()

    def reset(self) -> None:
        """The power went: what was begun is void."""
        self._frame.clear()

    def feed(self, value: int, t: float) -> BoardEvent | None:
        """One byte; the event that it completes, if it does."""
        if value:
            if len(self._frame) <= _MAX_FRAME:
                self._frame.append(value)
            return None
        payload = _cobs_decode(self._frame)
        self._frame.clear()
        if payload is None or len(payload) < 8 or payload[0] != _EVENT_TYPE:
            return None
        body, crc = payload[4:-4], int.from_bytes(payload[-4:], "little")
        if zlib.crc32(payload[:-4]) != crc or len(body) != _EVENT.size:
            return None
        kind, state, millivolts, inference, tile, seq, micros = _EVENT.unpack(body)
        name = EVENT_NAMES.get(kind, f"kind {kind}")
        return BoardEvent(t, name, state, millivolts, inference, tile, seq, micros)


def _cobs_decode(data: bytearray) -> bytes | None:
    """The payload of a COBS block without its zeros, or None if it is not one."""
    if not data or len(data) > _MAX_FRAME:
        return None
    out = bytearray()
    index = 0
    while index < len(data):
        code = data[index]
        if index + code > len(data):
            return None
        out += data[index + 1 : index + code]
        index += code
        if code < 0xFF and index < len(data):
            out.append(0)
    return bytes(out)
