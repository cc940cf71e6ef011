"""The graph that everything behind the reader works on: int8 ops over int8 tensors.

Weights are already in the layout of SPEC 2.4 and quantization is already integer, so a graph can
be executed, planned and packed without looking at TFLite again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Shape = tuple[int, int, int]
Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]


class Kind(IntEnum):
    """Op kinds, numbered as in SPEC 2.4."""

    CONV_2D = 1
    DEPTHWISE_CONV_2D = 2
    FULLY_CONNECTED = 3
    AVERAGE_POOL_2D = 4
    MAX_POOL_2D = 5
    ADD = 6
    SOFTMAX = 7
    PAD = 8
    MEAN = 9
    RESHAPE = 10
    MAP = 11
    MUL = 12
    GATHER = 13
    CONCATENATION = 14


class HostType(IntEnum):
    """What the file's input or output holds, numbered as in SPEC 2.1; the graph's is int8."""

    INT8 = 1
    UINT8 = 2
    FLOAT32 = 3


PIXEL_KINDS = frozenset(
    {Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.AVERAGE_POOL_2D, Kind.MAX_POOL_2D, Kind.PAD}
)
WINDOW_KINDS = PIXEL_KINDS - {Kind.PAD}
PAIR_KINDS = frozenset({Kind.ADD, Kind.MUL})
WEIGHT_KINDS = frozenset({Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED})


@dataclass(frozen=True)
class Tensor:
    """An int8 activation tensor. shape is (h, w, c); N is 1."""

    name: str
    shape: Shape
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Window:
    """Filter size, stride, padding at top and left, dilation (1 = dense), in elements."""

    kh: int = 0
    kw: int = 0
    sh: int = 0
    sw: int = 0
    pad_top: int = 0
    pad_left: int = 0
    dil_h: int = 0
    dil_w: int = 0


@dataclass(frozen=True, eq=False)
class Op:
    """One layer. multipliers and shifts are TFLite's, one per output channel (weight kinds).

    weights: CONV_2D [out.c][kh][kw][in.c], DEPTHWISE_CONV_2D [kh][kw][out.c], FULLY_CONNECTED
    [out.c][k], MAP [256], ADD and MUL [h][w][c] of a constant operand, GATHER its maps (i32
    little-endian) as bytes. bias: [out.c] or None. p: by kind, SPEC 2.4. number: the op's place
    in the source.
    """

    kind: Kind
    name: str
    inputs: tuple[int, ...]
    output: int
    number: int = 0
    window: Window = Window()
    depth_mult: int = 0
    act_min: int = -128
    act_max: int = 127
    weights: Int8Array | None = None
    bias: Int32Array | None = None
    multipliers: Int32Array | None = None
    shifts: Int8Array | None = None
    p: tuple[int, ...] = ()

    @property
    def signs(self) -> tuple[int, int]:
        """+1 or -1 for each operand of ADD: SUB negates one."""
        flags = self.p[7] if len(self.p) > 7 else 0
        return (-1 if flags & 1 else 1), (-1 if flags & 2 else 1)

    @property
    def constant_zero_point(self) -> int:
        """Zero point of the constant operand of ADD and MUL."""
        byte = self.p[7] >> 8 & 0xFF
        return byte - 256 if byte > 127 else byte

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights alone."""
        return 0 if self.weights is None else int(self.weights.size)

    @property
    def constant_bytes(self) -> int:
        """Bytes of weights, bias, multipliers and shifts."""
        arrays = (self.weights, self.bias, self.multipliers, self.shifts)
        return sum(int(array.nbytes) for array in arrays if array is not None)


@dataclass(frozen=True)
class Kept:
    """Channels of a tensor of the file that are still there, in rising order.

    constants: of each channel of the file its byte if it is gone and was constant, else None.
    """

    channels: tuple[int, ...]
    constants: tuple[int | None, ...]

    def restored(self, data: bytes) -> bytes:
        """The file's tensor for the bytes that are left; 0 where nobody reads it."""
        left = np.frombuffer(data, dtype=np.int8).reshape(-1, len(self.channels))
        pixel = np.array([constant or 0 for constant in self.constants], dtype=np.int8)
        whole = np.tile(pixel, (len(left), 1))
        whole[:, self.channels] = left
        return whole.tobytes()

    def masked(self, data: bytes) -> bytes:
        """The file's tensor with 0 where nobody reads it."""
        whole = np.frombuffer(data, dtype=np.int8).reshape(-1, len(self.constants)).copy()
        gone = set(range(len(self.constants))) - set(self.channels)
        whole[:, [c for c in gone if self.constants[c] is None]] = 0
        return whole.tobytes()

    def narrowed(self, data: bytes) -> bytes:
        """The bytes that are left of the file's tensor."""
        whole = np.frombuffer(data, dtype=np.int8).reshape(-1, len(self.constants))
        return whole[:, self.channels].tobytes()


@dataclass(frozen=True)
class Graph:
    """Ops in execution order. tensor_of: TFLite tensor number -> tensor number here.

    kept: tensors here that have fewer channels than the file's (relume.model.dead).
    input_type, output_type: what the file has, the host converts (relume.model.edges).
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    input: int
    output: int
    tensor_of: Mapping[int, int] = field(default_factory=dict)
    kept: Mapping[int, Kept] = field(default_factory=dict)
    input_type: HostType = HostType.INT8
    output_type: HostType = HostType.INT8

    def unit_bytes(self, op: Op) -> int:
        """Bytes of one unit of op's output (SPEC 1)."""
        out = self.tensors[op.output].shape
        return out[2] if op.kind in PIXEL_KINDS or op.kind is Kind.SOFTMAX else 1

    def units(self, op: Op) -> int:
        """Units of op's output."""
        return self.tensors[op.output].size // self.unit_bytes(op)

    def macs_per_unit(self, op: Op) -> int:
        """Multiply-accumulates (window elements for pools and MEAN) of one interior unit."""
        in_h, in_w, in_c = self.tensors[op.inputs[0]].shape
        out = self.tensors[op.output]
        taps = op.window.kh * op.window.kw
        if op.kind is Kind.CONV_2D:
            return taps * in_c * out.shape[2]
        if op.kind in WINDOW_KINDS:
            return taps * out.shape[2]
        if op.kind is Kind.FULLY_CONNECTED:
            return op.weight_bytes // out.shape[2]
        if op.kind is Kind.MEAN:
            return in_h * in_w * in_c // out.size
        return 0

    def macs(self, op: Op) -> int:
        """Multiply-accumulates of the whole op, padding taps included."""
        return self.macs_per_unit(op) * self.units(op)

    def readers(self, tensor: int) -> list[int]:
        """Numbers of the ops that read a tensor."""
        return [number for number, op in enumerate(self.ops) if tensor in op.inputs]
