"""Which kernel computes an op on a core: the fastest whose proof holds, or none (portable)."""

from __future__ import annotations

import functools

from relume.blob.layouts import m0plus_add, m0plus_conv, m0plus_depthwise, m4
from relume.blob.layouts.packed import Packed, Refusal
from relume.model.graph import Graph, Kind, Op, Tensor

PORTABLE, M0PLUS, M4 = "portable", "m0plus", "m4"
CORES = {PORTABLE: 0, M0PLUS: 1, M4: 2}  # header.core, SPEC 2.1
_WEIGHTED = (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED)
_NAMES = {M0PLUS: "Cortex-M0+", M4: "Cortex-M4"}


def lay_out(core: str, graph: Graph, op: Op) -> Packed | None:
    """The op's constants for a fast kernel of `core`; None: the portable kernel and layout."""
    chosen = choose(core, graph, op)
    return chosen if isinstance(chosen, Packed) else None


def choose(core: str, graph: Graph, op: Op) -> Packed | Refusal:
    """The op's constants for a fast kernel of `core`, or why the portable kernel computes it."""
    sources = tuple(graph.tensors[number] for number in op.inputs)
    return _choose(core, op, sources, graph.tensors[op.output])


@functools.lru_cache(maxsize=4096)
def _choose(core: str, op: Op, sources: tuple[Tensor, ...], out: Tensor) -> Packed | Refusal:
    if core not in _NAMES:
        return Refusal("the board has no kernels of its core")
    found, reason = (_m0plus if core == M0PLUS else _m4)(op, sources, out)
    return found or Refusal(reason or f"no {_NAMES[core]} kernel for {op.kind.name}")


def _m4(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> tuple[Packed | None, str | None]:
    found = m4.lay_out(op, sources, out)
    served = op.kind in (*_WEIGHTED, Kind.ADD)
    return found, m4.refusal(op, sources, out) if found is None and served else None


def _m0plus(op: Op, sources: tuple[Tensor, ...], out: Tensor) -> tuple[Packed | None, str | None]:
    if op.kind is Kind.ADD:
        found = m0plus_add.lay_out(op, sources, out)
        return found, None if found else "no linear form is exact for all pairs of bytes"
    if op.kind not in _WEIGHTED:
        return None, None
    layout = m0plus_depthwise if op.kind is Kind.DEPTHWISE_CONV_2D else m0plus_conv
    found = layout.lay_out(op, sources[0], out)
    return found, layout.refusal(op, sources[0], out) if found is None else None
