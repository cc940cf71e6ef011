"""CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, pools, MEAN, SOFTMAX on Python integers.

Each function computes units [first, first + count) of an op from `arena`, a bytearray, as the
portable C kernels do. A weight byte b is the number b - 256 * (b > 127).
"""

import struct

from .fixed import clamp, exp_negative, mulh, reciprocal, scale, shift, wrap


def _signed(data):
    """Bytes as numbers of -128 to 127."""
    return [byte - 256 if byte > 127 else byte for byte in data]


def _put(blob, op, sums, channel, arena, at):
    """Requantizes the sums of channels from `channel` on."""
    data, zero, low, high = blob.data, blob.tensors[op.out].zero, op.low, op.high
    n = len(sums)
    mult = struct.unpack_from("<%di" % n, data, op.mult + 4 * channel)
    exponents = struct.unpack_from("<%db" % n, data, op.shift + channel)
    bias = struct.unpack_from("<%di" % n, data, op.bias + 4 * channel) if op.bias else None
    for i in range(n):
        acc = sums[i] + bias[i] if bias else sums[i]
        acc = scale(wrap(acc), mult[i], exponents[i])
        arena[at + i] = clamp(wrap(acc + zero), low, high)


def _window(op, t, unit, width):
    """Rows, columns and first tap of a unit's window that lie on tensor t.

    ([rows of the filter], [columns], first row, first column), rows counted in taps.
    """
    top = unit // width * op.sh - op.pad_top
    left = unit % width * op.sw - op.pad_left
    rows = [i for i in range(op.kh) if 0 <= top + i * op.dil_h < t.h]
    columns = [j for j in range(op.kw) if 0 <= left + j * op.dil_w < t.w]
    return rows, columns, top, left


def conv(blob, op, arena, first, count):
    """CONV_2D."""
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    k, c, zero = op.kh * op.kw * t.c, t.c, t.zero
    data = blob.data
    for unit in range(first, first + count):
        window = [0] * k
        rows, columns, top, left = _window(op, t, unit, out.w)
        for i in rows:
            for j in columns:
                at = t.arena + ((top + i * op.dil_h) * t.w + left + j * op.dil_w) * c
                to = (i * op.kw + j) * c
                for byte in arena[at:at + c]:
                    window[to] = (byte - 256 if byte > 127 else byte) - zero
                    to += 1
        sums = []
        at = op.weights
        for _ in range(out.c):
            acc = i = 0
            for w in data[at:at + k]:
                x = window[i]
                if x:
                    acc += x * (w - 256 if w > 127 else w)
                i += 1
            sums.append(acc)
            at += k
        _put(blob, op, sums, 0, arena, out.arena + unit * out.c)


def depthwise(blob, op, arena, first, count):
    """DEPTHWISE_CONV_2D."""
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    data, zero, many = blob.data, t.zero, op.depth_mult
    for unit in range(first, first + count):
        sums = [0] * out.c
        rows, columns, top, left = _window(op, t, unit, out.w)
        for i in rows:
            for j in columns:
                at = t.arena + ((top + i * op.dil_h) * t.w + left + j * op.dil_w) * t.c
                w = op.weights + (i * op.kw + j) * out.c
                channel = 0
                for byte in arena[at:at + t.c]:
                    x = (byte - 256 if byte > 127 else byte) - zero
                    for _ in range(many):
                        tap = data[w + channel]
                        sums[channel] += x * (tap - 256 if tap > 127 else tap)
                        channel += 1
        _put(blob, op, sums, 0, arena, out.arena + unit * out.c)


def dense(blob, op, arena, first, count):
    """FULLY_CONNECTED."""
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    data, zero = blob.data, t.zero
    k = t.size // (out.h * out.w)
    before, x = -1, ()
    for unit in range(first, first + count):
        row, channel = divmod(unit, out.c)
        if row != before:
            at = t.arena + row * k
            before, x = row, [byte - zero for byte in _signed(arena[at:at + k])]
        acc = i = 0
        at = op.weights + channel * k
        for w in data[at:at + k]:
            acc += x[i] * (w - 256 if w > 127 else w)
            i += 1
        _put(blob, op, (acc,), channel, arena, out.arena + unit)


def _pool(blob, op, arena, first, count, reduce):
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    op.dil_h = op.dil_w = 1
    c = t.c
    for unit in range(first, first + count):
        rows, columns, top, left = _window(op, t, unit, out.w)
        taps = [t.arena + ((top + i) * t.w + left + j) * c for i in rows for j in columns]
        at = out.arena + unit * c
        for channel in range(c):
            value = reduce(_signed([arena[tap + channel] for tap in taps]))
            arena[at + channel] = clamp(value, op.low, op.high)


def _average(values):
    """Sum over count, halves away from zero."""
    total, count = sum(values), len(values)
    if total > 0:
        return (total + count // 2) // count
    return -((-total + count // 2) // count)


def average_pool(blob, op, arena, first, count):
    """AVERAGE_POOL_2D; padding counts neither in the sum nor in the divisor."""
    _pool(blob, op, arena, first, count, _average)


def max_pool(blob, op, arena, first, count):
    """MAX_POOL_2D."""
    _pool(blob, op, arena, first, count, max)


def mean(blob, op, arena, first, count):
    """MEAN over H, W or both; the division is in the multiplier."""
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    rows = t.h if op.p[0] & 1 else 1
    columns = t.w if op.p[0] & 2 else 1
    across = 1 if op.p[0] & 2 else t.w
    for unit in range(first, first + count):
        pixel, channel = divmod(unit, t.c)
        line, column = divmod(pixel, across)
        total = -op.p[3] * t.zero
        for v in range(rows):
            at = t.arena + ((line + v) * t.w + column) * t.c + channel
            total += sum(_signed([arena[at + h * t.c] for h in range(columns)]))
        acc = scale(wrap(total), op.p[1], op.p[2])
        arena[out.arena + unit] = clamp(wrap(acc + out.zero), op.low, op.high)


def softmax(blob, op, arena, first, count):
    """SOFTMAX over the last axis: gemmlowp's fixed-point one."""
    t, out = blob.tensors[op.in0], blob.tensors[op.out]
    n, (multiplier, left, least) = t.c, op.p[:3]
    for unit in range(first, first + count):
        at = t.arena + unit * n
        x = _signed(arena[at:at + n])
        largest = max(x)
        powers = [
            exp_negative(mulh(v - largest << left, multiplier)) if v - largest >= least else None
            for v in x
        ]
        total = sum([shift(power, 12) for power in powers if power is not None])
        lead = 0
        while not total << lead & 0x80000000:
            lead += 1
        share = reciprocal((total << lead) - 0x80000000)
        at = out.arena + unit * n
        for i in range(n):
            value = -128
            if powers[i] is not None:
                value += shift(mulh(share, powers[i]), 35 - lead)
            arena[at + i] = clamp(value, -128, 127)
