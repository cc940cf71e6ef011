"""ADD, MUL, MAP and the ops that only move bytes: PAD, RESHAPE, GATHER, CONCATENATION."""

import struct

from .fixed import clamp, scale, wrap


def _byte(value):
    return value - 256 if value > 127 else value


class _Operand:
    """Bytes of [h][w][c] whose axes of 1 serve every index."""

    def __init__(self, data, at, shape, zero):
        h, w, c = shape
        self.data, self.at, self.zero = data, at, zero
        self.along = 1 if c > 1 else 0
        self.right = c if w > 1 else 0
        self.down = w * c if h > 1 else 0

    def value(self, row, column, channel):
        at = self.at + row * self.down + column * self.right + channel * self.along
        return _byte(self.data[at]) - self.zero


def _operands(blob, op, arena):
    t = blob.tensors[op.in0]
    first = _Operand(arena, t.arena, (t.h, t.w, t.c), t.zero)
    if op.in1 is None:
        zero = _byte(op.p[7] >> 8 & 255)
        return first, _Operand(blob.data, op.weights, (op.kh, op.kw, op.sh), zero)
    t = blob.tensors[op.in1]
    return first, _Operand(arena, t.arena, (t.h, t.w, t.c), t.zero)


def _pair(blob, op, arena, first, count, compute):
    out = blob.tensors[op.out]
    a, b = _operands(blob, op, arena)
    for unit in range(first, first + count):
        pixel, channel = divmod(unit, out.c)
        row, column = divmod(pixel, out.w)
        value = compute(op.p, a.value(row, column, channel), b.value(row, column, channel))
        arena[out.arena + unit] = clamp(wrap(value + out.zero), op.low, op.high)


def _sum(p, a, b):
    a = scale(wrap(a << p[0]), p[1], p[2])
    b = scale(wrap(b << p[0]), p[3], p[4])
    a = -a if p[7] & 1 else a
    b = -b if p[7] & 2 else b
    return scale(wrap(a + b), p[5], p[6])


def _product(p, a, b):
    return scale(a * b, p[0], p[1])


def add(blob, op, arena, first, count):
    """ADD, and SUB as ADD with an operand negated."""
    _pair(blob, op, arena, first, count, _sum)


def mul(blob, op, arena, first, count):
    """MUL."""
    _pair(blob, op, arena, first, count, _product)


def mapped(blob, op, arena, first, count):
    """MAP: a table has the output of every input byte."""
    x, y, table = blob.tensors[op.in0].arena, blob.tensors[op.out].arena, op.weights
    data = blob.data
    for unit in range(first, first + count):
        arena[y + unit] = data[table + arena[x + unit]]


def pad(blob, op, arena, first, count):
    """PAD."""
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    top, left, front, value = op.p[:4]
    empty = bytes([value & 255]) * out.c
    for unit in range(first, first + count):
        row, column = divmod(unit, out.w)
        row, column = row - top, column - left
        to = out.arena + unit * out.c
        arena[to:to + out.c] = empty
        if 0 <= row < t.h and 0 <= column < t.w:
            at = t.arena + (row * t.w + column) * t.c
            arena[to + front:to + front + t.c] = arena[at:at + t.c]


def reshape(blob, op, arena, first, count):
    """RESHAPE: a copy."""
    x, y = blob.tensors[op.in0].arena + first, blob.tensors[op.out].arena + first
    arena[y:y + count] = arena[x:x + count]


def _axes(blob, op):
    """For each axis a function from index to bytes into the input."""
    axes = [None, None, None]
    at = op.weights
    for i in (2, 1, 0):
        if op.p[7] >> i & 1:
            axes[i] = _looked_up(blob.data, at)
            at += 4 * op.p[i] if i else 0
        else:
            axes[i] = _stepped(op.p[4 + i])
    return axes


def _looked_up(data, at):
    return lambda x: struct.unpack_from("<I", data, at + 4 * x)[0]


def _stepped(step):
    return lambda x: x * step


def gather(blob, op, arena, first, count):
    """GATHER: the output is [n0][n1][n2][run]."""
    base, n1, n2, run = op.p[:4]
    at0, at1, at2 = _axes(blob, op)
    base += blob.tensors[op.in0].arena
    y = blob.tensors[op.out].arena
    unit, end = first, first + count
    while unit < end:
        place, skip = divmod(unit, run)
        line, k = divmod(place, n2)
        i, j = divmod(line, n1)
        n = min(run - skip, end - unit)
        x = base + at0(i) + at1(j) + at2(k) + skip
        arena[y + unit:y + unit + n] = arena[x:x + n]
        unit += n


def concatenation(blob, op, arena, first, count):
    """CONCATENATION: p0 bytes of in0, p1 bytes of in1, and so on."""
    run0, run1 = op.p[:2]
    x0, x1 = blob.tensors[op.in0].arena, blob.tensors[op.in1].arena
    y = blob.tensors[op.out].arena
    unit, end = first, first + count
    while unit < end:
        turn, skip = divmod(unit, run0 + run1)
        if skip < run0:
            n, x = run0 - skip, x0 + turn * run0 + skip
        else:
            n, x = run0 + run1 - skip, x1 + turn * run1 + skip - run0
        n = min(n, end - unit)
        arena[y + unit:y + unit + n] = arena[x:x + n]
        unit += n
