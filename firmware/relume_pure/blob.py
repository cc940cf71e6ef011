"""A .rlm blob, checked and read in place (docs/SPEC.md 2).

Without the native module only plans for portable kernels.
"""

import struct

from .status import BOUNDS, CRC, KIND, MAGIC, PLAN, SHAPE, TRUNCATED, VERSION, crc32, refuse

try:
    import _relume_native as native
except ImportError:
    native = None

MAJOR, MINOR = 1, 0
HEADER, TENSOR, OP, TILE, SEGMENT = 128, 32, 124, 12, 24
NONE = 0xFFFF
CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, AVERAGE_POOL_2D, MAX_POOL_2D, ADD, SOFTMAX = range(1, 8)
PAD, MEAN, RESHAPE, MAP, MUL, GATHER, CONCATENATION = range(8, 15)


class Tensor:
    """Where a tensor lies: h, w, c; size, arena and home in bytes."""

    def __init__(self, data, at):
        self.arena, self.home, self.size, self.h, self.w, self.c = struct.unpack_from(
            "<IIIHHH", data, at
        )
        self.zero = struct.unpack_from("<i", data, at + 20)[0]


class Op:
    """An op; in1 is None where there is none. Offsets of constants count from the blob's start."""

    def __init__(self, data, at):
        self.at = at
        self.kind, self.kernel = data[at], data[at + 1]
        self.in0, self.in1, self.out = struct.unpack_from("<HHH", data, at + 4)
        self.units, self.unit_bytes = struct.unpack_from("<II", data, at + 12)
        (self.kh, self.kw, self.sh, self.sw, self.pad_top, self.pad_left, self.dil_h,
         self.dil_w, self.depth_mult) = struct.unpack_from("<9H", data, at + 20)  # fmt: skip
        self.low, self.high = struct.unpack_from("<ii", data, at + 40)
        self.weights, self.w_size, self.bias, self.mult, self.shift = struct.unpack_from(
            "<5I", data, at + 48
        )
        self.p = struct.unpack_from("<8i", data, at + 68)
        if self.in1 == NONE:
            self.in1 = None


class Blob:
    """A blob that passed the check. data: its bytes; tile(i), segment ends are read from them."""

    def __init__(self, data, with_data=True):
        """Errors: BlobError, naming what is wrong and where."""
        self.data = data = memoryview(data)
        if native:
            status, at, fault = native.check(data, with_data)
            if status:
                from .faults import text

                refuse(status, text(fault) if fault else "buffer is not 4-byte aligned", at)
        else:
            self._check_door(with_data)
        self._read_header()
        if not native:
            self._check_tables()
        self.tensors = [Tensor(data, self._tensors + TENSOR * i) for i in range(self._n_tensors)]
        self.ops = [Op(data, self._ops + OP * i) for i in range(self._n_ops)]
        if not native:
            self._check_tensors()
            self._check_ops()
            self._check_plan()

    def _read_header(self):
        data = self.data
        self.total, self.meta, self.meta_crc, self.data_crc = struct.unpack_from("<4I", data, 8)
        self.nvm_kind = data[25]
        self.arena_size, self.scratch_size, self.nvm_size = struct.unpack_from("<3I", data, 28)
        self._n_tensors, self._n_ops, self.n_tiles, self.n_segments = struct.unpack_from(
            "<HHII", data, 40
        )
        (self._tensors, self._ops, self.tiles, self.segments,
         self.strings) = struct.unpack_from("<5I", data, 52)  # fmt: skip
        self.input, self.output = struct.unpack_from("<HH", data, 76)

    def _check_door(self, with_data):
        data, size = self.data, len(self.data)
        if size < HEADER:
            refuse(TRUNCATED, "shorter than a header", size)
        if bytes(data[:4]) != b"RLUM":
            refuse(MAGIC, "magic is not RLUM", 0)
        if data[4] != MAJOR or data[5] > MINOR:
            refuse(VERSION, "version", 4)
        self._read_header()
        if self.total > size:
            refuse(TRUNCATED, "total_size is more than there is", 8)
        if not HEADER <= self.meta <= self.total:
            refuse(BOUNDS, "meta_size", 12)
        self._check_crcs(with_data)
        if data[24] != 0:
            refuse(KIND, "weights laid out for another core: plan --core portable", 24)

    def _check_crcs(self, with_data):
        crc = crc32(b"\0\0\0\0", crc32(self.data[:16], 0))
        if crc32(self.data[20:self.meta], crc) & 0xFFFFFFFF != self.meta_crc:
            refuse(CRC, "metadata checksum", 16)
        if with_data and crc32(self.data[self.meta:self.total], 0) & 0xFFFFFFFF != self.data_crc:
            refuse(CRC, "constants checksum", 20)

    def _check_tables(self):
        low = HEADER
        for at, count, entry in (
            (self._tensors, self._n_tensors, TENSOR), (self._ops, self._n_ops, OP),
            (self.tiles, self.n_tiles, TILE), (self.segments, self.n_segments, SEGMENT),
        ):  # fmt: skip
            if at % 4 or at < low or at + count * entry > self.meta or count == 0:
                refuse(BOUNDS, "section outside the metadata", 52)
            low = at + count * entry
        if self.input >= self._n_tensors or self.output >= self._n_tensors:
            refuse(BOUNDS, "input or output", 76)

    def _check_tensors(self):
        at = self._tensors
        for t in self.tensors:
            if t.size != t.h * t.w * t.c or t.size == 0 or not -128 <= t.zero <= 127:
                refuse(SHAPE, "tensor", at)
            if t.arena + t.size > self.arena_size or t.home + t.size > self.nvm_size:
                refuse(BOUNDS, "tensor outside the arena or the home area", at)
            at += TENSOR

    def _check_ops(self):
        n = len(self.tensors)
        for op in self.ops:
            if not CONV_2D <= op.kind <= CONCATENATION or op.kernel:
                refuse(KIND, "op kind", op.at)
            if op.in0 >= n or op.out >= n or (op.in1 is not None and op.in1 >= n):
                refuse(BOUNDS, "tensor of an op", op.at + 4)
            if op.units * op.unit_bytes != self.tensors[op.out].size:
                refuse(SHAPE, "units", op.at + 12)
            for start, length in self._constants(op):
                if start and not self.meta <= start <= start + length <= self.total:
                    refuse(BOUNDS, "constants outside the blob", op.at + 48)

            if not _fits(op, self.tensors):
                refuse(SHAPE, "shapes or parameters of an op", op.at)

    def _constants(self, op):
        channels = self.tensors[op.out].c
        return (
            (op.weights, op.w_size), (op.bias, 4 * channels), (op.mult, 4 * channels),
            (op.shift, channels),
        )  # fmt: skip

    def _check_plan(self):
        done = [0] * len(self.ops)
        for i in range(self.n_tiles):
            op, first, count = self.tile(i)
            at = self.tiles + TILE * i
            if op >= len(done) or first != done[op] or count == 0:
                refuse(PLAN, "tile does not follow the one before", at)
            done[op] += count
        for op, units in zip(self.ops, done):
            if op.units != units:
                refuse(PLAN, "tiles do not cover the op", op.at)
        end = 0
        for i in range(self.n_segments):
            if self.end_of(i) <= end:
                refuse(PLAN, "segments do not rise", self.segments + SEGMENT * i)
            end = self.end_of(i)
        if end != self.n_tiles:
            refuse(PLAN, "segments do not cover the tiles", 48)

    def tile(self, i):
        """(op number, first unit, units) of tile i."""
        op, _, first, count = struct.unpack_from("<HHII", self.data, self.tiles + TILE * i)
        return op, first, count

    def end_of(self, segment):
        """The tile behind a segment."""
        return struct.unpack_from("<I", self.data, self.segments + SEGMENT * segment)[0]

    def text(self, at):
        """The string whose offset stands at `at` of the header."""
        start = self.strings + struct.unpack_from("<I", self.data, at)[0]
        end = start
        while self.data[end]:
            end += 1
        return str(bytes(self.data[start:end]), "utf-8")


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
