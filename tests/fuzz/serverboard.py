"""The shipping parts in one process: the firmware's frame server, firmware/relume/link.py
under CPython, over the C decoder, encoder and model slots, on a flash that loses its power.

Tests put it behind the faulty line of tests/unit/fakelines.py.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib.util
import struct
import sys
from collections import deque
from types import ModuleType, SimpleNamespace
from typing import Any

import relume
from relume.link.frames import Decoder

from tests import native
from tests.early import ERASE, READ, Nvm
from tests.powercut.slotflash import Slot, Slots, Table
from tests.unit.fakelines import Bench, Faults
from tests.unit.test_frames import encode

SECTOR, PAGE = 4096, 256
REGION = 32 * SECTOR
PACKAGE = "relume_on_board"
E_NVM, E_STATE = -9, -14
PAYLOAD_AT_FILL = 264


class BoardError(OSError):
    """As module _relume raises it."""

    def __init__(self, code: int) -> None:
        text = native.librelume().rl_status_text
        text.restype = ctypes.c_char_p
        super().__init__(text(ctypes.c_int(code)).decode())
        self.code = code


def _tried(code: int) -> None:
    if code < 0:
        raise BoardError(code)


class Flash:
    """The blobs region: what a power cut leaves. `cuts`: operations between cuts inside one."""

    def __init__(self, cuts: list[int] | None = None) -> None:
        self.image = ctypes.create_string_buffer(b"\xff" * REGION, REGION)
        self.cuts = deque(cuts or [])
        self.left = self.cuts.popleft() if self.cuts else -1
        self.dead = False  # the power went in the middle of an operation
        self.deaths = 0

    def _part(self, wanted: int) -> int:
        """How many bytes of an operation take effect."""
        if self.dead:
            return 0
        self.left -= 1
        if self.left != 0:
            return wanted
        self.dead = True
        self.deaths += 1
        self.left = self.cuts.popleft() if self.cuts else -1
        return wanted * (1 + len(self.cuts) % 7) // 8

    def write(self, _nvm: Any, at: int, data: int, n: int) -> int:
        assert at % PAGE == 0 and n == PAGE and at + n <= REGION
        part = self._part(n)
        new = ctypes.string_at(data, part)
        old = self.image.raw[at : at + part]
        self.image[at : at + part] = bytes(a & b for a, b in zip(old, new, strict=True))  # type: ignore[assignment]
        return E_NVM if self.dead else 0

    def erase(self, _nvm: Any, at: int) -> int:
        assert at % SECTOR == 0 and at + SECTOR <= REGION
        part = self._part(SECTOR)
        self.image[at : at + part] = b"\xff" * part  # type: ignore[assignment]
        return E_NVM if self.dead else 0


def _unread(_nvm: Any, _at: int, _data: int, _n: int) -> int:
    raise AssertionError("the slots are read in place")


class Upload:
    """rl_slots over the region, with what module _relume makes of it (bind_slots.c)."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        self.nvm = Nvm(kind=2, size=REGION)
        self.nvm.read, self.nvm.write = READ(_unread), READ(flash.write)
        self.nvm.erase = ERASE(flash.erase)
        self.slots = Slots()
        self.slots.nvm = ctypes.addressof(self.nvm)
        self.slots.image = ctypes.addressof(flash.image)
        self.librelume = native.librelume()
        self.begun = False

    @property
    def next(self) -> int:
        """Offset in the blob that the upload goes on from."""
        return int(self.slots.next)

    def table(self) -> Table:
        table = Table()
        self.librelume.rl_slots_list(ctypes.byref(self.slots), ctypes.byref(table))
        return table

    def list(self) -> list[tuple[str, int, int, int, int, bool, int, int]]:
        table = self.table()
        return [
            (slot.name.decode(), slot.size, slot.meta_crc, slot.data_crc, slot.seq,
             i == table.active, slot.store_at, slot.store_size)
            for i, slot in enumerate(table.slot[: table.n])
        ]  # fmt: skip

    def blob(self, index: int | None) -> bytes | None:
        table = self.table()
        if table.n == 0:
            return None
        index = table.active if index is None else index
        at, slot = table.at[index], table.slot[index]
        return bytes(self.flash.image.raw[at + PAGE : at + PAGE + slot.size])

    def begin(self, size: int, meta_crc: int, data_crc: int, name: str) -> int:
        raw = name.encode()
        if not 0 < len(raw) < 32:
            raise ValueError("name needs 1 to 31 bytes")
        wanted = Slot(size=size, meta_crc=meta_crc, data_crc=data_crc, name=raw)
        following = ctypes.c_uint32()
        self.begun = True
        _tried(self.librelume.rl_slots_begin(
            ctypes.byref(self.slots), ctypes.byref(wanted), ctypes.byref(following)))  # fmt: skip
        return following.value

    def write(self, at: int, data: memoryview) -> int:
        if not self.begun:
            raise BoardError(E_STATE)
        following = ctypes.c_uint32()
        _tried(self.librelume.rl_slots_write(
            ctypes.byref(self.slots), ctypes.c_uint32(at), bytes(data), ctypes.c_uint32(len(data)),
            ctypes.byref(following)))  # fmt: skip
        return following.value

    def end(self) -> None:
        if not self.begun:
            raise BoardError(E_STATE)
        fault = (ctypes.c_uint32 * 2)()
        rooms = (ctypes.c_uint32 * 3)(1 << 18, 1 << 18, 1 << 15)
        _tried(self.librelume.rl_slots_end(ctypes.byref(self.slots), rooms, fault))


class CDecoder:
    """rl_frame_feed(), as _relume.Decoder.feed gives its frames."""

    def __init__(self) -> None:
        self.state = ctypes.create_string_buffer(PAYLOAD_AT_FILL + 16)
        self.librelume = native.librelume()
        self.librelume.rl_frame_reset(self.state)

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        frames = []
        for byte in data:
            if self.librelume.rl_frame_feed(self.state, byte) == 1:
                (fill,) = struct.unpack_from("<I", self.state, PAYLOAD_AT_FILL)
                payload = self.state.raw[: fill - 4]
                if payload[1] == 1:
                    frames.append((payload[0], payload[2] | payload[3] << 8, payload[4:]))
        return frames


@functools.cache
def link() -> ModuleType:
    """firmware/relume/link.py; its _relume is the module `_relume` below."""
    shims = {
        "_relume": SimpleNamespace(VERSION=relume.__version__),
        "micropython": SimpleNamespace(const=lambda value: value),
        f"{PACKAGE}.console": SimpleNamespace(Console=None),
    }
    folder = native.ROOT / "firmware" / "relume"
    sys.modules.update(shims)  # type: ignore[arg-type]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    try:
        spec.loader.exec_module(package)
        found = importlib.import_module(f"{PACKAGE}.link")
        importlib.import_module(f"{PACKAGE}.deploys")
        gc.freeze()  # the board collects often, and the test process's own objects are many
        return found
    finally:
        for name in shims:
            del sys.modules[name]


class _Console:
    """What the server sends."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.open = True

    def send(self, kind: int, seq: int, body: bytes) -> None:
        self.out += encode(kind, seq, body)


class ServerBoard:
    """The firmware between two power cuts, as fakelines.Bench wants a board."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        flash.dead = False
        self.upload = Upload(flash)
        self.decoder: Any = CDecoder()
        self.console = _Console()
        self.mode, self.last = "serving", None
        self.module = link()
        self._be_the_module()
        self.server = self.module.Server(self.console)
        self.server.resume()

    @property
    def out(self) -> bytearray:
        return self.console.out

    def _be_the_module(self) -> None:
        """What link.py asks of _relume, from now on this board's."""
        module, upload = self.module._relume, self.upload
        module.BoardError, module.RAN, module.ERASED, module.DONE = BoardError, 4, 3, 2
        module.BLOB_MAJOR, module.BLOB_MINOR = 1, 0
        module.slots, module.slot_blob = upload.list, upload.blob
        module.slot_begin, module.slot_write = upload.begin, upload.write
        module.slot_end, module.Session = upload.end, None
        module.board = lambda: "BENCH"
        module.regions = lambda: {"blobs": (0, REGION)}
        module.millivolts = module.micros = lambda: 0
        sys.modules[f"{PACKAGE}.queue"].open_nvm = _no_nvm  # type: ignore[attr-defined]

    def feed(self, data: bytes) -> None:
        if isinstance(self.decoder, Decoder):  # the line began a stream: a server begins anew
            self.decoder = CDecoder()
            self.server = self.module.Server(self.console)
        for frame in self.decoder.feed(data):
            if not self.flash.dead:
                self.server.answer(*frame)
            if self.flash.dead:
                self.out.clear()

    def idle(self, seconds: float) -> None:
        """Nothing runs."""


def _no_nvm(kind: int) -> None:
    raise OSError("no NVM answers")


class FlashBench(Bench):
    """A line whose board also dies in the middle of flash operations."""

    def __init__(self, flash: Flash, faults: Faults) -> None:
        super().__init__(flash, faults, ServerBoard)  # type: ignore[arg-type]
        self.flash = flash

    def power(self) -> None:
        if self.board is not None and self.flash.dead:
            self.cut()
        super().power()
