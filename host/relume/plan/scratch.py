"""SRAM that kernels use during a tile, as rl_engine_scratch (SPEC 2.4, 2.7)."""

from __future__ import annotations

from relume.blob.layouts.select import lay_out
from relume.model.graph import Graph, Kind, Op


def op_scratch(graph: Graph, core: str, op: Op) -> int:
    """Scratch bytes of a tile of op."""
    fast = lay_out(core, graph, op)
    if fast is not None:
        return fast.scratch
    if op.kind is not Kind.CONV_2D:
        return 0
    return 4 * op.window.kh * op.window.kw * graph.tensors[op.inputs[0]].shape[2]
