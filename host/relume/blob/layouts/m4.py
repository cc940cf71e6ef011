"""The Cortex-M4 kernel of an op, if one is proven for it (SPEC 2.7.2)."""

from __future__ import annotations

from relume.blob.layouts import m4_add, m4_conv, m4_depthwise
from relume.blob.layouts.packed import Packed
from relume.model.graph import Kind, Op, Tensor


def lay_out(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Packed | None:
    """The op's constants for its kernel; None: the portable kernel, and `refusal` says why."""
    try:
        return _of_kind(op, sources, out)
    except m4_conv.Unfit:
        return None


def refusal(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> str | None:
    """Why an op has to stay with the portable kernel; None: it has not."""
    try:
        _of_kind(op, sources, out)
    except m4_conv.Unfit as reason:
        return str(reason)
    return None


def _of_kind(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Packed:
    if op.kind is Kind.CONV_2D:
        return m4_conv.conv(op, sources[0], out)
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return m4_depthwise.depthwise(op, sources[0], out)
    if op.kind is Kind.FULLY_CONNECTED:
        return m4_conv.dense(op, sources[0], out)
    if op.kind is Kind.ADD:
        if any(source.shape != out.shape for source in sources) or len(sources) != 2:
            raise m4_conv.Unfit("an operand that is repeated or constant")
        return m4_add.add(op, sources[0], sources[1], out)
    raise m4_conv.Unfit("no kernel for this kind")
