"""Bytes of a .rlm blob -> Blob, checked on the host before it is sent anywhere.

Checks magic, version, sizes, both CRCs, and that every number in the tables names something that
exists. The board proves the rest (native_modules/relume/blob.c) before a kernel sees it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from construct import ConstructError  # type: ignore[import-untyped]

from relume.blob import format as fmt
from relume.blob.moves import concatenation_fault, gather_fault
from relume.blob.op_checks import op_fault
from relume.errors import BlobError
from relume.model.graph import HostType, Kind, Shape
from relume.plan.types import Tile


@dataclass(frozen=True)
class BlobTensor:
    """A tensor: shape (h, w, c), offsets and size in bytes."""

    name: str
    shape: Shape
    size: int
    scale: float
    zero_point: int
    arena_off: int
    nvm_off: int


@dataclass(frozen=True)
class BlobOp:
    """An op: numbers of its tensors, units of its output; in1 None = none.

    stage_off, stage_size: block of SRAM for its constants, size 0 = none; chunk: bytes in front of
    it for weights in parts, 0 = none (SPEC 2.8).
    """

    name: str
    kind: Kind
    in0: int
    in1: int | None
    out: int
    units: int
    unit_bytes: int
    stage_off: int
    stage_size: int
    chunk: int


@dataclass(frozen=True)
class BlobSegment:
    """A segment: exclusive end tile, cycles, microjoule (restore + tiles + commit), bytes."""

    end_tile: int
    worst_cycles: int
    typical_cycles: int
    worst_uj: int
    commit_bytes: int


@dataclass(frozen=True)
class Blob:
    """A checked blob. meta_crc names the model; image is the whole file.

    test_crc: CRC-32 of the output for a known input (relume.model.selftest), 0 = not known.
    input_type, output_type: what the model's file has there; the tensors are int8.
    """

    image: bytes
    name: str
    board: str
    nvm: str
    meta_crc: int
    data_crc: int
    meta_size: int
    arena_size: int
    scratch_size: int
    nvm_size: int
    cap_f: float
    von_v: float
    voff_v: float
    charge_uj: int
    boot_uj: int
    worst_uj: int
    input: int
    output: int
    tensors: tuple[BlobTensor, ...]
    ops: tuple[BlobOp, ...]
    tiles: tuple[Tile, ...]
    segments: tuple[BlobSegment, ...]
    input_type: HostType
    output_type: HostType
    core: int
    test_crc: int

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.image)

    @property
    def input_tensor(self) -> BlobTensor:
        """The tensor that the host gives."""
        return self.tensors[self.input]

    @property
    def output_tensor(self) -> BlobTensor:
        """The tensor that the host takes."""
        return self.tensors[self.output]

    def layer_of(self, tile: int) -> str:
        """Name of the layer that a tile belongs to; "end" behind the last tile."""
        return self.ops[self.tiles[tile].op].name if tile < len(self.tiles) else "end"


def read_blob(source: Path | bytes) -> Blob:
    """Reads a .rlm file, or its bytes. Raises BlobError naming file and offset."""
    file = str(source) if isinstance(source, Path) else "blob"
    if isinstance(source, Path):
        try:
            image = source.read_bytes()
        except OSError as error:
            raise BlobError(f"{file}: {error.strerror or error}") from error
    else:
        image = source
    reader = _Reader(file, image)
    try:
        return reader.read()
    except (ConstructError, IndexError, ValueError, UnicodeDecodeError) as error:
        raise BlobError(f"{file}: damaged tables ({error})") from error


class _Reader:
    def __init__(self, file: str, image: bytes) -> None:
        self.file = file
        self.image = image

    def fail(self, offset: int, text: str) -> BlobError:
        return BlobError(f"{self.file}: offset {offset}: {text}")

    def read(self) -> Blob:
        header = self._header()
        self._sections(header)
        tensors = self._tensors(header)
        ops = self._ops(header, tensors)
        tiles = self._tiles(header)
        segments = self._segments(header)
        for offset, number in ((76, header.input), (78, header.output)):
            if number >= len(tensors):
                raise self.fail(offset, f"tensor {number} of {len(tensors)}")
        if header.nvm_kind not in fmt.NVM_NAMES:
            raise self.fail(25, f"unknown NVM kind {header.nvm_kind}")
        return Blob(
            self.image,
            self._string(header, header.name),
            self._string(header, header.board),
            fmt.NVM_NAMES[header.nvm_kind],
            header.meta_crc,
            header.data_crc,
            header.meta_size,
            header.arena_size,
            header.scratch_size,
            header.nvm_size,
            header.cap_nf * 1e-9,
            header.von_mv * 1e-3,
            header.voff_mv * 1e-3,
            header.charge_uj,
            header.boot_uj,
            header.worst_uj,
            header.input,
            header.output,
            tensors,
            ops,
            tiles,
            segments,
            self._host_type(108, header.input_type),
            self._host_type(109, header.output_type),
            header.core,
            header.test_crc,
        )

    def _host_type(self, offset: int, value: int) -> HostType:
        if value not in {int(one) for one in HostType}:
            raise self.fail(offset, f"unknown type {value} of the model's input or output")
        return HostType(value)

    def _header(self) -> Any:
        """Header with magic, version, sizes and CRCs proven."""
        image = self.image
        if image[:4] != fmt.MAGIC:
            raise self.fail(0, "not a relume blob (no RLUM mark)")
        if len(image) < fmt.HEADER_SIZE:
            raise self.fail(len(image), "cut off inside the header")
        header: Any = fmt.HEADER.parse(image)
        if header.major != fmt.MAJOR or header.minor > fmt.MINOR:
            version = f"{header.major}.{header.minor}"
            ours = f"{fmt.MAJOR}.{fmt.MINOR}"
            raise self.fail(4, f"blob version {version}, this relume reads {ours}: plan it again")
        if header.header_size != fmt.HEADER_SIZE:
            raise self.fail(6, f"header of {header.header_size} bytes, not {fmt.HEADER_SIZE}")
        if header.total_size != len(image):
            raise self.fail(8, f"{len(image)} bytes, the header says {header.total_size}")
        if not fmt.HEADER_SIZE <= header.meta_size <= header.total_size or header.meta_size % 16:
            raise self.fail(12, f"metadata of {header.meta_size} bytes")
        at = fmt.META_CRC_AT
        zeroed = image[:at] + bytes(4) + image[at + 4 : header.meta_size]
        if zlib.crc32(zeroed) != header.meta_crc:
            raise self.fail(at, "metadata checksum differs: the file is damaged")
        if zlib.crc32(image[header.meta_size :]) != header.data_crc:
            raise self.fail(20, "constants checksum differs: the file is damaged")
        return header

    def _sections(self, header: Any) -> None:
        """Every table is as long as it may be and lies inside the metadata."""
        for field, name, count, most in (
            (40, "n_tensors", header.n_tensors, 4096),
            (42, "n_ops", header.n_ops, 4096),
            (44, "n_tiles", header.n_tiles, 65535),
            (48, "n_segments", header.n_segments, header.n_tiles),
        ):
            if not 1 <= count <= most:
                raise self.fail(field, f"{name} is {count}, not 1 to {most}")
        for field, offset, size in (
            (52, header.off_tensors, header.n_tensors * fmt.TENSOR_SIZE),
            (56, header.off_ops, header.n_ops * fmt.OP_SIZE),
            (60, header.off_tiles, header.n_tiles * fmt.TILE_SIZE),
            (64, header.off_segments, header.n_segments * fmt.SEGMENT_SIZE),
            (68, header.off_strings, header.strings_size),
        ):
            if offset < fmt.HEADER_SIZE or offset % 4 or offset + size > header.meta_size:
                raise self.fail(field, f"section at {offset}, {size} bytes, leaves the metadata")
        end = header.off_strings + header.strings_size
        if not header.strings_size or self.image[end - 1]:
            raise self.fail(end - 1, "the strings do not end with 0")

    def _string(self, header: Any, at: int) -> str:
        if at >= header.strings_size:
            raise self.fail(header.off_strings, f"string at {at} of {header.strings_size}")
        start = header.off_strings + at
        return self.image[start : self.image.index(b"\0", start)].decode("utf-8")

    def _rows(self, struct: Any, offset: int, count: int) -> list[Any]:
        size = struct.sizeof()
        return [struct.parse(self.image[offset + n * size :][:size]) for n in range(count)]

    def _tensors(self, header: Any) -> tuple[BlobTensor, ...]:
        tensors = []
        for number, row in enumerate(self._rows(fmt.TENSOR, header.off_tensors, header.n_tensors)):
            at = header.off_tensors + number * fmt.TENSOR_SIZE
            if row.h * row.w * row.c != row.size or row.size < 1 or row.dtype != fmt.DTYPE_INT8:
                raise self.fail(at + 8, f"tensor {number}: size {row.size} is not its shape's")
            if row.arena_off + row.size > header.arena_size:
                raise self.fail(at, f"tensor {number} leaves the arena")
            if row.nvm_off + row.size > header.nvm_size:
                raise self.fail(at + 4, f"tensor {number} leaves the home area")
            tensors.append(
                BlobTensor(
                    self._string(header, row.name),
                    (row.h, row.w, row.c),
                    row.size,
                    row.scale,
                    row.zero_point,
                    row.arena_off,
                    row.nvm_off,
                )
            )
        return tuple(tensors)

    def _ops(self, header: Any, tensors: tuple[BlobTensor, ...]) -> tuple[BlobOp, ...]:
        ops = []
        shapes = [tensor.shape for tensor in tensors]
        for number, row in enumerate(self._rows(fmt.OP, header.off_ops, header.n_ops)):
            at = header.off_ops + number * fmt.OP_SIZE
            if row.kind not in {int(kind) for kind in Kind}:
                raise self.fail(at, f"op {number}: unknown kind {row.kind}")
            second = None if row.in1 == fmt.NO_TENSOR else row.in1
            if max(row.in0, row.out, second or 0) >= header.n_tensors:
                raise self.fail(at + 4, f"op {number} names a tensor that does not exist")
            fault = op_fault(header, row, shapes)
            if fault is not None:
                raise self.fail(at + fault[0], f"op {number}: {fault[1]}")
            moved = self._move_fault(header, row, tensors)
            if moved is not None:
                raise self.fail(at + 68, f"op {number}, {Kind(row.kind).name}: {moved}")
            if row.stage_off + row.stage_size > header.arena_size + header.scratch_size:
                raise self.fail(at + 104, f"op {number}: staged constants leave the arena")
            if row.chunk and fmt.CHUNK * row.chunk > row.stage_size:
                raise self.fail(at + 38, f"op {number}: weights in parts leave their block")
            ops.append(
                BlobOp(
                    self._string(header, row.name),
                    Kind(row.kind),
                    row.in0,
                    second,
                    row.out,
                    row.units,
                    row.unit_bytes,
                    row.stage_off,
                    row.stage_size,
                    fmt.CHUNK * row.chunk,
                )
            )
        return tuple(ops)

    def _move_fault(self, header: Any, row: Any, tensors: tuple[BlobTensor, ...]) -> str | None:
        """Why an op that moves bytes would read outside its inputs."""
        first, out = tensors[row.in0].size, tensors[row.out].size
        if row.kind == Kind.CONCATENATION:
            if row.in1 == fmt.NO_TENSOR:
                return "one input"
            return concatenation_fault(row.p, first, tensors[row.in1].size, out)
        if row.kind != Kind.GATHER:
            return None
        if row.w_size and not header.meta_size <= row.off_w <= len(self.image) - row.w_size:
            return "its maps leave the blob"
        words = self.image[row.off_w : row.off_w + row.w_size // 4 * 4]
        return gather_fault(row.p, np.frombuffer(words, "<u4"), first, out)

    def _tiles(self, header: Any) -> tuple[Tile, ...]:
        tiles = []
        for number, row in enumerate(self._rows(fmt.TILE, header.off_tiles, header.n_tiles)):
            if row.op >= header.n_ops:
                at = header.off_tiles + number * fmt.TILE_SIZE
                raise self.fail(at, f"tile {number} of op {row.op}, which does not exist")
            tiles.append(Tile(row.op, row.first, row.count))
        return tuple(tiles)

    def _segments(self, header: Any) -> tuple[BlobSegment, ...]:
        segments = []
        last = 0
        rows = self._rows(fmt.SEGMENT, header.off_segments, header.n_segments)
        for number, row in enumerate(rows):
            if not last < row.end_tile <= header.n_tiles:
                at = header.off_segments + number * fmt.SEGMENT_SIZE
                raise self.fail(at, f"segment {number} ends at tile {row.end_tile}")
            last = row.end_tile
            segments.append(
                BlobSegment(
                    row.end_tile,
                    row.worst_cycles,
                    row.typical_cycles,
                    row.worst_uj,
                    row.commit_bytes,
                )
            )
        return tuple(segments)
