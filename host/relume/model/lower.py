"""One TFLite op -> ops of the graph, or the reason why not: the table of all lowerings."""

from __future__ import annotations

from relume.model import lower_gather, lower_join, lower_math, lower_move, lower_window
from relume.model.graph import Op, Tensor
from relume.model.lower_common import Lowerings, Site, Unsupported, activation_tensor
from relume.model.tflite_file import RawModel, RawOp

__all__ = ["LOWERINGS", "RESHAPES", "Unsupported", "activation_tensor", "lower"]

RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
LOWERINGS: Lowerings = {
    **lower_window.LOWERINGS, **lower_math.LOWERINGS, **lower_move.LOWERINGS,
    **lower_gather.LOWERINGS, **lower_join.LOWERINGS,
}  # fmt: skip


def lower(raw: RawModel, op: RawOp, fresh: int) -> tuple[list[Op], dict[int, Tensor]]:
    """Ops of one TFLite op, and tensors that it adds (numbers from `fresh` on).

    Raises Unsupported with the reason.
    """
    if op.kind == "DEQUANTIZE":
        raise Unsupported("float input or output: convert with int8 in and out (relume convert)")
    if op.kind not in LOWERINGS:
        raise Unsupported("no kernel for this kind of layer")
    site = Site(raw, op, fresh)
    try:
        return LOWERINGS[op.kind](site), site.extra
    except ValueError as error:
        raise Unsupported(f"quantization: {error}") from error
