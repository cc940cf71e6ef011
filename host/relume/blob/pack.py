"""Plan -> bytes of a .rlm blob (SPEC 2). The same plan gives the same bytes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from relume.blob import format as fmt
from relume.blob.layouts.packed import Packed
from relume.blob.layouts.select import CORES, lay_out
from relume.board.profile import NVM_KINDS
from relume.model.graph import PAIR_KINDS, Graph, Op, Window
from relume.plan.scratch import op_scratch
from relume.plan.types import Plan

UINT32_MAX = 0xFFFFFFFF


def pack(plan: Plan) -> bytes:
    """The whole blob. Constants lie in the order of the ops: weights, bias, mult, shift."""
    layout = _Layout(plan)
    meta = bytearray(layout.meta_size)
    data = _constants(plan, layout)
    data_crc = zlib.crc32(data)
    _put(meta, 0, fmt.HEADER.build(_header(plan, layout, data_crc)))
    _put(meta, layout.off_tensors, b"".join(_tensors(plan, layout)))
    _put(meta, layout.off_ops, b"".join(_ops(plan, layout)))
    _put(meta, layout.off_tiles, _tiles(plan))
    _put(meta, layout.off_segments, b"".join(_segments(plan)))
    _put(meta, layout.off_strings, layout.strings)
    meta[fmt.META_CRC_AT : fmt.META_CRC_AT + 4] = zlib.crc32(meta).to_bytes(4, "little")
    return bytes(meta) + data


def with_test(image: bytes, crc: int) -> bytes:
    """The blob with its self-test: CRC-32 of the output for the known input, 0 = not known."""
    made = bytearray(image)
    made[fmt.TEST_CRC_AT : fmt.TEST_CRC_AT + 4] = crc.to_bytes(4, "little")
    made[fmt.META_CRC_AT : fmt.META_CRC_AT + 4] = bytes(4)
    size = int.from_bytes(made[fmt.META_SIZE_AT : fmt.META_SIZE_AT + 4], "little")
    made[fmt.META_CRC_AT : fmt.META_CRC_AT + 4] = zlib.crc32(made[:size]).to_bytes(4, "little")
    return bytes(made)


def packed_size(plan: Plan) -> int:
    """len(pack(plan)) without packing."""
    return _Layout(plan).total_size


@dataclass(frozen=True)
class _Arrays:
    """Blob offsets of one op's weights, bias, multipliers, shifts; 0 = absent. And their bytes."""

    kernel: int
    p: tuple[int, ...]
    data: tuple[bytes, ...]
    at: tuple[int, ...]


class _Layout:
    """Where everything lies."""

    def __init__(self, plan: Plan) -> None:
        self.names: dict[str, int] = {}
        self.strings = b""
        graph = plan.graph
        every = [graph.name, plan.board]
        every += [tensor.name for tensor in graph.tensors] + [op.name for op in graph.ops]
        for name in every:
            if name not in self.names:
                self.names[name] = len(self.strings)
                self.strings += name.encode() + b"\0"
        self.off_tensors = fmt.HEADER_SIZE
        self.off_ops = self.off_tensors + fmt.TENSOR_SIZE * len(graph.tensors)
        self.off_tiles = self.off_ops + fmt.OP_SIZE * len(graph.ops)
        self.off_segments = self.off_tiles + fmt.TILE_SIZE * len(plan.tiles)
        self.off_strings = self.off_segments + fmt.SEGMENT_SIZE * len(plan.segments)
        self.meta_size = _align(self.off_strings + len(self.strings), 16)
        self.end = self.meta_size
        self.arrays = [self._place(op, lay_out(plan.core, graph, op)) for op in graph.ops]
        self.total_size = _align(self.end, 16)

    def _place(self, op: Op, fast: Packed | None) -> _Arrays:
        kernel, p = (0, op.p) if fast is None else (fast.kernel, fast.p)
        data = _arrays(op, fast)
        places = []
        for array in data:
            places.append(self.end if array else 0)
            self.end = _align(self.end + len(array), 4)
        return _Arrays(kernel, p, data, tuple(places))


def constant_arrays(core: str, graph: Graph, op: Op) -> tuple[bytes, ...]:
    """Weights, bias, multipliers, shifts of an op as the blob has them; empty = absent."""
    return _arrays(op, lay_out(core, graph, op))


def _arrays(op: Op, fast: Packed | None) -> tuple[bytes, ...]:
    if fast is None:
        return _portable(op)
    return (fast.weights, fast.bias, fast.multipliers, fast.shifts)


def _portable(op: Op) -> tuple[bytes, ...]:
    """Weights, bias, multipliers, shifts as SPEC 2.4 has them; empty = absent."""
    arrays = ((op.weights, "i1"), (op.bias, "<i4"), (op.multipliers, "<i4"), (op.shifts, "i1"))
    return tuple(b"" if a is None else a.astype(kind).tobytes() for a, kind in arrays)


def _align(value: int, step: int) -> int:
    return -(-value // step) * step


def _put(image: bytearray, at: int, data: bytes) -> None:
    image[at : at + len(data)] = data


def _constants(plan: Plan, layout: _Layout) -> bytes:
    image = bytearray(layout.total_size - layout.meta_size)
    for arrays in layout.arrays:
        for place, array in zip(arrays.at, arrays.data, strict=True):
            if array:
                _put(image, place - layout.meta_size, array)
    return bytes(image)


def _header(plan: Plan, layout: _Layout, data_crc: int) -> dict[str, object]:
    graph, budget = plan.graph, plan.budget
    return {
        "major": fmt.MAJOR,
        "minor": fmt.MINOR,
        "header_size": fmt.HEADER_SIZE,
        "total_size": layout.total_size,
        "meta_size": layout.meta_size,
        "meta_crc": 0,
        "data_crc": data_crc,
        "core": CORES[plan.core],
        "nvm_kind": NVM_KINDS[plan.nvm],
        "flags": 0,
        "arena_size": plan.arena_size,
        "scratch_size": plan.scratch_size,
        "nvm_size": plan.nvm_size,
        "n_tensors": len(graph.tensors),
        "n_ops": len(graph.ops),
        "n_tiles": len(plan.tiles),
        "n_segments": len(plan.segments),
        "off_tensors": layout.off_tensors,
        "off_ops": layout.off_ops,
        "off_tiles": layout.off_tiles,
        "off_segments": layout.off_segments,
        "off_strings": layout.off_strings,
        "strings_size": len(layout.strings),
        "input": graph.input,
        "output": graph.output,
        "name": layout.names[graph.name],
        "board": layout.names[plan.board],
        "cap_nf": min(UINT32_MAX, round(budget.cap_f * 1e9)),
        "von_mv": round(budget.von_v * 1e3),
        "voff_mv": round(budget.voff_v * 1e3),
        "charge_uj": int(plan.charge_uj),
        "boot_uj": math.ceil(plan.boot_uj),
        "worst_uj": math.ceil(plan.worst_uj),
        "input_type": int(graph.input_type),
        "output_type": int(graph.output_type),
        "crc_cycles": plan.pace.crc,
        "mv2_cycles": plan.pace.mv2,
        "commit_cycles": plan.pace.commit,
        "byte_cycles": plan.pace.byte,
        "access_cycles": plan.pace.access,
        "test_crc": 0,
    }


def _tensors(plan: Plan, layout: _Layout) -> Iterable[bytes]:
    for number, tensor in enumerate(plan.graph.tensors):
        h, w, c = tensor.shape
        yield fmt.TENSOR.build(
            {
                "arena_off": plan.arena_off[number],
                "nvm_off": plan.nvm_off[number],
                "size": tensor.size,
                "h": h,
                "w": w,
                "c": c,
                "dtype": fmt.DTYPE_INT8,
                "zero_point": tensor.zero_point,
                "scale": tensor.scale,
                "name": layout.names[tensor.name],
            }
        )


def _ops(plan: Plan, layout: _Layout) -> Iterable[bytes]:
    graph = plan.graph
    writer = {op.output: number for number, op in enumerate(graph.ops)}
    for number, (op, arrays) in enumerate(zip(graph.ops, layout.arrays, strict=True)):
        stage = plan.stage(number)
        off_w, off_bias, off_mult, off_shift = arrays.at
        window, pace = _window(op), plan.pace.op(number)
        yield fmt.OP.build(
            {
                "kind": int(op.kind),
                "kernel": arrays.kernel,
                "from0": writer.get(op.inputs[0], fmt.NO_OP),
                "in0": op.inputs[0],
                "in1": op.inputs[1] if len(op.inputs) > 1 else fmt.NO_TENSOR,
                "out": op.output,
                "from1": writer.get(op.inputs[-1], fmt.NO_OP)
                if len(op.inputs) > 1
                else fmt.NO_OP,
                "units": graph.units(op),
                "unit_bytes": graph.unit_bytes(op),
                "kh": window.kh,
                "kw": window.kw,
                "sh": window.sh,
                "sw": window.sw,
                "pad_top": window.pad_top,
                "pad_left": window.pad_left,
                "dil_h": window.dil_h,
                "dil_w": window.dil_w,
                "depth_mult": op.depth_mult,
                "chunk": stage.chunk // fmt.CHUNK,
                "act_min": op.act_min,
                "act_max": op.act_max,
                "off_w": off_w,
                "w_size": len(arrays.data[0]),
                "off_bias": off_bias,
                "off_mult": off_mult,
                "off_shift": off_shift,
                "p": [*arrays.p, *[0] * (fmt.OP_P_WORDS - len(arrays.p))],
                "name": layout.names[op.name],
                "stage_off": stage.off,
                "stage_size": stage.size,
                "tile_cycles": pace.tile,
                "unit_cycles": pace.unit,
                "stage_cycles": pace.stage,
            }
        )


def _window(op: Op) -> Window:
    """Filter and stride, or the shape (h, w, c) of a constant operand in their place."""
    if op.kind not in PAIR_KINDS or op.weights is None:
        return op.window
    kh, kw, sh = op.weights.shape
    return Window(kh=kh, kw=kw, sh=sh)


def _grains(plan: Plan) -> Iterable[int]:
    """Where each tile's scratch memory lies; 0 where the op needs none."""
    used = [op_scratch(plan.graph, plan.core, op) > 0 for op in plan.graph.ops]
    places = plan.scratch_off or (plan.arena_size,) * len(plan.tiles)
    for tile, place in zip(plan.tiles, places, strict=True):
        yield place // fmt.GRAIN if used[tile.op] else 0


def _tiles(plan: Plan) -> bytes:
    grains = _grains(plan)
    rows = [
        (tile.op + (grain << 16), tile.first, tile.count)
        for tile, grain in zip(plan.tiles, grains, strict=True)
    ]
    return np.array(rows, dtype="<u4").tobytes()


def _segments(plan: Plan) -> Iterable[bytes]:
    for segment in plan.segments:
        yield fmt.SEGMENT.build(
            {
                "end_tile": segment.end,
                "worst_cycles": min(UINT32_MAX, segment.worst_cycles),
                "typical_cycles": min(UINT32_MAX, segment.typical_cycles),
                "worst_uj": min(UINT32_MAX, math.ceil(segment.worst_uj)),
                "commit_bytes": segment.commit_bytes,
                "flags": fmt.OBLIGATORY * segment.obligatory,
            }
        )
