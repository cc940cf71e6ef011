"""Takes the conversions at a model's ends out of its ops: the host does their work.

Input: QUANTIZE of float32 or of uint8 to int8. Output: DEQUANTIZE of int8, or its QUANTIZE to
uint8. uint8 and int8 must have one scale and zero points 128 apart, so that a byte changes its
top bit alone; TFLite's converter makes no others. The host: relume.link.inputs and outputs.
"""

from __future__ import annotations

from dataclasses import replace

from relume.model.graph import HostType
from relume.model.tflite_file import RawModel, RawOp, RawTensor

UINT8 = "UINT8"
_Conversions = dict[tuple[str, str], str]  # (type read, type written) -> kind of op
_AT_INPUT: _Conversions = {("FLOAT32", "INT8"): "QUANTIZE", (UINT8, "INT8"): "QUANTIZE"}
_AT_OUTPUT: _Conversions = {("INT8", "FLOAT32"): "DEQUANTIZE", ("INT8", UINT8): "QUANTIZE"}


def without_edges(raw: RawModel) -> RawModel:
    """The model from its first to its last int8 tensor; the same object if nothing goes."""
    first, last = _first(raw), _last(raw)
    if first is not None and not _shift_fault(raw, first):
        raw = replace(raw, inputs=first.outputs, ops=_but(raw, first))
    if last is not None and not _shift_fault(raw, last):
        raw = replace(raw, outputs=last.inputs, ops=_but(raw, last))
    return raw


def edge_fault(raw: RawModel) -> str | None:
    """Why a uint8 input or output cannot be left to the host; None if nothing is wrong."""
    for what, edge in (("input", _first(raw)), ("output", _last(raw))):
        fault = _shift_fault(raw, edge) if edge is not None else ""
        if fault:
            name = raw.tensors[(raw.inputs if what == "input" else raw.outputs)[0]].name
            return f"model {what} {name}: {fault}"
    return None


def host_types(raw: RawModel) -> tuple[HostType, HostType]:
    """What the file's input and output are, of a model that can be run."""
    first, last = (raw.tensors[ends[0]].type for ends in (raw.inputs, raw.outputs))
    return HostType[first], HostType[last]


def _first(raw: RawModel) -> RawOp | None:
    """The conversion that alone reads the model's only input."""
    readers = [op for op in raw.ops if set(raw.inputs) & set(op.inputs)]
    return _conversion(raw, readers, _AT_INPUT) if len(raw.inputs) == 1 else None


def _last(raw: RawModel) -> RawOp | None:
    """The conversion that writes the model's only output."""
    writers = [op for op in raw.ops if set(raw.outputs) & set(op.outputs)]
    return _conversion(raw, writers, _AT_OUTPUT) if len(raw.outputs) == 1 else None


def _conversion(raw: RawModel, ops: list[RawOp], known: _Conversions) -> RawOp | None:
    """The only one of `ops`, if it is a known one."""
    if len(ops) != 1 or len(ops[0].inputs) != 1 or len(ops[0].outputs) != 1:
        return None
    if ops[0].inputs[0] < 0:
        return None
    types = (raw.tensors[ops[0].inputs[0]].type, raw.tensors[ops[0].outputs[0]].type)
    return ops[0] if known.get(types) == ops[0].kind else None


def _shift_fault(raw: RawModel, edge: RawOp) -> str:
    """Why an edge of uint8 is not an XOR of the top bit; empty if it is, or is of float32."""
    source, target = raw.tensors[edge.inputs[0]], raw.tensors[edge.outputs[0]]
    if UINT8 not in (source.type, target.type):
        return ""
    outer, inner = (source, target) if source.type == UINT8 else (target, source)
    if any(len(t.scales) != 1 or len(t.zero_points) != 1 for t in (outer, inner)):
        return "uint8 or int8 without one scale and zero point"
    same = outer.scales == inner.scales
    if same and outer.zero_points[0] - inner.zero_points[0] == 128:
        return ""
    return (
        f"uint8 with {_quantization(outer)} beside int8 with {_quantization(inner)}: only one "
        "scale and zero points 128 apart can be run"
    )


def _quantization(tensor: RawTensor) -> str:
    return f"scale {tensor.scales[0]:g}, zero point {tensor.zero_points[0]}"


def _but(raw: RawModel, gone: RawOp) -> tuple[RawOp, ...]:
    return tuple(op for op in raw.ops if op is not gone)
