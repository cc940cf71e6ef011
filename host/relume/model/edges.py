"""Takes a QUANTIZE of a float32 model input and a DEQUANTIZE of the output out of a file's ops.

The host does their work: it quantises what it sends as TFLite does (relume.link.inputs).
"""

from __future__ import annotations

from dataclasses import replace

from relume.model.tflite_file import RawModel, RawOp

FLOAT = "FLOAT32"


def without_float_edges(raw: RawModel) -> RawModel:
    """The model from its first to its last int8 tensor; the same object if nothing is float."""
    if len(raw.inputs) != 1 or len(raw.outputs) != 1:
        return raw
    readers = [op for op in raw.ops if raw.inputs[0] in op.inputs]
    if len(readers) == 1 and _is_edge(raw, readers[0], "QUANTIZE", FLOAT, "INT8"):
        raw = replace(raw, inputs=readers[0].outputs, ops=_but(raw, readers[0]))
    writers = [op for op in raw.ops if raw.outputs[0] in op.outputs]
    if len(writers) == 1 and _is_edge(raw, writers[0], "DEQUANTIZE", "INT8", FLOAT):
        raw = replace(raw, outputs=writers[0].inputs, ops=_but(raw, writers[0]))
    return raw


def _but(raw: RawModel, gone: RawOp) -> tuple[RawOp, ...]:
    return tuple(op for op in raw.ops if op is not gone)


def _is_edge(raw: RawModel, op: RawOp, kind: str, source: str, target: str) -> bool:
    if op.kind != kind or len(op.inputs) != 1 or len(op.outputs) != 1 or op.inputs[0] < 0:
        return False
    types = (raw.tensors[op.inputs[0]].type, raw.tensors[op.outputs[0]].type)
    return types == (source, target)
