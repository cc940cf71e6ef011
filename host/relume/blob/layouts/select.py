"""Which kernel computes an op on a core: the fastest whose proof holds, or none (portable)."""

from __future__ import annotations

import functools

from relume.blob.layouts import m0plus_add, m0plus_conv, m0plus_depthwise, m4
from relume.blob.layouts.packed import Packed
from relume.model.graph import Graph, Kind, Op, Tensor

PORTABLE, M0PLUS, M4 = "portable", "m0plus", "m4"
CORES = {PORTABLE: 0, M0PLUS: 1, M4: 2}  # header.core, SPEC 2.1


def lay_out(core: str, graph: Graph, op: Op) -> Packed | None:
    """The op's constants for a fast kernel of `core`; None: the portable kernel and layout."""
    sources = tuple(graph.tensors[number] for number in op.inputs)
    return _lay_out(core, op, sources, graph.tensors[op.output])


@functools.lru_cache(maxsize=4096)
def _lay_out(core: str, op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Packed | None:
    if core == M0PLUS:
        return _m0plus(op, sources, out)
    if core == M4:
        return m4.lay_out(op, sources, out)
    return None


def _m0plus(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Packed | None:
    if op.kind is Kind.DEPTHWISE_CONV_2D:
        return m0plus_depthwise.lay_out(op, sources[0], out)
    if op.kind is Kind.ADD:
        return m0plus_add.lay_out(op, sources, out)
    return m0plus_conv.lay_out(op, sources[0], out)
