"""Ops on values alone for random nets: unary ops, and ADD, SUB, MUL of operands of any shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

from tests.kernels.netbuilder import ACTIVATIONS, Node, Window, window_options

if TYPE_CHECKING:
    from tests.kernels.netgen import NetGenerator

UNARY = (
    "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "HARD_SWISH",
    "LOGISTIC", "TANH", "GELU", "ABS", "QUANTIZE",
)  # fmt: skip
PAIRS = {"ADD": "AddOptionsT", "SUB": "SubOptionsT", "MUL": "MulOptionsT"}
OPTIONS = {
    "LEAKY_RELU": "LeakyReluOptionsT", "HARD_SWISH": "HardSwishOptionsT", "ABS": "AbsOptionsT",
    "QUANTIZE": "QuantizeOptionsT", "GELU": "GeluOptionsT",
}  # fmt: skip
MAX_BYTES = 6000


def unary(gen: NetGenerator, node: Node) -> Node:
    """Any unary op."""
    kind = UNARY[int(gen.random.integers(len(UNARY)))]
    scale, zero = node.scale * float(np.exp(gen.random.uniform(-1.0, 0.5))), gen._quantization()[1]
    if kind == "LOGISTIC":
        scale, zero = 1 / 256, -128
    elif kind == "HARD_SWISH":  # TFLite refuses an output 128 times as fine as the input
        scale = max(scale, node.scale / 100)
    elif gen.random.random() < 0.1:
        scale, zero = node.scale, node.zero_point
    return unary_of(gen, kind, node, gen.net.activation(node.shape, scale, zero))


def unary_of(gen: NetGenerator, kind: str, node: Node, out: Node) -> Node:
    """One unary op with random options."""
    options = getattr(schema, OPTIONS[kind])() if kind in OPTIONS else None
    inputs = [node.number]
    if kind == "LEAKY_RELU":
        options.alpha = float(np.float32(gen._pick(0.01, 0.1, 0.3, 1.7, -0.4)))
    elif kind == "GELU":
        options.approximate = bool(gen._pick(True, False))
    elif kind == "PRELU":
        alpha = gen.random.integers(-128, 128, (1,) * (len(node.shape) - 1), dtype=np.int8)
        zero = gen._quantization()[1]
        inputs.append(gen.net.constant(alpha, [gen._quantization()[0]], 0, zero))
    return gen.net.op(kind, inputs, out, options)


def pair(gen: NetGenerator, node: Node) -> Node:
    """ADD, SUB or MUL of a node and another, a part of itself, or a constant, in any order."""
    other = gen._pick(_constant, _constant, _branch, _branch, _made)(gen, node)
    kind = str(gen._pick(*PAIRS))
    shape = tuple(int(n) for n in np.broadcast_shapes(node.shape, other.shape))
    if int(np.prod(shape)) > MAX_BYTES:
        return node
    spread = node.scale * other.scale * 60 if kind == "MUL" else node.scale + other.scale
    out = gen.net.activation(
        shape, spread * float(np.exp(gen.random.uniform(-1.5, 1.0))), gen._quantization()[1]
    )
    options = getattr(schema, PAIRS[kind])()
    options.fusedActivationFunction = ACTIVATIONS[gen._activation()]
    order = [node.number, other.number]
    return gen.net.op(kind, order if gen.random.random() < 0.5 else order[::-1], out, options)


def _constant(gen: NetGenerator, node: Node) -> Node:
    """A constant whose axes are the node's or 1; now and then fewer axes, or a taller one."""
    keep = gen.random.random(len(node.shape)) < 0.5
    shape: list[Any] = [size if kept else 1 for size, kept in zip(node.shape, keep, strict=True)]
    if len(shape) == 4 and node.shape[1] == 1 and gen.random.random() < 0.3:
        shape[1] = 3
    if gen.random.random() < 0.3:
        shape = shape[int(gen.random.integers(len(shape) + 1)) :]
    scale, zero = gen._quantization()
    values = gen.random.integers(-128, 128, shape, dtype=np.int8)
    number = gen.net.constant(values, [scale], 0, zero)
    return Node(number, tuple(int(n) for n in shape), float(np.float32(scale)), zero)


def _branch(gen: NetGenerator, node: Node) -> Node:
    """The node reduced along some axes, all of them kept."""
    if len(node.shape) != 4:
        return node
    over = gen._pick((1, 2), (1, 2), (1,), (2,), (3,))
    if over == (3,):
        return _one_channel(gen, node)
    shape = tuple(1 if axis in over else size for axis, size in enumerate(node.shape))
    out = gen.net.activation(shape, node.scale, gen._quantization()[1])
    options = schema.ReducerOptionsT()
    options.keepDims = True
    axes = gen.net.constant(np.array(over, np.int32))
    return gen.net.op("MEAN", [node.number, axes], out, options)


def _one_channel(gen: NetGenerator, node: Node) -> Node:
    depth = node.shape[3]
    weights, scales = gen._weights((1, 1, 1, depth), depth, 0, True)
    options = window_options("CONV_2D", Window((1, 1)), "NONE")
    shape = (*node.shape[:3], 1)
    return gen._weighted("CONV_2D", node, weights, scales, depth, shape, options)


def _made(gen: NetGenerator, node: Node) -> Node:
    """An earlier tensor of the same shape."""
    return gen._pick(*[other for other in gen.made if other.shape == node.shape], node)
