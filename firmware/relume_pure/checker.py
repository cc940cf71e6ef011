"""The check of a blob in Python, for boards without the native module (docs/SPEC.md 2)."""

from .blob import (
    ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, GATHER,
    HEADER, MAJOR, MAP, MAX_POOL_2D, MEAN, MINOR, MUL, OP, PAD, SEGMENT, SOFTMAX, TENSOR, TILE,
)  # fmt: skip
from .status import BOUNDS, CRC, KIND, MAGIC, PLAN, SHAPE, TRUNCATED, VERSION, crc32, refuse


def door(blob, with_data):
    """Header, version and checksums."""
    data, size = blob.data, len(blob.data)
    if size < HEADER:
        refuse(TRUNCATED, "shorter than a header", size)
    if bytes(data[:4]) != b"RLUM":
        refuse(MAGIC, "magic is not RLUM", 0)
    if data[4] != MAJOR or data[5] > MINOR:
        refuse(VERSION, "version", 4)
    blob.read_header()
    if blob.total > size:
        refuse(TRUNCATED, "total_size is more than there is", 8)
    if not HEADER <= blob.meta <= blob.total:
        refuse(BOUNDS, "meta_size", 12)
    _crcs(blob, with_data)
    if data[24] != 0:
        refuse(KIND, "weights laid out for another core: plan --core portable", 24)


def _crcs(blob, with_data):
    crc = crc32(b"\0\0\0\0", crc32(blob.data[:16], 0))
    if crc32(blob.data[20:blob.meta], crc) & 0xFFFFFFFF != blob.meta_crc:
        refuse(CRC, "metadata checksum", 16)
    if with_data and crc32(blob.data[blob.meta:blob.total], 0) & 0xFFFFFFFF != blob.data_crc:
        refuse(CRC, "constants checksum", 20)


def tables(blob):
    """The sections of the metadata."""
    low, tiles = HEADER, blob.n_tiles
    for field, name, count, most in (
        (40, "n_tensors", blob.n_tensors, 4096), (42, "n_ops", blob.n_ops, 4096),
        (44, "n_tiles", tiles, 0xFFFF), (48, "n_segments", blob.n_segments, tiles),
    ):  # fmt: skip
        if not 0 < count <= most:
            refuse(BOUNDS, name, field)
    for at, count, entry in (
        (blob.at_tensors, blob.n_tensors, TENSOR), (blob.at_ops, blob.n_ops, OP),
        (blob.tiles, blob.n_tiles, TILE), (blob.segments, blob.n_segments, SEGMENT),
    ):  # fmt: skip
        if at % 4 or at < low or at + count * entry > blob.meta:
            refuse(BOUNDS, "section outside the metadata", 52)
        low = at + count * entry
    if blob.input >= blob.n_tensors or blob.output >= blob.n_tensors:
        refuse(BOUNDS, "input or output", 76)


def tensors(blob):
    """Shapes and places of the tensors."""
    at = blob.at_tensors
    for t in blob.tensors:
        if t.size != t.h * t.w * t.c or t.size == 0 or not -128 <= t.zero <= 127:
            refuse(SHAPE, "tensor", at)
        if t.arena + t.size > blob.arena_size or t.home + t.size > blob.nvm_size:
            refuse(BOUNDS, "tensor outside the arena or the home area", at)
        at += TENSOR


def ops(blob):
    """Every op, and where its constants are."""
    n = len(blob.tensors)
    for op in blob.ops:
        if not CONV_2D <= op.kind <= CONCATENATION or op.kernel:
            refuse(KIND, "op kind", op.at)
        if op.in0 >= n or op.out >= n or (op.in1 is not None and op.in1 >= n):
            refuse(BOUNDS, "tensor of an op", op.at + 4)
        if op.units * op.unit_bytes != blob.tensors[op.out].size:
            refuse(SHAPE, "units", op.at + 12)
        for start, length in _constants(blob, op):
            if start and not blob.meta <= start <= start + length <= blob.total:
                refuse(BOUNDS, "constants outside the blob", op.at + 48)

        if not _fits(op, blob.tensors):
            refuse(SHAPE, "shapes or parameters of an op", op.at)


def _constants(blob, op):
    channels = blob.tensors[op.out].c
    return (
        (op.weights, op.w_size), (op.bias, 4 * channels), (op.mult, 4 * channels),
        (op.shift, channels),
    )  # fmt: skip


def plan(blob):
    """Tiles and segments cover the ops."""
    done = [0] * len(blob.ops)
    for i in range(blob.n_tiles):
        op, first, count = blob.tile(i)
        at = blob.tiles + TILE * i
        if op >= len(done) or first != done[op] or count == 0:
            refuse(PLAN, "tile does not follow the one before", at)
        done[op] += count
    for op, units in zip(blob.ops, done):
        if op.units != units:
            refuse(PLAN, "tiles do not cover the op", op.at)
    end = 0
    for i in range(blob.n_segments):
        if blob.end_of(i) <= end:
            refuse(PLAN, "segments do not rise", blob.segments + SEGMENT * i)
        end = blob.end_of(i)
    if end != blob.n_tiles:
        refuse(PLAN, "segments do not cover the tiles", 48)


def _fits(op, tensors):
    """What keeps a kernel's loops and shifts bounded (SPEC 2.4)."""
    x, y, p, kind = tensors[op.in0], tensors[op.out], op.p, op.kind
    if kind in (CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D, MAX_POOL_2D):
        if not (_axis(op.kh, op.sh, op.pad_top, op.dil_h, x.h, y.h)
                and _axis(op.kw, op.sw, op.pad_left, op.dil_w, x.w, y.w)):  # fmt: skip
            return False
        if kind == CONV_2D:
            return op.w_size == op.kh * op.kw * x.c * y.c
        if kind == DEPTHWISE_CONV_2D:
            return y.c == x.c * op.depth_mult and op.w_size == op.kh * op.kw * y.c
        return x.c == y.c
    if kind == FULLY_CONNECTED:
        return op.w_size == x.size // (y.h * y.w) * y.c
    if kind == SOFTMAX:
        return (x.size == y.size and x.c == y.c < 4096 and p[0] >= 0 and 0 <= p[1] <= 30
                and 0 <= -p[2] << p[1] <= 31 << 26)  # fmt: skip
    if kind == MEAN:
        over = (x.h if p[0] & 1 else 1) * (x.w if p[0] & 2 else 1)
        return 1 <= p[0] <= 3 and p[3] == over and y.size * over == x.size and _scales(p, 1)
    if kind == ADD:
        return 0 <= p[0] <= 22 and _scales(p, 1, 3, 5)
    if kind == MUL:
        return _scales(p, 0)
    if kind == GATHER:
        return min(p[1:4]) > 0 and p[0] >= 0
    if kind == CONCATENATION:
        return op.in1 is not None and min(p[:2]) > 0
    if kind == PAD:
        return min(p[:3]) >= 0 and -128 <= p[3] <= 127
    return x.size == y.size and (kind != MAP or op.w_size == 256)


def _axis(taps, step, before, dilation, size, outputs):
    return (taps > 0 and step > 0 and dilation > 0 and before <= (taps - 1) * dilation
            and (outputs - 1) * step < size + before)  # fmt: skip


def _scales(p, *places):
    """Multiplier and exponent stand at each of the places."""
    return all([p[i] >= 0 and -31 <= p[i + 1] <= 30 for i in places])
