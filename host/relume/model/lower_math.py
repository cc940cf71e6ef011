"""Lowering of the ops that compute with values alone: ADD, SOFTMAX, MEAN."""

from __future__ import annotations

import math

from relume.model import quantize
from relume.model.graph import Kind, Op, Tensor
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


def _add(site: Site) -> list[Op]:
    first, second = source_tensor(site, 0), source_tensor(site, 1)
    out = activation_tensor(site.output())
    if not first.shape == second.shape == out.shape:
        raise Unsupported(f"broadcast of {first.shape} and {second.shape}")
    p = quantize.add_parameters(first.scale, second.scale, out.scale)
    return [simple_op(site, Kind.ADD, p, clamp=clamp_of(site, out), inputs=2)]


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
    natural = (1 if 1 in axes else h, 1 if 2 in axes else w, c)
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


LOWERINGS: Lowerings = {
    "ADD": _add,
    "SOFTMAX": _softmax,
    "MEAN": _mean,
}
