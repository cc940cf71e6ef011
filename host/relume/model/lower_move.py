"""Lowering of the ops that move bytes and change none: PAD, RESHAPE and its kin."""

from __future__ import annotations

import numpy as np

from relume.model.graph import Kind, Op
from relume.model.lower_common import (
    MAX_AXIS,
    Lowerings,
    Site,
    Unsupported,
    activation_tensor,
    folded,
    loose_tensor,
    simple_op,
    source_tensor,
)


def _pad(site: Site) -> list[Op]:
    source, out = source_tensor(site, 0), activation_tensor(site.output())
    pairs = site.integers(1, "paddings")
    axes = len(site.tensor(0).shape)
    if len(pairs) != 2 * axes or any(not 0 <= pad <= MAX_AXIS for pad in pairs):
        raise Unsupported(f"paddings {pairs}")
    if axes > 3 and any(pairs[: 2 * (axes - 3)]):
        raise Unsupported("padding of the batch axis")
    last = [0] * (6 - 2 * min(axes, 3)) + pairs[-2 * min(axes, 3) :]
    expected = tuple(source.shape[i] + last[2 * i] + last[2 * i + 1] for i in range(3))
    if expected != out.shape:
        raise Unsupported(f"output {out.shape} instead of {expected} (damaged file)")
    value = out.zero_point
    if site.op.kind == "PADV2":
        constant = site.constant(2, {"INT8": "i1"}, "pad value")
        if constant.size != 1:
            raise Unsupported("pad value is not one number")
        value = int(constant.astype(np.int8).reshape(-1)[0])
    return [simple_op(site, Kind.PAD, (last[0], last[2], last[4], value))]


def _reshape(site: Site) -> list[Op]:
    source, out = loose_tensor(site, 0), activation_tensor(site.output(), folded)
    if source.size != out.size:
        raise Unsupported(f"{source.size} elements become {out.size} (damaged file)")
    if (source.scale, source.zero_point) != (out.scale, out.zero_point):
        raise Unsupported("quantization differs between input and output")
    return [simple_op(site, Kind.RESHAPE)]


LOWERINGS: Lowerings = {
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
}
