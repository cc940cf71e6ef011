"""The C engine on the host: the library through ctypes, and the program that runs blobs."""

from __future__ import annotations

import ctypes
import functools
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native_modules" / "relume"
BUILD = ROOT / "build" / "host"
NOISE = 0x5A

STATUS = {
    0: "RL_OK", -1: "RL_E_TRUNCATED", -2: "RL_E_MAGIC", -3: "RL_E_VERSION", -4: "RL_E_CRC",
    -5: "RL_E_BOUNDS", -6: "RL_E_SHAPE", -7: "RL_E_PLAN", -8: "RL_E_KIND", -18: "RL_E_ARG",
}  # fmt: skip


@functools.cache
def build() -> Path:
    """Brings build/host up to date; skips when there is no compiler."""
    try:
        done = subprocess.run(
            ["make", "-s", "-C", str(NATIVE)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("make is not installed")
    assert done.returncode == 0, done.stderr
    return BUILD


@functools.cache
def librelume() -> ctypes.CDLL:
    """librelume.so."""
    return ctypes.CDLL(str(build() / "librelume.so"))


class _Blob(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("base", "header", "tensors", "ops", "tiles", "segments")
    )


class _Fault(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint32), ("number", ctypes.c_uint32))


@dataclass(frozen=True)
class Fault:
    """Where and why a blob was refused."""

    offset: int
    what: str


@dataclass(frozen=True)
class Header:
    """The header's numbers that a test needs."""

    meta_size: int
    arena_size: int
    scratch_size: int
    n_tensors: int
    n_ops: int
    n_tiles: int
    off_tensors: int
    off_ops: int
    off_tiles: int
    input: int
    output: int

    @classmethod
    def of(cls, blob: bytes) -> Header:
        (meta,) = struct.unpack_from("<I", blob, 12)
        arena, scratch, _, tensors, ops, tiles, _, *offsets = struct.unpack_from(
            "<IIIHHIIIII", blob, 28
        )
        ends = struct.unpack_from("<HH", blob, 76)
        return cls(meta, arena, scratch, tensors, ops, tiles, *offsets[:3], *ends)

    def tensor(self, blob: bytes, number: int) -> tuple[int, int]:
        """(offset in the arena, size) of a tensor."""
        offset, _, size = struct.unpack_from("<III", blob, self.off_tensors + 32 * number)
        return offset, size

    def op(self, blob: bytes, number: int) -> tuple[int, int, int]:
        """(output tensor, units, unit_bytes) of an op."""
        at = self.off_ops + 124 * number
        (out,) = struct.unpack_from("<H", blob, at + 8)
        units, unit_bytes = struct.unpack_from("<II", blob, at + 12)
        return out, units, unit_bytes

    def inputs(self, blob: bytes, number: int) -> tuple[int, ...]:
        """Tensors that an op reads."""
        pair = struct.unpack_from("<HH", blob, self.off_ops + 124 * number + 4)
        return tuple(tensor for tensor in pair if tensor != 0xFFFF)

    def tile(self, blob: bytes, number: int) -> tuple[int, int, int]:
        """(op, first, count) of a tile."""
        op, _, first, count = struct.unpack_from("<HHII", blob, self.off_tiles + 12 * number)
        return op, first, count

    def entry(self, blob: bytes, number: int) -> ctypes.Array[ctypes.c_uint32]:
        """A tile as it lies in the blob."""
        return (ctypes.c_uint32 * 3).from_buffer_copy(blob, self.off_tiles + 12 * number)

    def scratch(self, blob: bytes, number: int) -> int:
        """Where a tile's scratch memory lies in the arena."""
        (grains,) = struct.unpack_from("<H", blob, self.off_tiles + 12 * number + 2)
        return 16 * grains


class Checked:
    """A blob that the C checker has accepted, ready to run."""

    def __init__(self, blob: bytes, memory: ctypes.Array[ctypes.c_char], view: _Blob) -> None:
        self.blob = blob
        self.header = Header.of(blob)
        self._memory = memory
        self._view = view

    def run(
        self, data: bytes, *, watch: bool = False, spoil: bool = False, noise: int = NOISE,
        repeat: int = 1,
    ) -> dict[int, bytes]:  # fmt: skip
        """Runs all tiles; tensor -> its bytes, each taken when its tile was done.

        data: the input tensor's bytes. watch: after each tile, fail unless it changed nothing
        but its own output bytes and its scratch memory. spoil: during each tile, the input bytes
        outside rl_engine_need() to rl_engine_reach() are noise. repeat: runs of each tile. The
        arena is full of noise at first.
        """
        header = self.header
        size = header.arena_size + header.scratch_size
        arena = (ctypes.c_uint8 * (size + 16))(*([noise] * (size + 16)))
        offset, length = header.tensor(self.blob, header.input)
        assert len(data) == length
        ctypes.memmove(ctypes.addressof(arena) + offset, data, length)
        outputs = {header.input: bytearray(data)}
        for tile in range(header.n_tiles):
            op, first, count = header.tile(self.blob, tile)
            out, units, unit_bytes = header.op(self.blob, op)
            start, length = header.tensor(self.blob, out)
            before = bytes(arena) if watch else b""
            idle = self._idle(op, first, count) if spoil else []
            kept = [bytes(arena[part]) for part in idle]
            for part in idle:
                arena[part] = [noise ^ 0xFF] * (part.stop - part.start)
            for _ in range(repeat):
                librelume().rl_engine_tile(ctypes.byref(self._view), arena, ctypes.c_uint32(tile))
            for part, data_kept in zip(idle, kept, strict=True):
                arena[part] = list(data_kept)
            own = slice(start + first * unit_bytes, start + (first + count) * unit_bytes)
            if watch:
                self._watch(before, bytes(arena), own, tile)
            outputs.setdefault(out, bytearray(units * unit_bytes))
            outputs[out][own.start - start : own.stop - start] = bytes(arena[own])
        return {tensor: bytes(data) for tensor, data in outputs.items()}

    def arenas(self, data: bytes, noise: int = NOISE) -> Iterator[bytes]:
        """The arena at every tile boundary of a run over `data`; full of noise at first."""
        header = self.header
        size = header.arena_size + header.scratch_size
        arena = (ctypes.c_uint8 * size)(*([noise] * size))
        offset, length = header.tensor(self.blob, header.input)
        assert len(data) == length
        ctypes.memmove(ctypes.addressof(arena) + offset, data, length)
        yield bytes(arena)
        for tile in range(header.n_tiles):
            librelume().rl_engine_tile(ctypes.byref(self._view), arena, ctypes.c_uint32(tile))
            yield bytes(arena)

    def run_staged(self, data: bytes, stage: object, before: Callable[[int], None]) -> bytes:
        """Runs all tiles by rl_stage_tile(); the arena when done. before(tile): called first."""
        header = self.header
        size = header.arena_size + header.scratch_size
        arena = (ctypes.c_uint8 * size)(*([NOISE] * size))
        offset, length = header.tensor(self.blob, header.input)
        ctypes.memmove(ctypes.addressof(arena) + offset, data, length)
        for tile in range(header.n_tiles):
            before(tile)
            librelume().rl_stage_tile(
                stage, ctypes.byref(self._view), arena, header.entry(self.blob, tile)
            )
        offset, length = header.tensor(self.blob, header.output)
        return bytes(arena)[offset : offset + length]

    def _watch(self, before: bytes, after: bytes, own: slice, tile: int) -> None:
        """Nothing changes but the tile's scratch memory and its own bytes."""
        op, _, _ = self.header.tile(self.blob, tile)
        scratch = self.header.scratch(self.blob, tile)
        allowed = sorted([(own.start, own.stop), (scratch, scratch + self.scratch(op))])
        at = 0
        for start, stop in [*allowed, (len(before), len(before))]:
            part = slice(at, max(at, start))
            assert before[part] == after[part], f"tile {tile} wrote outside its own bytes"
            at = max(at, stop)

    def _idle(self, op: int, unit: int, count: int) -> list[slice]:
        """Parts of the inputs that the tile does not read."""
        read: dict[int, tuple[int, int]] = {}
        for which, tensor in enumerate(self.header.inputs(self.blob, op)):
            span = self.need(op, which, unit), self.reach(op, which, unit + count - 1)
            before = read.get(tensor, span)
            read[tensor] = min(span[0], before[0]), max(span[1], before[1])
        parts = []
        for tensor, (low, high) in read.items():
            offset, size = self.header.tensor(self.blob, tensor)
            parts += [slice(offset, offset + low), slice(offset + max(low, high), offset + size)]
        return parts

    def _ask(self, name: str, op: int, *numbers: int) -> int:
        """A function of the engine that tells something about an op."""
        assert self._view.ops is not None
        function = librelume()[name]
        function.restype = ctypes.c_uint32
        at = ctypes.c_void_p(self._view.ops + 124 * op)
        arguments = [ctypes.c_uint32(number) for number in numbers]
        return int(function(ctypes.byref(self._view), at, *arguments))

    def need(self, op: int, which: int, unit: int) -> int:
        """rl_engine_need() of an op."""
        return self._ask("rl_engine_need", op, which, unit)

    def reach(self, op: int, which: int, unit: int) -> int:
        """rl_engine_reach() of an op."""
        return self._ask("rl_engine_reach", op, which, unit)

    def scratch(self, op: int) -> int:
        """rl_engine_scratch() of an op."""
        return self._ask("rl_engine_scratch", op)


def fault_text(number: int) -> str:
    """rl_blob_fault_text()."""
    text = librelume().rl_blob_fault_text
    text.restype = ctypes.c_char_p
    return bytes(text(ctypes.c_uint32(number))).decode()


def check(blob: bytes, *, with_data: bool = True) -> tuple[str, Fault, Checked | None]:
    """rl_blob_check(): (status name, fault, the blob if it was accepted)."""
    memory = ctypes.create_string_buffer(blob, len(blob) + 8)
    assert ctypes.addressof(memory) % 4 == 0
    view, fault = _Blob(), _Fault()
    status = librelume().rl_blob_check(
        memory, ctypes.c_size_t(len(blob)), int(with_data), ctypes.byref(view), ctypes.byref(fault)
    )
    name = STATUS[status]
    what = fault_text(fault.number)
    return name, Fault(fault.offset, what), Checked(blob, memory, view) if status == 0 else None


def accepted(blob: bytes) -> Checked:
    """The checked blob; fails with the fault if it is refused."""
    status, fault, checked = check(blob)
    assert checked is not None, f"{status} at {fault.offset}: {fault.what}"
    return checked


@dataclass(frozen=True)
class Outcome:
    """What run_blob said of one case."""

    status: str
    offset: int
    data: bytes


def runners(*, sanitized: bool = True) -> list[Path]:
    """The programs that are there: with sanitizers, and 32-bit if the compiler can."""
    names = ["run_blob_asan" if sanitized else "run_blob", "run_blob32"]
    return [path for path in (build() / name for name in names) if path.is_file()]


def run_program(
    program: Path, cases: Iterable[tuple[bytes, bytes]], *, staged: bool = False
) -> list[Outcome]:
    """Runs (blob, input) cases in one process; a sanitizer's report fails the test.

    staged: the outputs are those of the run with constants copied to SRAM."""
    feed = b"".join(
        struct.pack("<II", len(blob), len(data)) + blob + data for blob, data in cases
    )
    command = [str(program), *["staged"] * staged]
    done = subprocess.run(command, input=feed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return list(outcomes(done.stdout))


def outcomes(output: bytes) -> Iterator[Outcome]:
    """Reads what run_blob gives out."""
    at = 0
    while at < len(output):
        status, offset, size = struct.unpack_from("<iII", output, at)
        at += 12
        yield Outcome(STATUS[status], offset, output[at : at + size])
        at += size


def finished(checked: Checked, tensors: dict[int, bytes]) -> bytes:
    """What the tiles write, tile by tile, as run_blob prints it."""
    parts = []
    for tile in range(checked.header.n_tiles):
        op, first, count = checked.header.tile(checked.blob, tile)
        out, _, unit_bytes = checked.header.op(checked.blob, op)
        parts.append(tensors[out][first * unit_bytes : (first + count) * unit_bytes])
    return b"".join(parts)
