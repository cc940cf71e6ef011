"""A .rlm blob, checked and read in place (docs/SPEC.md 2).

Without the native module only plans for portable kernels.
"""

import struct

from .status import RELUME, refuse

try:
    import _relume_native as native
except ImportError:
    native = None
if native and getattr(native, "VERSION", "older") != RELUME:
    raise ImportError("_relume_native is of relume %s, relume_pure of %s: relume deploy brings both"
                      % (getattr(native, "VERSION", "older"), RELUME))  # fmt: skip

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
            from . import checker

            checker.door(self, with_data)
        self.read_header()
        if not native:
            checker.tables(self)
        self.tensors = [Tensor(data, self.at_tensors + TENSOR * i) for i in range(self.n_tensors)]
        self.ops = [Op(data, self.at_ops + OP * i) for i in range(self.n_ops)]
        if not native:
            checker.tensors(self)
            checker.ops(self)
            checker.plan(self)

    def read_header(self):
        """Fields of the header that are used later."""
        data = self.data
        self.total, self.meta, self.meta_crc, self.data_crc = struct.unpack_from("<4I", data, 8)
        self.nvm_kind = data[25]
        self.arena_size, self.scratch_size, self.nvm_size = struct.unpack_from("<3I", data, 28)
        self.n_tensors, self.n_ops, self.n_tiles, self.n_segments = struct.unpack_from(
            "<HHII", data, 40
        )
        (self.at_tensors, self.at_ops, self.tiles, self.segments,
         self.strings) = struct.unpack_from("<5I", data, 52)  # fmt: skip
        self.input, self.output = struct.unpack_from("<HH", data, 76)

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
