"""The Cortex-M4 kernel of an op, if one is proven for it (SPEC 2.7.2)."""

from __future__ import annotations

from relume.blob.layouts import m4_conv, m4_depthwise
from relume.blob.layouts.packed import Packed
from relume.model.graph import Kind, Op, Tensor

_KINDS = {
    Kind.CONV_2D: m4_conv.conv,
    Kind.DEPTHWISE_CONV_2D: m4_depthwise.depthwise,
    Kind.FULLY_CONNECTED: m4_conv.dense,
}


def lay_out(op: Op, source: Tensor, out: Tensor) -> Packed | None:
    """The op's constants for its kernel; None: the portable kernel, and `refusal` says why."""
    try:
        return _KINDS[op.kind](op, source, out) if op.kind in _KINDS else None
    except m4_conv.Unfit:
        return None


def refusal(op: Op, source: Tensor, out: Tensor) -> str | None:
    """Why an op has to stay with the portable kernel; None: it has not."""
    if op.kind not in _KINDS:
        return "no kernel for this kind"
    try:
        _KINDS[op.kind](op, source, out)
    except m4_conv.Unfit as reason:
        return str(reason)
    return None
