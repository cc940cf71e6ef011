"""Computes what a model computes of shapes alone: int32 and int64 tensors that no input changes.

Exports of Keras models measure their tensors while they run (SHAPE, STRIDED_SLICE, PACK before a
RESHAPE or a resize). All shapes are fixed here, so these ops are constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.model.slices import strided_index
from relume.model.tflite_file import RawModel, RawOp, RawTensor

Array = npt.NDArray[np.int64]
Values = list[Array]
TYPES = {"INT32": "<i4", "INT64": "<i8"}
MAX_ELEMENTS = 1024


class _NotConstant(Exception):
    """The op cannot be computed here; it stays as it is."""


def with_constants(raw: RawModel) -> RawModel:
    """The model with those tensors as constants and without the ops that computed them."""
    known = _Known(raw)
    left = []
    for op in raw.ops:
        if not known.computes(op):
            known.settle(op)
            left.append(op)
    return replace(raw, tensors=tuple(known.tensors), ops=tuple(left))


class _Known:
    """The tensors of a model, constants added as they are found."""

    def __init__(self, raw: RawModel) -> None:
        self.tensors = list(raw.tensors)
        self.kept = {*raw.inputs, *raw.outputs}
        self.found: set[int] = set()  # tensors whose value or shape was worked out here

    def computes(self, op: RawOp) -> bool:
        """Makes op's output a constant if its inputs are; the op is not needed then."""
        if op.kind not in _OPS or len(op.outputs) != 1 or op.outputs[0] in self.kept:
            return False
        target = self.tensors[op.outputs[0]]
        if target.type not in TYPES or target.data is not None or target.special:
            return False
        try:
            value = np.asarray(_OPS[op.kind](self, op), dtype=np.int64)
        except (_NotConstant, ValueError, IndexError, TypeError, OverflowError, MemoryError):
            return False  # numpy refuses what makes no sense; so does the lowering, with its name
        stored = value.astype(TYPES[target.type])
        if value.size > MAX_ELEMENTS or not np.array_equal(stored, value):
            return False
        data = np.frombuffer(stored.tobytes(), np.uint8)
        self.tensors[op.outputs[0]] = replace(target, shape=value.shape, data=data)
        self.found.add(op.outputs[0])
        return True

    def settle(self, op: RawOp) -> None:
        """The shape of an output that the file leaves open, as its op's input tells it.

        A RESHAPE to a computed shape has ones for the axes that the converter did not know, and so
        has a FULLY_CONNECTED behind it (Keras' Dense on more than two axes).
        """
        if len(op.inputs) < 2 or min(op.inputs[:2]) < 0 or len(op.outputs) != 1:
            return
        source, target = self.tensors[op.inputs[0]], self.tensors[op.outputs[0]]
        if op.kind == "RESHAPE" and op.inputs[1] in self.found:
            shape = tuple(int(axis) for axis in self.value(op, 1).reshape(-1))
            rest = math.prod(axis for axis in shape if axis != -1)
            open_axis = source.elements // rest if rest > 0 else 0
            shape = tuple(open_axis if axis == -1 else axis for axis in shape)
        elif op.kind == "FULLY_CONNECTED" and op.inputs[0] in self.found:
            weights = self.tensors[op.inputs[1]].shape
            if len(weights) != 2 or weights[1] < 1 or source.elements % weights[1]:
                return
            shape = (source.elements // weights[1], weights[0])
        else:
            return
        wanted = source.elements if op.kind == "RESHAPE" else math.prod(shape)
        if math.prod(shape) == wanted and target.elements != wanted:
            self.tensors[op.outputs[0]] = replace(target, shape=shape)
            self.found.add(op.outputs[0])

    def tensor(self, op: RawOp, place: int) -> RawTensor:
        """Input `place`."""
        if place >= len(op.inputs) or op.inputs[place] < 0:
            raise _NotConstant
        return self.tensors[op.inputs[place]]

    def value(self, op: RawOp, place: int) -> Array:
        """Constant input `place`."""
        tensor = self.tensor(op, place)
        size = np.dtype(TYPES.get(tensor.type, "<i4")).itemsize
        if tensor.data is None or tensor.type not in TYPES or tensor.special:
            raise _NotConstant
        if min(tensor.shape, default=0) < 0 or not 0 <= tensor.elements <= MAX_ELEMENTS:
            raise _NotConstant
        if tensor.elements * size != tensor.data.size:
            raise _NotConstant
        flat = np.frombuffer(tensor.data.tobytes(), TYPES[tensor.type])
        return flat.astype(np.int64).reshape(tensor.shape)

    def values(self, op: RawOp) -> Values:
        """All inputs."""
        return [self.value(op, place) for place in range(len(op.inputs))]


def _shape(known: _Known, op: RawOp) -> Any:
    shape = known.tensor(op, 0).shape
    if any(axis < 1 for axis in shape):
        raise _NotConstant
    return shape


def _rank(known: _Known, op: RawOp) -> Any:
    return len(known.tensor(op, 0).shape)


def _strided_slice(known: _Known, op: RawOp) -> Any:
    source, *ranges = known.values(op)
    begin, end, strides = ([int(x) for x in one.reshape(-1)] for one in ranges)
    return source[strided_index(op.options, begin, end, strides)]


def _slice(known: _Known, op: RawOp) -> Any:
    source, begin, size = known.values(op)
    ends = [None if n == -1 else b + n for b, n in zip(begin, size, strict=True)]
    return source[tuple(slice(b, e) for b, e in zip(begin, ends, strict=True))]


def _gather(known: _Known, op: RawOp) -> Any:
    source, indices = known.values(op)
    if op.options["batch_dims"] or indices.min(initial=0) < 0:
        raise _NotConstant
    return source.take(indices, int(op.options["axis"]))


def _same(known: _Known, op: RawOp) -> Any:
    """CAST between integers, and whatever only changes the shape, which is in the file."""
    value, shape = known.value(op, 0), known.tensors[op.outputs[0]].shape
    if op.kind == "CAST":
        return value
    return value.reshape(shape)


def _product(known: _Known, op: RawOp) -> Any:
    source, axes = known.values(op)
    keep = bool(op.options["keep_dims"])
    return source.prod(axis=tuple(int(axis) for axis in axes.reshape(-1)), keepdims=keep)


def _fill(known: _Known, op: RawOp) -> Any:
    dims, value = known.values(op)
    if math.prod(int(n) for n in dims) > MAX_ELEMENTS or value.size != 1:
        raise _NotConstant
    return np.full([int(n) for n in dims], int(value.reshape(-1)[0]))


def _floor_div(first: Array, second: Array) -> Array:
    if np.any(second == 0):
        raise _NotConstant
    return np.floor_divide(first, second)


def _binary(compute: Callable[[Array, Array], Any]) -> Callable[[_Known, RawOp], Any]:
    def lower(known: _Known, op: RawOp) -> Any:
        first, second = known.values(op)
        if op.options.get("activation", "NONE") != "NONE":
            raise _NotConstant
        if max(abs(first).max(initial=0), abs(second).max(initial=0)) > np.iinfo(np.int32).max:
            raise _NotConstant  # the result stays within int64
        return compute(first, second)

    return lower


_OPS: dict[str, Callable[[_Known, RawOp], Any]] = {
    "SHAPE": _shape,
    "RANK": _rank,
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "GATHER": _gather,
    "PACK": lambda known, op: np.stack(known.values(op), int(op.options["axis"])),
    "CONCATENATION": lambda known, op: np.concatenate(known.values(op), int(op.options["axis"])),
    "CAST": _same,
    "RESHAPE": _same,
    "SQUEEZE": _same,
    "EXPAND_DIMS": _same,
    "REDUCE_PROD": _product,
    "FILL": _fill,
    "ADD": _binary(np.add),
    "SUB": _binary(np.subtract),
    "MUL": _binary(np.multiply),
    "MAXIMUM": _binary(np.maximum),
    "MINIMUM": _binary(np.minimum),
    "FLOOR_DIV": _binary(_floor_div),
}
