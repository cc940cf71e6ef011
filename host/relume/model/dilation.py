"""SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND become one dilated convolution.

That is how TensorFlow once wrote dilation: each of the block's phases is convolved as an image of
its own. Output (y, x) then reads the input at y + crop - pad + tap * block, which a dilated window
says at once; what SPACE_TO_BATCH_ND pads is the zero point, as what a window has outside is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.model.tflite_file import RawModel, RawOp, RawTensor

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def with_dilations(raw: RawModel) -> RawModel:
    """The model with every such triple as one op; others stay as they are."""
    readers: dict[int, list[RawOp]] = {}
    for op in raw.ops:
        for tensor in op.inputs:
            readers.setdefault(tensor, []).append(op)
    made: dict[int, RawOp] = {}
    gone: set[int] = set()
    for first in raw.ops:
        triple = _triple(raw, readers, first)
        if triple is not None:
            convolution = _dilated(raw, *triple)
            if convolution is not None:
                # In the place of the last op: bias and weights are constants, the input is there.
                made[triple[2].number] = convolution
                gone |= {op.number for op in triple[:2]}
    ops = tuple(made.get(op.number, op) for op in raw.ops if op.number not in gone)
    return replace(raw, ops=ops)


def _triple(
    raw: RawModel, readers: dict[int, list[RawOp]], first: RawOp
) -> tuple[RawOp, RawOp, RawOp] | None:
    """SPACE_TO_BATCH_ND with the two ops behind it, if nothing else reads in between."""
    if first.kind != "SPACE_TO_BATCH_ND":
        return None
    chain = [first]
    for kinds in (CONVOLUTIONS, ("BATCH_TO_SPACE_ND",)):
        outputs = chain[-1].outputs
        if len(outputs) != 1 or outputs[0] in raw.outputs:
            return None
        behind = readers.get(outputs[0], [])
        if len(behind) != 1 or behind[0].kind not in kinds or behind[0].inputs[0] != outputs[0]:
            return None
        chain.append(behind[0])
    return (chain[0], chain[1], chain[2]) if len(chain[2].outputs) == 1 else None


def _dilated(raw: RawModel, first: RawOp, conv: RawOp, last: RawOp) -> RawOp | None:
    """The one convolution; None where the three are something else."""
    block, pads = _pairs(raw, first)
    same_block, crops = _pairs(raw, last)
    steps = [conv.options[name] for name in ("stride_h", "stride_w", "dilation_h", "dilation_w")]
    if block is None or block != same_block or len(block) != 2 or min(block) < 1:
        return None
    if pads is None or crops is None or len(pads) != 4 or len(crops) != 4:
        return None
    if steps != [1, 1, 1, 1] or conv.options["padding"] != "VALID":
        return None
    if len(conv.inputs) < 2 or conv.inputs[1] < 0 or len(raw.tensors[conv.inputs[1]].shape) != 4:
        return None
    source, inner = raw.tensors[first.inputs[0]], raw.tensors[first.outputs[0]]
    result, out = raw.tensors[conv.outputs[0]], raw.tensors[last.outputs[0]]
    if not (_alike(source, inner) and _alike(result, out)):
        return None
    before = (pads[0] - crops[0], pads[2] - crops[2])
    sizes = [source.shape[1 + n] + sum(pads[2 * n : 2 * n + 2]) for n in range(2)]
    taps = raw.tensors[conv.inputs[1]].shape[1:3]
    reach = [(n - 1) * step for n, step in zip(taps, block, strict=True)]
    ends = [sizes[n] - reach[n] - sum(crops[2 * n : 2 * n + 2]) for n in range(2)]
    fits = all(size % step == 0 for size, step in zip(sizes, block, strict=True))
    if min(before) < 0 or min(*pads, *crops) < 0 or not fits or tuple(ends) != out.shape[1:3]:
        return None
    options = conv.options | {
        "dilation_h": block[0], "dilation_w": block[1], "padding": "EXPLICIT", "before": before,
    }  # fmt: skip
    inputs = (first.inputs[0], *conv.inputs[1:])
    return RawOp(conv.number, conv.kind, inputs, last.outputs, options)


def _alike(first: RawTensor, second: RawTensor) -> bool:
    """int8 with four axes and one quantization."""
    return (
        len(first.shape) == len(second.shape) == 4
        and first.scales == second.scales
        and first.zero_points == second.zero_points
    )


def _pairs(raw: RawModel, op: RawOp) -> tuple[list[int] | None, list[int] | None]:
    """(block, paddings or crops) of an op; None: not constant."""
    if len(op.inputs) != 3 or min(op.inputs) < 0:
        return None, None
    found: list[list[int] | None] = []
    for number in op.inputs[1:]:
        tensor = raw.tensors[number]
        if tensor.data is None or tensor.type != "INT32" or tensor.data.size not in (8, 16):
            return None, None
        found.append(np.frombuffer(tensor.data.tobytes(), "<i4").tolist())
    return found[0], found[1]
