"""Lowering of the ops that compute with values alone: unary ops, ADD, SUB, MUL, SOFTMAX, MEAN."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from relume.model import quantize, tables
from relume.model.graph import Int8Array, Kind, Op, Shape, Tensor
from relume.model.lower_common import (
    Lowerings,
    Site,
    Unsupported,
    activation_tensor,
    clamp_of,
    simple_op,
    source_tensor,
)

MAX_SOFTMAX = 4095
NEGATE = (1, 2)  # p[7] of ADD, by operand
IDENTITY = np.arange(256, dtype=np.uint8).view(np.int8)


# ------------------------------------------------------------------------- unary


def _unary(site: Site) -> list[Op]:
    source, out = source_tensor(site, 0), activation_tensor(site.output())
    if source.size != out.size:
        raise Unsupported("shapes differ between input and output (damaged file)")
    return [_map(site, source, out, _table(site, source, out))]


def _map(site: Site, source: Tensor, out: Tensor, table: Int8Array) -> Op:
    """A MAP; a RESHAPE, which costs nothing, where no byte changes."""
    same = (source.scale, source.zero_point) == (out.scale, out.zero_point)
    if same and source.size == out.size and np.array_equal(table, IDENTITY):
        return simple_op(site, Kind.RESHAPE)
    return replace(simple_op(site, Kind.MAP), weights=table)


def _table(site: Site, source: Tensor, out: Tensor) -> Int8Array:
    kind, options = site.op.kind, site.op.options
    if kind == "LEAKY_RELU":
        alpha = float(options["alpha"])
        if not math.isfinite(alpha):
            raise Unsupported(f"alpha {alpha}")
        return tables.leaky_relu(source, out, alpha)
    if kind == "PRELU":
        return _prelu(site, source, out)
    if kind == "LOGISTIC":
        if (out.scale, out.zero_point) != (1.0 / 256.0, -128):
            raise Unsupported("output quantization is not 1/256 with zero point -128")
        return tables.of_function(source, out, tables.logistic)
    if kind == "GELU":
        gelu = tables.gelu_by_tanh if options["approximate"] else tables.gelu
        return tables.of_function(source, out, gelu)
    if kind == "TANH":
        return tables.of_function(source, out, tables.tanh)
    if kind in ("HARD_SWISH", "ABS", "QUANTIZE"):
        plain = {"HARD_SWISH": tables.hard_swish, "ABS": tables.absolute}
        return plain.get(kind, tables.requantized)(source, out)
    clamp = quantize.activation_range(kind, out.scale, out.zero_point)
    return tables.clipped_linear(source, out, clamp)


def _prelu(site: Site, source: Tensor, out: Tensor) -> Int8Array:
    alpha, values = _constant(site, 1)
    if values.size != 1:
        raise Unsupported(f"{values.size} alphas, only one for the whole layer can be run")
    return tables.prelu(source, out, int(values.flat[0]) - alpha.zero_point, alpha.scale)


def _constant(site: Site, place: int) -> tuple[Tensor, Int8Array]:
    """A constant operand: its quantization, and its values [h][w][c]."""
    values = site.constant(place, {"INT8": "i1"}, f"constant input {place}").astype(np.int8)
    tensor = activation_tensor(site.tensor(place))
    return tensor, values.reshape(tensor.shape)


# --------------------------------------------------------------------- two operands


def _pair(site: Site) -> list[Op]:
    """ADD, SUB, MUL. A constant comes second; one number becomes part of a table."""
    out = activation_tensor(site.output())
    places = sorted((0, 1), key=lambda place: site.tensor(place).data is not None)
    if site.tensor(places[0]).data is not None:
        raise Unsupported("both inputs are constants")
    first = source_tensor(site, places[0])
    second, values = activation_tensor(site.tensor(places[1])), None
    if site.tensor(places[1]).data is not None:
        second, values = _constant(site, places[1])
    _check_repeats(first, second, out)
    clamp = clamp_of(site, out)
    kind, p = _pair_parameters(site.op.kind, first, second, out, places)
    inputs = tuple(site.op.inputs[place] for place in places)
    if values is None:
        return [replace(simple_op(site, kind, p, clamp=clamp), inputs=inputs)]
    if values.size == 1 and first.size == out.size:
        of_one = tables.added if kind is Kind.ADD else tables.multiplied
        number = int(values.flat[0]) - second.zero_point
        table = of_one(p, first, number, out, clamp)
        return [replace(simple_op(site, Kind.MAP), inputs=inputs[:1], weights=table)]
    p = (*p[:7], p[7] | (second.zero_point & 0xFF) << 8)
    pair = simple_op(site, kind, p, clamp=clamp)
    return [replace(pair, inputs=inputs[:1], weights=values)]


def _check_repeats(first: Tensor, second: Tensor, out: Tensor) -> None:
    """numpy's rule: axes are equal, or one of them is 1."""
    shapes = (first.shape, second.shape)
    wide = tuple(max(pair) for pair in zip(*shapes, strict=True))
    fits = all(axis in (1, wide[i]) for shape in shapes for i, axis in enumerate(shape))
    if not fits or wide != out.shape:
        raise Unsupported(
            f"broadcast of {first.shape} and {second.shape} to {out.shape} (damaged file)"
        )


def _pair_parameters(
    kind: str, first: Tensor, second: Tensor, out: Tensor, places: list[int]
) -> tuple[Kind, tuple[int, ...]]:
    """Kind and p[0..7] (SPEC 2.4); SUB is ADD with one operand negated."""
    if kind == "MUL":
        scale = quantize.mul_parameters(first.scale, second.scale, out.scale)
        return Kind.MUL, (*scale, 0, 0, 0, 0, 0, 0)
    p = quantize.add_parameters(first.scale, second.scale, out.scale)
    return Kind.ADD, (*p, NEGATE[places.index(1)] if kind == "SUB" else 0)


# ----------------------------------------------------------------------- reductions


def _softmax(site: Site) -> list[Op]:
    source, out = source_tensor(site, 0), activation_tensor(site.output())
    beta = float(site.op.options["beta"])
    if source.shape != out.shape:
        raise Unsupported("shapes differ between input and output (damaged file)")
    if out.zero_point != -128 or out.scale != 1.0 / 256.0:
        raise Unsupported("output quantization is not 1/256 with zero point -128")
    if source.shape[2] > MAX_SOFTMAX:
        raise Unsupported(f"{source.shape[2]} elements, at most {MAX_SOFTMAX} can be run")
    if not (math.isfinite(beta) and beta * source.scale * (1 << 26) > 1):
        raise Unsupported(f"beta {beta} with input scale {source.scale}")
    return [simple_op(site, Kind.SOFTMAX, quantize.softmax_parameters(beta, source.scale))]


def _mean(site: Site) -> list[Op]:
    source, out = source_tensor(site, 0), activation_tensor(site.output())
    rank = len(site.tensor(0).shape)
    axes = {(axis + rank if axis < 0 else axis) + 4 - rank for axis in site.integers(1, "axes")}
    axes.discard(0)
    if not axes or not axes <= {1, 2}:
        raise Unsupported(f"mean over axes {sorted(axes)} of NHWC, only H and W can be run")
    h, w, c = source.shape
    natural: Shape = (1 if 1 in axes else h, 1 if 2 in axes else w, c)
    count = h * w * c // math.prod(natural)
    if math.prod(natural) != out.size:
        raise Unsupported(f"output {out.shape} instead of {natural} (damaged file)")
    mask = (1 if 1 in axes else 0) | (2 if 2 in axes else 0)
    p = (mask, *quantize.mean_parameters(source.scale, out.scale, count), count)
    mean = simple_op(site, Kind.MEAN, p)
    if natural == out.shape:
        return [mean]
    site.extra[site.fresh] = Tensor(out.name, natural, out.scale, out.zero_point)
    whole = Op(Kind.MEAN, mean.name, mean.inputs, site.fresh, mean.number, p=p)
    return [whole, Op(Kind.RESHAPE, mean.name, (site.fresh,), mean.output, mean.number)]


UNARY = (
    "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "HARD_SWISH",
    "LOGISTIC", "TANH", "GELU", "ABS", "QUANTIZE",
)  # fmt: skip
LOWERINGS: Lowerings = {
    "ADD": _pair,
    "SUB": _pair,
    "MUL": _pair,
    "SOFTMAX": _softmax,
    "MEAN": _mean,
    **dict.fromkeys(UNARY, _unary),
}
