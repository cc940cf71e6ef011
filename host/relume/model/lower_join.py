"""Lowering of the ops that put tensors together: CONCATENATION, PACK.

The engine's CONCATENATION has two inputs. More of them become a tree, cut where both halves are
nearly of one size, so that a byte is copied about log2(inputs) times and not once for each.
"""

from __future__ import annotations

import math

from relume.model.graph import Kind, Op, Tensor
from relume.model.lower_common import (
    Lowerings,
    Site,
    Unsupported,
    activation_tensor,
    folded,
    loose_tensor,
)
from relume.model.tflite_file import RawTensor

MAX_INPUTS = 64


class _Tree:
    """Ops that join inputs with runs[i] bytes in each of `rounds` rounds."""

    def __init__(self, site: Site, out: Tensor, runs: list[int], rounds: int) -> None:
        self.site, self.out, self.runs, self.rounds = site, out, runs, rounds
        self.ops: list[Op] = []

    def join(self, first: int, end: int, output: int | None = None) -> int:
        """Tensor that holds inputs [first, end) joined; output: its number, None: a fresh one."""
        inputs = self.site.op.inputs
        if end - first == 1:
            return inputs[first]
        middle = self._middle(first, end)
        pair = (self.join(first, middle), self.join(middle, end))
        p = (sum(self.runs[first:middle]), sum(self.runs[middle:end]))
        output = self._fresh(sum(p)) if output is None else output
        number = self.site.op.number
        self.ops.append(Op(Kind.CONCATENATION, self.site.layer, pair, output, number, p=p))
        return output

    def _middle(self, first: int, end: int) -> int:
        whole = sum(self.runs[first:end])
        return min(
            range(first + 1, end), key=lambda middle: abs(whole - 2 * sum(self.runs[first:middle]))
        )

    def _fresh(self, run: int) -> int:
        number = self.site.fresh + len(self.site.extra)
        shape = folded((self.rounds, run) if run <= 0xFFFF else (self.rounds * run, 1))
        self.site.extra[number] = Tensor(
            self.out.name, shape, self.out.scale, self.out.zero_point
        )
        return number


def _join(site: Site, axis: int, expected: tuple[int, ...]) -> list[Op]:
    """Inputs along an axis of `expected`, the output's shape as the inputs have it."""
    raw = site.output()
    out = activation_tensor(raw, folded)
    if expected != raw.shape:
        raise Unsupported(f"output {raw.shape} instead of {expected} (damaged file)")
    sources = [loose_tensor(site, place) for place in range(len(site.op.inputs))]
    for place, source in enumerate(sources):
        if (source.scale, source.zero_point) != (out.scale, out.zero_point):
            raise Unsupported(
                f"input {place} ({source.name}) has another quantization than the output"
            )
    rounds = math.prod(expected[:axis])
    if len(sources) == 1:
        return [Op(Kind.RESHAPE, site.layer, site.op.inputs, site.op.outputs[0], site.op.number)]
    tree = _Tree(site, out, [source.size // rounds for source in sources], rounds)
    tree.join(0, len(sources), site.op.outputs[0])
    return tree.ops


def _shapes(site: Site) -> list[tuple[int, ...]]:
    inputs: list[RawTensor] = [site.tensor(place) for place in range(len(site.op.inputs))]
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise Unsupported(f"{len(inputs)} inputs, 1 to {MAX_INPUTS} can be joined")
    return [tensor.shape for tensor in inputs]


def _concatenation(site: Site) -> list[Op]:
    shapes, axis = _shapes(site), int(site.op.options["axis"])
    rank = len(shapes[0])
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} of {rank}")
    axis %= rank
    if site.op.options["activation"] != "NONE":
        raise Unsupported(f"fused activation {site.op.options['activation']}")
    if any(shape[:axis] + shape[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :]
           or len(shape) != rank for shape in shapes):  # fmt: skip
        raise Unsupported(f"inputs of shapes {[list(shape) for shape in shapes[:4]]}")
    length = sum(shape[axis] for shape in shapes)
    return _join(site, axis, (*shapes[0][:axis], length, *shapes[0][axis + 1 :]))


def _pack(site: Site) -> list[Op]:
    shapes, axis = _shapes(site), int(site.op.options["axis"])
    rank = len(shapes[0]) + 1
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} of {rank}")
    axis %= rank
    if any(shape != shapes[0] for shape in shapes):
        raise Unsupported(f"inputs of shapes {[list(shape) for shape in shapes[:4]]}")
    return _join(site, axis, (*shapes[0][:axis], len(shapes), *shapes[0][axis:]))


LOWERINGS: Lowerings = {"CONCATENATION": _concatenation, "PACK": _pack}
