"""Model slots in a region of flash, through the C library; the power may go in every operation."""

from __future__ import annotations

import ctypes
import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests import native
from tests.powercut.session import FLASH, Memory

SECTOR, DATA = 4096, 256
OK, E_NVM, E_NVM_SIZE, E_FULL = 0, -9, -10, -17
NOWHERE = 0xFFFFFFFF
ROOMS = (1 << 16, 1 << 16)


class Slot(ctypes.Structure):
    """rl_slot."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("magic", "seq", "size", "meta_crc", "data_crc")),
        ("name", ctypes.c_char * 32),
        *((name, ctypes.c_uint32) for name in ("store_at", "store_size", "crc")),
    )


class Slots(ctypes.Structure):
    """rl_slots."""

    _fields_ = (
        ("nvm", ctypes.c_void_p), ("image", ctypes.c_void_p), ("draft", Slot),
        ("at", ctypes.c_uint32), ("next", ctypes.c_uint32), ("whole", ctypes.c_uint8),
        ("page", ctypes.c_uint8 * 256),
    )  # fmt: skip


class Table(ctypes.Structure):
    """rl_slots_table."""

    _fields_ = (
        ("n", ctypes.c_uint32), ("active", ctypes.c_uint32), ("at", ctypes.c_uint32 * 10),
        ("slot", Slot * 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A model that is deployed."""

    name: str
    blob: bytes
    store_at: int
    store_size: int
    active: bool


class _Pages(Memory):
    """Programs pages as flash does: bits only fall, and what is 1 leaves them."""

    def _write(self, nvm: int, at: int, data: int, n: int) -> int:
        if self._note("write", at, n):
            return E_NVM
        assert (at % 256, n) == (0, 256)
        old = bytes(self.data[at : at + n])
        new = ctypes.string_at(data, n)
        self.data[at : at + n] = bytes(a & b for a, b in zip(old, new, strict=True))
        return OK


def wanted(name: str, blob: bytes) -> Slot:
    """What an upload of the blob announces."""
    meta, data = struct.unpack_from("<II", blob, 16)
    return Slot(0, 0, len(blob), meta, data, name.encode())


class SlotFlash:
    """The region; states: what a cut in any operation so far would have left, if wanted."""

    def __init__(self, sectors: int = 16, image: bytes | None = None) -> None:
        self.image = ctypes.create_string_buffer(sectors * SECTOR)
        self.image.raw = image or b"\xff" * (sectors * SECTOR)
        self.states: list[bytes] | None = None
        self.memory = _Pages(0, FLASH)
        self.memory.data = self  # type: ignore[assignment]
        self.memory.nvm.size = sectors * SECTOR
        self.slots = Slots()
        self.slots.nvm = ctypes.addressof(self.memory.nvm)
        self.slots.image = ctypes.addressof(self.image)
        self.librelume = native.librelume()

    # What tests.powercut.session.Memory asks of its bytes.

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, part: slice) -> bytes:
        return self.image.raw[part]

    def __setitem__(self, part: slice, data: bytes) -> None:
        old = self.image.raw
        for torn in _torn(old[part], data):
            self._keep(old[: part.start] + torn + old[part.stop :])
        self.image.raw = old[: part.start] + data + old[part.stop :]
        self._keep(self.image.raw)

    def _keep(self, state: bytes) -> None:
        if self.states is not None:
            self.states.append(state)

    # Calls.

    def begin(self, name: str, blob: bytes) -> tuple[int, int]:
        """Status, and the offset to go on from."""
        return self.begin_as(wanted(name, blob))

    def begin_as(self, slot: Slot) -> tuple[int, int]:
        """The same, of whatever is announced."""
        at = ctypes.c_uint32()
        status = self.librelume.rl_slots_begin(
            ctypes.byref(self.slots), ctypes.byref(slot), ctypes.byref(at)
        )
        self.memory.check()
        return int(status), at.value

    def write(self, at: int, data: bytes) -> tuple[int, int]:
        """Status, and the next offset, NOWHERE if none is told."""
        after = ctypes.c_uint32(NOWHERE)
        status = self.librelume.rl_slots_write(
            ctypes.byref(self.slots), at, data, len(data), ctypes.byref(after)
        )
        self.memory.check()
        return int(status), after.value

    def upload(self, blob: bytes, at: int, end: int | None = None) -> int:
        """Writes bytes [at, end) in pieces: the first status that is none of RL_OK."""
        while at < len(blob[:end]):
            status, at = self.write(at, blob[at : min(at + 240, end or len(blob))])
            if status != OK:
                return status
        return OK

    def end(self, rooms: tuple[int, ...] = ROOMS) -> tuple[int, int]:
        """Status, and the fault's number. rooms: FRAM or file, flash, and FRAM on I2C."""
        fault = (ctypes.c_uint32 * 2)()
        room = (ctypes.c_uint32 * 3)(*rooms, *[rooms[0]] * (3 - len(rooms)))
        status = self.librelume.rl_slots_end(ctypes.byref(self.slots), room, fault)
        self.memory.check()
        return int(status), int(fault[1])

    def deploy(self, name: str, blob: bytes, rooms: tuple[int, ...] = ROOMS) -> int:
        """The status of what ended it."""
        status, at = self.begin(name, blob)
        if status != OK:
            return status
        assert self.upload(blob, at) == OK
        status, fault = self.end(rooms)
        assert fault == 0
        return status

    def remove(self, name: str) -> None:
        """Gives a model up."""
        rows = [slot for slot in self._listed() if slot.name.decode() == name]
        self.slots.at = NOWHERE
        for slot in rows:
            removed = self.librelume.rl_slots_remove(ctypes.byref(self.slots), ctypes.byref(slot))
            assert removed == OK

    def _table(self) -> Table:
        table = Table()
        self.librelume.rl_slots_list.restype = None
        self.librelume.rl_slots_list(ctypes.byref(self.slots), ctypes.byref(table))
        return table

    def _listed(self) -> list[Slot]:
        table = self._table()
        return [table.slot[i] for i in range(table.n)]

    def rows(self) -> list[Row]:
        """What is deployed, by place."""
        table, raw = self._table(), self.image.raw
        return [
            Row(
                slot.name.decode(), raw[at + DATA : at + DATA + slot.size],
                slot.store_at, slot.store_size, i == table.active,
            )
            for i, (slot, at) in enumerate(zip(table.slot, table.at, strict=True))
            if i < table.n
        ]  # fmt: skip


def _torn(old: bytes, new: bytes) -> Iterator[bytes]:
    """What a cut may leave: nothing done, a part done, bits in between."""
    yield old
    half = len(old) // 2
    for done in (1, 64, half, len(old) - 1):
        yield new[:done] + old[done:]
    noise = (zlib.crc32(bytes((n & 255,))) & 255 for n in range(len(old)))
    yield bytes(a ^ ((a ^ b) & c) for a, b, c in zip(old, new, noise, strict=True))


def overlaps(rows: list[Row]) -> bool:
    """Two stores of the same memory share a byte."""
    parts = sorted((row.blob[25] == FLASH, row.store_at, row.store_size) for row in rows)
    return any(
        a[0] == b[0] and a[1] + a[2] > b[1] for a, b in itertools.pairwise(parts)
    )
