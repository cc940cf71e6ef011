"""Where an op stays with the portable kernel, the reason is told."""

from __future__ import annotations

import numpy as np
import pytest
from relume.blob.layouts.packed import Packed, Refusal
from relume.blob.layouts.select import choose, lay_out
from relume.model.graph import Graph, Int8Array, Kind, Op, Tensor, Window
from relume.model.quantize import per_channel

CORES = ("m0plus", "m4")


def net(kind: Kind, window: Window, weights: Int8Array | None, mult: int = 0) -> Graph:
    """An op on 4 x 4 x 4 bytes, whose output has the same shape."""
    params = (None, None) if weights is None else per_channel(1.0, [0.01] * 4, 1.0, 4)
    op = Op(kind, "op", (0,), 1, 0, window, mult, -128, 127, weights, None, *params)
    tensors = tuple(Tensor(name, (4, 4, 4), 1.0, 0) for name in "xy")
    return Graph("net", tensors, (op,), 0, 1)


def conv(window: Window, fill: int = 3) -> Graph:
    return net(Kind.CONV_2D, window, np.full((4, 1, 1, 4), fill, np.int8))


ONE = Window(1, 1, 1, 1, 0, 0, 1, 1)
POOL = net(Kind.MAX_POOL_2D, ONE, None)


@pytest.mark.parametrize("core", CORES)
def test_a_proven_op_has_a_layout_with_a_note(core: str) -> None:
    graph = conv(ONE)
    found = choose(core, graph, graph.ops[0])
    assert isinstance(found, Packed) and found.note
    assert lay_out(core, graph, graph.ops[0]) is found


@pytest.mark.parametrize(
    ("core", "graph", "reason"),
    [
        ("m0plus", POOL, "no Cortex-M0+ kernel for MAX_POOL_2D"),
        ("m4", POOL, "no Cortex-M4 kernel for MAX_POOL_2D"),
        ("m0plus", conv(Window(1, 1, 1, 1, 0, 0, 2, 2)), "dilation"),
        ("m4", conv(ONE, -128), "-128"),
        ("portable", conv(ONE), "no kernels of its core"),
    ],
)
def test_a_refused_op_has_a_reason(core: str, graph: Graph, reason: str) -> None:
    found = choose(core, graph, graph.ops[0])
    assert isinstance(found, Refusal) and reason in found.reason
    assert lay_out(core, graph, graph.ops[0]) is None
