"""What the host proves of a blob's MAP, ADD and MUL before it sends it (SPEC 2.3, 2.4).

The board's checker proves the same and the rest; this one names file and offset to a person.
"""

from __future__ import annotations

import math
from typing import Any

from relume.blob import format as fmt
from relume.model.graph import PAIR_KINDS, Kind, Shape

TABLE_BYTES = 256
IN0_AT, IN1_AT, KH_AT, OFF_W_AT, W_SIZE_AT = 4, 6, 20, 48, 52


def op_fault(header: Any, row: Any, shapes: list[Shape]) -> tuple[int, str] | None:
    """(offset in the op, what is wrong), or None. row: the op; shapes: of all tensors."""
    if row.kind == Kind.MAP:
        if math.prod(shapes[row.in0]) != math.prod(shapes[row.out]):
            return IN0_AT, "input and output of MAP differ in size"
        return _array_fault(header, row, TABLE_BYTES)
    if row.kind in PAIR_KINDS and row.kernel == 0:
        return _pair_fault(header, row, shapes)
    return None


def _pair_fault(header: Any, row: Any, shapes: list[Shape]) -> tuple[int, str] | None:
    out = shapes[row.out]
    if not _repeats(shapes[row.in0], out):
        return IN0_AT, f"operand {shapes[row.in0]} does not fit {out}"
    if row.in1 != fmt.NO_TENSOR:
        if not _repeats(shapes[row.in1], out):
            return IN1_AT, f"operand {shapes[row.in1]} does not fit {out}"
        return None
    shape = (row.kh, row.kw, row.sh)
    if not _repeats(shape, out):
        return KH_AT, f"constant operand {shape} does not fit {out}"
    return _array_fault(header, row, math.prod(shape))


def _repeats(shape: Shape, out: Shape) -> bool:
    return all(axis in (1, wide) for axis, wide in zip(shape, out, strict=True))


def _array_fault(header: Any, row: Any, size: int) -> tuple[int, str] | None:
    if row.w_size != size:
        return W_SIZE_AT, f"{row.w_size} bytes of constants instead of {size}"
    if row.off_w % 4 or not header.meta_size <= row.off_w <= header.total_size - size:
        return OFF_W_AT, f"constants at {row.off_w}, {size} bytes, leave the blob"
    return None
