"""A board under unicorn that runs the shipped Thumb code on an NVM that survives.

The NVM is mapped memory, and one store of the driver changes one byte of it. A watched board
counts the instructions at which power could be lost, and every change of the NVM, by hooks in C
(watch.c); a plain one runs what follows a cut, many times as fast.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from relume.bench.machine import CODE, CODE_SIZE, SRAM, STOP, XIP
from relume.blob.reader import read_blob

from tests.powercut.thumb.elf import Program, hooks, program

NVM, NVM_MOST = 0x3000_0000, 0x0002_0000
HOST, HOST_SIZE = 0x3100_0000, 0x0002_0000
RECEIVED, NOTES = 0x8000, 0x1_0000  # in the host's memory
ARENA, STACK, ROOM = 0x1000, 0x2000, 1 << 18
INFERENCE = 100
ENDED, PROGRAM, ERASE, DELIVERED = range(4)
FRAM, FLASH = 1, 2
KINDS = {"fram": FRAM, "dma": FRAM, "flash": FLASH}
_MAIL = ("image", "image_size", "nvm", "nvm_size", "kind", "background", "input", "id", "arena",
         "work", "received", "notes", "delivered", "stuck", "seq", "attempts")  # fmt: skip
_HOOK_CODE, _HOOK_WRITE = 4, 2048
NEVER = 2**64 - 1
Changes = npt.NDArray[np.uint32]


class _Watch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("boundaries", "all", "pairs", "stop")),
        *((name, ctypes.c_void_p)
          for name in ("halt", "shipped", "stamp", "mirror", "changes", "notes")),
        *((name, ctypes.c_uint32)
          for name in ("code", "code_size", "nvm", "room", "n_changes", "pad")),
    )  # fmt: skip


@dataclass(frozen=True)
class Life:
    """One life. status: 0, or the error that ended it. notes: each program and erase of flash,
    at << 2 | kind, and the end of it; and when the host had the output (PROGRAM to DELIVERED).
    seq, attempts: of the newest record at turn-on, this boot counted.

    Of a watched life also: boundaries, before instructions of shipped code; steps, before any;
    pairs, distinct (image, address) of these boundaries; changes [n][3]: offset, byte, notes
    before. Cut, a life has the status None.
    """

    status: int | None
    delivered: bool
    stuck: bool
    seq: int
    attempts: int
    output: bytes
    nvm: bytes
    notes: tuple[int, ...]
    boundaries: int = 0
    steps: int = 0
    pairs: int = 0
    changes: Changes | None = None


@dataclass(frozen=True)
class Subject:
    """What a board runs: an ELF, a blob, its input, and the kind and size of the NVM.

    background: the FRAM can be written while tiles compute."""

    elf: Path
    blob: bytes
    data: bytes
    kind: int
    nvm_size: int
    background: bool = False


class Board:
    """Lives one after another, each on a given NVM and with noise in all other memory."""

    def __init__(self, of: Subject, watched: bool = False) -> None:
        uc, arm = pytest.importorskip("unicorn"), pytest.importorskip("unicorn.arm_const")
        assert of.nvm_size <= NVM_MOST and len(of.data) <= RECEIVED
        self.of, self._arm = of, arm
        self.uc = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M0)
        blob = read_blob(of.blob)
        work = ARENA + -(-(blob.arena_size + blob.scratch_size) // 64) * 64
        self._output = blob.tensors[blob.output].size
        self.nvm = self._map(NVM, NVM_MOST)
        self.host = self._map(HOST, HOST_SIZE)
        self.ram = self._map(SRAM, -(-(work + 0x1000 + STACK) // 4096) * 4096)
        self.uc.mem_map(CODE, CODE_SIZE)
        self.uc.mem_map(XIP, -(-len(of.blob) // 4096) * 4096)
        self.uc.mem_write(XIP, of.blob)
        self.program = program(of.elf)
        for at, data in self.program.segments:
            self.uc.mem_write(at, data)
        ctypes.memmove(self.host, of.data, len(of.data))
        self._mail = np.array([
            XIP, len(of.blob), NVM, of.nvm_size, of.kind, of.background, HOST, INFERENCE,
            SRAM + ARENA, SRAM + work, HOST + RECEIVED, HOST + NOTES, 0, 0, 0, 0,
        ], "<u4")  # fmt: skip
        self._lives = 0
        self._watch = self._hook() if watched else None

    def _map(self, at: int, size: int) -> ctypes.Array[ctypes.c_uint8]:
        memory = (ctypes.c_uint8 * size)()
        self.uc.mem_map_ptr(at, size, 3, ctypes.addressof(memory))
        return memory

    def live(self, nvm: bytes, stop: int = NEVER, inference: int = INFERENCE) -> Life:
        """One life on the NVM's content; a watched board loses power before step `stop`."""
        self._lives += 1
        ctypes.memset(self.ram, 0xA5 ^ self._lives * 29 & 0xFF, len(self.ram))
        ctypes.memset(ctypes.addressof(self.host) + RECEIVED, 0, HOST_SIZE - RECEIVED)
        self._mail[_MAIL.index("id")] = inference
        ctypes.memmove(self.ram, self._mail.ctypes.data, self._mail.nbytes)
        ctypes.memmove(self.nvm, nvm, len(nvm))
        if self._watch is not None:
            self._begin(self._watch, nvm, stop)
        write = self.uc.reg_write
        write(self._arm.UC_ARM_REG_SP, SRAM + len(self.ram) - 16)
        write(self._arm.UC_ARM_REG_LR, STOP | 1)
        write(self._arm.UC_ARM_REG_R0, SRAM)
        self.uc.emu_start(self.program.entry | 1, STOP, count=0)
        whole = self.uc.reg_read(self._arm.UC_ARM_REG_PC) == STOP
        return self._found(self.uc.reg_read(self._arm.UC_ARM_REG_R0) if whole else None)

    def _found(self, status: int | None) -> Life:
        mail = dict(zip(_MAIL, np.frombuffer(self.ram, "<u4", len(_MAIL)).tolist(), strict=True))
        notes = np.frombuffer(self.host, "<u4", (HOST_SIZE - NOTES) // 4, NOTES)
        counts: tuple[int, int, int, Changes | None] = (0, 0, 0, None)
        if self._watch is not None:
            w = self._watch
            assert w.n_changes < ROOM, "more changes than there is room for"
            changes = self._arrays["changes"][: w.n_changes].copy()
            counts = (w.boundaries, w.all, w.pairs, changes)
        return Life(
            status if status is None or status < 1 << 31 else status - (1 << 32),
            bool(mail["delivered"]), bool(mail["stuck"]), mail["seq"], mail["attempts"],
            bytes(self.host[RECEIVED : RECEIVED + self._output]),
            bytes(self.nvm[: self.of.nvm_size]),
            tuple(notes[1 : 1 + int(notes[0])].tolist()), *counts,
        )  # fmt: skip

    # ----------------------------------------------------------------- watching

    def _hook(self) -> _Watch:
        from unicorn.unicorn_py3.unicorn import uclib

        self._arrays = {
            "shipped": shipped_places(self.program), "stamp": np.zeros(CODE_SIZE // 2, np.uint32),
            "mirror": np.zeros(NVM_MOST, np.uint8), "changes": np.zeros((ROOM, 3), np.uint32),
        }  # fmt: skip
        watch = _Watch(
            0, 0, 0, 0, ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value,
            *(array.ctypes.data for array in self._arrays.values()),
            ctypes.addressof(self.host) + NOTES, CODE, CODE_SIZE, NVM, ROOM, 0, 0,
        )  # fmt: skip
        for name, kind, at, size in (
            ("watch_code", _HOOK_CODE, CODE, CODE_SIZE),
            ("watch_write", _HOOK_WRITE, NVM, self.of.nvm_size),
        ):
            handle = ctypes.c_size_t()
            failed = uclib.uc_hook_add(
                self.uc._uch, ctypes.byref(handle), kind,
                ctypes.cast(getattr(hooks(), name), ctypes.c_void_p),
                ctypes.cast(ctypes.pointer(watch), ctypes.c_void_p),
                ctypes.c_uint64(at), ctypes.c_uint64(at + size - 1),
            )  # fmt: skip
            assert failed == 0, f"unicorn refuses {name}: {failed}"
        return watch

    def _begin(self, watch: _Watch, nvm: bytes, stop: int) -> None:
        watch.boundaries = watch.all = watch.pairs = watch.n_changes = 0
        watch.stop = stop
        self._arrays["stamp"][:] = 0
        self._arrays["mirror"][: len(nvm)] = np.frombuffer(nvm, np.uint8)


def shipped_places(of: Program) -> npt.NDArray[np.uint8]:
    """[half-words of code] 1 where shipped code lies."""
    places = np.zeros(CODE_SIZE // 2, np.uint8)
    places[: (of.end - CODE) // 2] = 1
    for at, size in of.glue:
        places[(at - CODE) // 2 : (at - CODE + size + 1) // 2] = 0
    return places
