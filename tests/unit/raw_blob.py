"""Blobs made field by field, for what no planner would make; checksums right."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from relume.model.graph import Kind

from tests.unit import blob_edit

NONE = 0xFFFF
ARRAYS = ("off_w", "off_bias", "off_mult", "off_shift")
Shape = tuple[int, int, int]
_ONE_BYTE = (Kind.FULLY_CONNECTED, Kind.ADD, Kind.MEAN, Kind.RESHAPE, Kind.MAP, Kind.MUL,
             Kind.GATHER, Kind.CONCATENATION)  # fmt: skip


def raw(
    shapes: Sequence[Shape], ops: Sequence[Mapping[str, int]], *, core: int = 0, data: bytes = b"",
    scratch: int = 1 << 20, tiles: Sequence[tuple[int, int, int]] = (),
) -> bytes:  # fmt: skip
    """A blob of these tensors (h, w, c), each in a place of its own, the first one the input, the
    last one the output.

    ops: fields of SPEC 2.3; arrays are offsets into the constants `data`. Without "out" op n
    writes tensor n + 1; "scratch" other than 0 gives its tiles the memory behind the tensors.
    scratch: bytes of it. tiles: (op, first, count); else each op in one.
    """
    fields = [_op(shapes, number, op) for number, op in enumerate(ops)]
    tiles = tiles or [(number, 0, op["units"]) for number, op in enumerate(fields)]
    counts = (len(shapes), len(ops), len(tiles), 1)
    starts = list(itertools.accumulate(
        (n * size for n, size in zip(counts, (32, 124, 12, 24), strict=True)), initial=128
    ))  # fmt: skip
    meta = -(-(starts[4] + 4) // 16) * 16
    arena = sum(_room(shape) for shape in shapes)
    changes = _header(shapes, counts, starts, core)
    changes |= {"header.meta_size": meta, "header.total_size": meta + -(-len(data) // 16) * 16}
    changes |= {"header.arena_size": arena, "header.nvm_size": arena}
    changes |= {"header.scratch_size": scratch, "segment[0].end_tile": len(tiles)}
    for number, shape in enumerate(shapes):
        changes |= _tensor(number, shape, sum(_room(one) for one in shapes[:number]))
    for number, op in enumerate(fields):
        wanted = ((key, n + meta * (key in ARRAYS)) for key, n in op.items() if key != "scratch")
        changes |= {f"op[{number}].{key}": n for key, n in wanted}
    for number, (op_number, first, count) in enumerate(tiles):
        place = arena // 16 if fields[op_number].get("scratch") else 0
        row = {"op": op_number, "scratch": place, "first": first, "count": count}
        changes |= {f"tile[{number}].{key}": n for key, n in row.items()}
    image = bytearray(meta) + data
    image += bytes(-len(image) % 16)
    for name, start in zip(("tensors", "ops", "tiles", "segments"), starts, strict=False):
        offset, _ = blob_edit.at(image, f"header.off_{name}")
        image[offset : offset + 4] = start.to_bytes(4, "little")
    return blob_edit.put(bytes(image), changes)


def _room(shape: Shape) -> int:
    return -(-shape[0] * shape[1] * shape[2] // 16) * 16


def _header(
    shapes: Sequence[Shape], counts: Sequence[int], starts: Sequence[int], core: int
) -> dict[str, int]:
    values = {
        "magic": int.from_bytes(b"RLUM", "little"), "major": 1, "header_size": 128, "core": core,
        "nvm_kind": 1, "n_tensors": counts[0], "n_ops": counts[1], "n_tiles": counts[2],
        "n_segments": counts[3], "off_strings": starts[4], "strings_size": 4,
        "input": 0, "output": len(shapes) - 1, "input_type": 1, "output_type": 1,
    }  # fmt: skip
    return {f"header.{key}": value for key, value in values.items()}


def _tensor(number: int, shape: Shape, place: int) -> dict[str, int]:
    h, w, c = shape
    values = {"arena_off": place, "nvm_off": place, "size": h * w * c, "h": h, "w": w, "c": c,
              "dtype": 1}  # fmt: skip
    return {f"tensor[{number}].{key}": value for key, value in values.items()}


def _op(shapes: Sequence[Shape], number: int, given: Mapping[str, int]) -> dict[str, int]:
    """The fields of an op that reads the tensor before its own unless told otherwise."""
    out = given.get("out", number + 1)
    h, w, c = shapes[out]
    unit = 1 if given["kind"] in _ONE_BYTE else c
    op = {"in0": number, "in1": NONE, "out": out, "unit_bytes": unit, "units": h * w * c // unit,
          "act_min": -128, "act_max": 127, **given}  # fmt: skip
    for source, writer in (("in0", "from0"), ("in1", "from1")):
        op.setdefault(writer, NONE if op[source] in (0, NONE) else op[source] - 1)
    return op
