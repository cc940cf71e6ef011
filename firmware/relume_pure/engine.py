"""One tile of a blob, and what an unfinished op still needs (docs/SPEC.md 3)."""

import struct

from . import blob as kinds
from .blob import native

_TILES = {}
if not native:  # else they would take RAM for nothing
    from . import kernels, moves

    _TILES = {
        kinds.CONV_2D: kernels.conv,
        kinds.DEPTHWISE_CONV_2D: kernels.depthwise,
        kinds.FULLY_CONNECTED: kernels.dense,
        kinds.AVERAGE_POOL_2D: kernels.average_pool,
        kinds.MAX_POOL_2D: kernels.max_pool,
        kinds.ADD: moves.add,
        kinds.SOFTMAX: kernels.softmax,
        kinds.PAD: moves.pad,
        kinds.MEAN: kernels.mean,
        kinds.RESHAPE: moves.reshape,
        kinds.MAP: moves.mapped,
        kinds.MUL: moves.mul,
        kinds.GATHER: moves.gather,
        kinds.CONCATENATION: moves.concatenation,
    }


def run_tiles(blob, arena, start, end):
    """Computes tiles [start, end)."""
    for number in range(start, end):
        run_part(blob, arena, number, 0, blob.tile(number)[2])


def run_part(blob, arena, number, done, count):
    """Computes `count` units of a tile, behind its first `done`."""
    if native:
        native.run(blob.data, arena, number, done, count)
        return
    op, first, _ = blob.tile(number)
    op = blob.ops[op]
    _TILES[op.kind](blob, op, arena, first + done, count)


def _row_start(t, row, step, before):
    """First byte of rows [row * step - before, ...) of a tensor."""
    start = max(0, row * step - before)
    return t.size if start >= t.h else start * t.w * t.c


def _pair_start(t, out, unit):
    if t.size == out.size:
        return unit
    return unit // (out.w * out.c) * t.w * t.c if t.h == out.h else 0


def _gather_start(blob, op, unit):
    row = unit // (op.p[1] * op.p[2] * op.p[3])
    if not op.p[7] & 1:
        return op.p[0] + row * op.p[4]
    row += op.p[1] if op.p[7] & 2 else 0
    row += op.p[2] if op.p[7] & 4 else 0
    return op.p[0] + struct.unpack_from("<I", blob.data, op.weights + 4 * row)[0]


def need(blob, op, which, unit):
    """First byte of in0 (which 0) or in1 that units from `unit` on read."""
    t, out = blob.tensors[op.in1 if which else op.in0], blob.tensors[op.out]
    kind = op.kind
    if unit >= op.units or kind == kinds.MEAN:
        return t.size if unit >= op.units else 0
    if kind in (1, 2, 4, 5):
        return _row_start(t, unit // out.w, op.sh, op.pad_top)
    if kind == kinds.PAD:
        return _row_start(t, unit // out.w, 1, op.p[0])
    if kind == kinds.FULLY_CONNECTED:
        return unit // out.c * (t.size // (out.h * out.w))
    if kind == kinds.SOFTMAX:
        return unit * out.c
    if kind in (kinds.ADD, kinds.MUL):
        return _pair_start(t, out, unit)
    if kind == kinds.GATHER:
        return _gather_start(blob, op, unit)
    if kind == kinds.CONCATENATION:
        turn, skip = divmod(unit, op.p[0] + op.p[1])
        of0 = min(skip, op.p[0])
        return turn * op.p[1] + skip - of0 if which else turn * op.p[0] + of0
    return unit


def live(blob, done):
    """[(first live byte, finished bytes)] of each tensor; done: finished units of each op."""
    tensors = blob.tensors
    low = [t.size for t in tensors]
    end = [0] * len(tensors)
    end[blob.input] = tensors[blob.input].size
    low[blob.output] = 0
    for number in range(len(done)):
        op, units = blob.ops[number], done[number]
        end[op.out] = units * op.unit_bytes
        if units < op.units:
            low[op.in0] = min(low[op.in0], need(blob, op, 0, units))
            if op.in1 is not None:
                low[op.in1] = min(low[op.in1], need(blob, op, 1, units))
    return [(low[i], max(low[i], end[i])) for i in range(len(tensors))]
