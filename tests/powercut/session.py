"""The C session over an NVM in Python: every read, write and erase is seen here."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from tests import native

RL_OK, RL_MORE, RL_DONE, RL_ERASED = 0, 1, 2, 3
RL_E_NVM, RL_E_NVM_SIZE, RL_E_NVM_KIND, RL_E_DAMAGED = -9, -10, -11, -12
RL_E_STUCK, RL_E_STATE, RL_E_SIZE, RL_E_MODEL = -13, -14, -15, -16
RL_E_FULL, RL_E_ARG = -17, -18
FRAM, FLASH, FILE = 1, 2, 3
QUANTILES = 176  # bytes into a store of FRAM or file: what tiles take (SPEC 4.2)
EMPTY, RUNNING, DONE, IDLE, STUCK = range(5)

_READ = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32
)
_ERASE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)
_ASK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_CYCLES = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)
_REST = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)
_READING = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)


def _struct(name: str, *fields: tuple[str, Any]) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _words(*names: str) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_uint32) for name in names]


Nvm = _struct(
    "Nvm", ("kind", ctypes.c_uint8), ("size", ctypes.c_uint32), ("ctx", ctypes.c_void_p),
    ("read", _READ), ("write", _READ), ("erase", _ERASE),
    ("start", _READ), ("busy", _ASK), ("finish", _ASK),
)  # fmt: skip
Record = _struct(
    "Record", *_words("magic", "seq", "model", "inference"),
    ("tile", ctypes.c_uint16), ("part", ctypes.c_uint16),
    ("state", ctypes.c_uint8), ("nvm_kind", ctypes.c_uint8),
    ("flags", ctypes.c_uint8), ("priority", ctypes.c_uint8),
    *_words("live_crc", "live_bytes"), ("cycles", ctypes.c_uint64),
    *_words("commits", "nvm_bytes"), ("brownouts", ctypes.c_uint16), ("drain", ctypes.c_uint16),
    *_words("home", "due", "crc"),
)  # fmt: skip
Store = _struct(
    "Store", ("nvm", ctypes.c_void_p), *_words("base", "size"), ("newest", Record),
    *_words("attempts", "erasing", "at", "first", "pending", "fill", "live", "carried", "started",
            "written", "streamed", "wear"),
    ("first_erasing", ctypes.c_uint8), ("committing", ctypes.c_uint8), ("broken", ctypes.c_uint8),
    ("page", ctypes.c_uint8 * 256), ("crc", ctypes.c_void_p), ("fence", ctypes.c_uint8 * 64),
)  # fmt: skip
_Session = _struct(
    "_Session", ("blob", ctypes.c_void_p), ("store", ctypes.c_void_p),
    ("arena", ctypes.c_void_p), ("work", ctypes.c_void_p), *_words("tile", "units"),
    ("fetch_begin", ctypes.c_void_p), ("fetch_end", ctypes.c_void_p),
    *_words("staged", "staged_pad", "part", "halved", "kept"),
    ("state", ctypes.c_uint8), ("loaded", ctypes.c_uint8), ("stuck", ctypes.c_uint8),
    ("same_boot", ctypes.c_uint8),
    ("cycles", _CYCLES), ("rest", _REST), ("ctx", ctypes.c_void_p),
    ("millivolts", _READING),
    *_words("drain", "pace_live", "dirty", "ranges", "next_live", "next_dirty", "next_ranges",
            "left", "spent", "rest_cycles", "rest_ms", "rested", "begun"),
    ("on", ctypes.c_uint8), ("hope", ctypes.c_uint8), ("vain", ctypes.c_uint8),
    ("share", ctypes.c_uint8),
    ("quantiles_crc", ctypes.c_uint32), ("shares", ctypes.c_uint8 * 76),
    ("shares_changed", ctypes.c_uint8), ("shares_pad", ctypes.c_uint8 * 3),
    *_words("behind", "behind_from", "behind_to"),
    ("since", ctypes.c_uint64), ("carry", ctypes.c_uint64), ("times", ctypes.c_void_p),
    *_words("due"), ("dated", ctypes.c_uint8), ("priority", ctypes.c_uint8),
    ("rank_pad", ctypes.c_uint16), ("yields", ctypes.c_uint8 * 8),
    ("fence", ctypes.c_uint8 * 64),
)  # fmt: skip


class Memory:
    """An NVM in a bytearray. log: (what, address, bytes) of everything that was done to it."""

    def __init__(self, size: int, kind: int = FRAM, fill: int = 0xFF) -> None:
        self.data = bytearray([fill]) * size
        self.kind = kind
        self.log: list[tuple[str, int, int]] = []
        self.spoil: Callable[[str, int, int], bool] = lambda what, at, n: False
        self.fault: Exception | None = None  # what a call from C raised; ctypes drops it
        self._functions = (
            _READ(self._guard(self._read)),
            _READ(self._guard(self._write)),
            _ERASE(self._guard(self._erase)),
        )
        self.nvm = Nvm(kind, size, None, *self._functions)

    def _guard(self, call: Callable[..., int]) -> Callable[..., int]:
        def guarded(*arguments: Any) -> int:
            try:
                return call(*arguments)
            except Exception as error:
                self.fault = error
                return RL_E_NVM

        return guarded

    def check(self) -> None:
        """Raises what went wrong inside a call from C."""
        if self.fault is not None:
            raise self.fault

    def writes(self) -> list[tuple[int, int]]:
        """(address, bytes) of the writes since the last call."""
        found = [(at, n) for what, at, n in self.log if what == "write"]
        self.log.clear()
        return found

    def _note(self, what: str, at: int, n: int) -> bool:
        assert 0 <= at <= len(self.data) - n, f"{what} outside the NVM"
        self.log.append((what, at, n))
        return self.spoil(what, at, n)

    def _read(self, nvm: int, at: int, data: int, n: int) -> int:
        if self._note("read", at, n):
            return RL_E_NVM
        ctypes.memmove(data, bytes(self.data[at : at + n]), n)
        return RL_OK

    def _write(self, nvm: int, at: int, data: int, n: int) -> int:
        if self._note("write", at, n):
            return RL_E_NVM
        image = ctypes.string_at(data, n)
        if self.kind == FLASH:
            assert (at % 256, n) == (0, 256)
            old = self.data[at : at + n]
            assert all(new & ~was == 0 for new, was in zip(image, old, strict=True))
        self.data[at : at + n] = image
        return RL_OK

    def _erase(self, nvm: int, at: int) -> int:
        if self._note("erase", at, 4096):
            return RL_E_NVM
        assert self.kind == FLASH and at % 4096 == 0
        self.data[at : at + 4096] = b"\xff" * 4096
        return RL_OK


class Board:
    """One life: a store and a session whose RAM starts as noise."""

    def __init__(self, memory: Memory, blob: bytes, base: int = 0, size: int = -1) -> None:
        self.librelume = native.librelume()
        self.memory = memory
        self.checked = native.accepted(blob)
        self.store, self.session = Store(), _Session()
        ctypes.memset(ctypes.byref(self.store), 0x5A, ctypes.sizeof(self.store))
        ctypes.memset(ctypes.byref(self.session), 0x5A, ctypes.sizeof(self.session))
        self.session.times = None
        self.base = base
        self.size = len(memory.data) - base if size < 0 else size
        self._attach()

    def _attach(self) -> None:
        header = self.checked.header
        view = ctypes.byref(self.checked._view)
        self.librelume.rl_session_work.restype = ctypes.c_uint32
        n_work = int(self.librelume.rl_session_work(view))
        n_arena = header.arena_size + header.scratch_size
        self.arena = (ctypes.c_uint8 * (n_arena + 16))(*[0x5A] * (n_arena + 16))
        self.work = (ctypes.c_uint8 * (n_work + 16))(*[0x5A] * (n_work + 16))
        session = self.session
        session.blob = ctypes.addressof(self.checked._view)
        session.store = ctypes.addressof(self.store)
        session.arena = ctypes.addressof(self.arena)
        session.work = ctypes.addressof(self.work)
        session.cycles = _CYCLES()
        session.rest, session.millivolts = _REST(), _READING()
        session.times = session.fetch_begin = session.fetch_end = None
        session.same_boot = 0
        session.due = session.dated = session.priority = 0
        session.yields[0] = 0

    def mount(self) -> int:
        """rl_store_open()."""
        nvm = ctypes.byref(self.memory.nvm)
        status = int(
            self.librelume.rl_store_open(
                ctypes.byref(self.store), nvm, ctypes.c_uint32(self.base),
                ctypes.c_uint32(self.size),
            )
        )  # fmt: skip
        self.memory.check()
        return status

    def open(self) -> int:
        """rl_store_open() and rl_session_open()."""
        status = self.mount()
        return status if status != RL_OK else self.call("open")

    def call(self, name: str, *arguments: Any) -> int:
        """rl_session_<name>(); fails when it wrote behind its memory."""
        function = getattr(self.librelume, f"rl_session_{name}")
        status = int(function(ctypes.byref(self.session), *arguments))
        self.memory.check()
        for fence in (self.store.fence, self.session.fence):
            assert bytes(fence)[8:] == b"\x5a" * 56  # padding may come before
        assert bytes(self.arena)[-16:] == bytes(self.work)[-16:] == b"\x5a" * 16
        return status

    def begin(self, number: int, data: bytes) -> int:
        """rl_session_begin(), again while sectors are erased."""
        status = RL_ERASED
        while status == RL_ERASED:
            status = self.call("begin", ctypes.c_uint32(number), data, ctypes.c_uint32(len(data)))
        return status

    def step(self) -> int:
        """rl_session_step(), again while sectors are erased."""
        status = RL_ERASED
        while status == RL_ERASED:
            status = self.call("step")
        return status

    def take(self, number: int) -> int:
        """rl_session_take(), again while sectors are erased."""
        status = RL_ERASED
        while status == RL_ERASED:
            status = self.call("take", ctypes.c_uint32(number))
        return status

    def clear(self) -> int:
        """rl_session_clear(), again while sectors are erased."""
        status = RL_ERASED
        while status == RL_ERASED:
            status = self.call("clear")
        return status

    def output(self) -> bytes:
        """The output's bytes."""
        data, size = ctypes.c_void_p(), ctypes.c_uint32()
        assert self.call("output", ctypes.byref(data), ctypes.byref(size)) == RL_OK
        return ctypes.string_at(data.value or 0, size.value)

    @property
    def record(self) -> Any:
        """The newest record."""
        return self.store.newest
