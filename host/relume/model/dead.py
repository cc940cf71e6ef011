"""Takes channels that no output depends on out of the tensors, ops and weights.

A channel may go when every op that reads it can do without it:
  - CONV_2D and FULLY_CONNECTED, where the channel is constant: weight * (constant - zero point) is
    added to the bias. Exact where the constant is the zero point, which is what padding is too, or
    where no window reaches over an edge. Where all its weights are zero the channel need not even
    be constant.
  - ops that compute channel by channel, where their output can do without the channel of the same
    number, and so on through all of them (depthwise filters, pools, ADD, MUL, MAP).
The model's input and output keep all channels. Where a tensor had a multiple of four channels as
many dead ones stay as make the rest one, for the fast kernels want that. What is left out is
remembered (`Graph.kept`), so that whole tensors can be put together again.

Nothing here depends on a core: tensors shrink, and with them SRAM, commits and cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from relume.model.graph import Graph, Kept, Kind, Op, Tensor
from relume.model.ranges import Range, is_channelwise, ranges, taps

BoolArray = npt.NDArray[np.bool_]
GROUP = 4  # channels that the fast kernels take at a time
_INT32_MAX = (1 << 31) - 1
_READERS = (Kind.CONV_2D, Kind.FULLY_CONNECTED)
_BY_LAST_AXIS = (Kind.DEPTHWISE_CONV_2D, Kind.ADD, Kind.MUL)


def without_dead_channels(graph: Graph) -> Graph:
    """A graph that computes the same output with fewer channels; the same object if none go."""
    while True:
        known = ranges(graph)
        gone = _gone(graph, known)
        if not any(one.any() for one in gone):
            return graph
        graph = _shrunk(graph, known, gone)


def _gone(graph: Graph, known: tuple[Range, ...]) -> list[BoolArray]:
    """[channels] of each tensor: those that can go."""
    classes = _classes(graph)
    free = {root: np.ones(graph.tensors[root].shape[2], dtype=np.bool_) for root in set(classes)}
    for number in (graph.input, graph.output):
        free[classes[number]][:] = False
    for op in graph.ops:
        if is_channelwise(graph, op):
            continue
        for number in op.inputs:
            free[classes[number]] &= _absorbed(graph, op, number, known[number])
        if op.kind not in _READERS:
            free[classes[op.output]][:] = False
    for root, one in free.items():
        _keep_groups(one, _constant_in_all(known, classes, root))
    return [free[root] for root in classes]


def _classes(graph: Graph) -> list[int]:
    """A number for each tensor; the same where channelwise ops tie the channels together."""
    classes = list(range(len(graph.tensors)))
    for op in graph.ops:
        if is_channelwise(graph, op):
            tied = {classes[number] for number in (*op.inputs, op.output)}
            classes = [min(tied) if one in tied else one for one in classes]
    return classes


def _constant_in_all(known: tuple[Range, ...], classes: list[int], root: int) -> BoolArray:
    every = [known[number].constant for number, one in enumerate(classes) if one == root]
    constant: BoolArray = np.logical_and.reduce(every)
    return constant


def _keep_groups(free: BoolArray, constant: BoolArray) -> None:
    """Takes channels back until one is kept, and a multiple of GROUP where there was one."""
    channels = len(free)
    step = GROUP if channels % GROUP == 0 else 1
    kept = channels - int(free.sum())
    missing = max(1, -(-kept // step)) * step - kept
    # Constant ones first: kernels leave their outputs uncomputed.
    order = sorted(np.flatnonzero(free), key=lambda c: (not constant[c], c))
    free[order[:missing]] = False


def _absorbed(graph: Graph, op: Op, number: int, known: Range) -> BoolArray:
    """[channels] of input `number` that op can do without."""
    channels = len(known.low)
    none = np.zeros(channels, dtype=np.bool_)
    if op.kind not in _READERS or op.weights is None:
        return none
    by_channel = _by_channel(op, channels)
    if by_channel is None:
        return none
    unread = ~by_channel.any(axis=(0, 1))
    tensor = graph.tensors[number]
    exact = known.low == tensor.zero_point
    if (
        op.kind is Kind.FULLY_CONNECTED
        or taps(op, tensor.shape, graph.tensors[op.output].shape).all()
    ):
        exact = np.ones(channels, dtype=np.bool_)
    free: BoolArray = unread | (known.constant & exact & _fits(op, by_channel, known, tensor))
    return free


def _by_channel(op: Op, channels: int) -> npt.NDArray[np.int64] | None:
    """Weights [out.c][taps][in.c]; None where the input's channels do not divide a row."""
    assert op.weights is not None
    flat = op.weights.reshape(len(op.weights), -1).astype(np.int64)
    if flat.shape[1] % channels:
        return None
    return flat.reshape(len(flat), -1, channels)


def _fits(
    op: Op, weights: npt.NDArray[np.int64], known: Range, tensor: Tensor
) -> np.bool_ | BoolArray:
    """The bias stays within int32 whichever of the constant channels go."""
    moved = np.abs(weights.sum(axis=1) * (known.low - tensor.zero_point))
    bias = np.zeros(len(weights), dtype=np.int64) if op.bias is None else op.bias.astype(np.int64)
    return np.bool_((np.abs(bias) + moved[:, known.constant].sum(axis=1) <= _INT32_MAX).all())


def _shrunk(graph: Graph, known: tuple[Range, ...], gone: list[BoolArray]) -> Graph:
    tensors = tuple(
        replace(tensor, shape=(*tensor.shape[:2], int((~one).sum())))
        for tensor, one in zip(graph.tensors, gone, strict=True)
    )
    kept = dict(graph.kept)
    for number, one in enumerate(gone):
        if one.any():
            kept[number] = _kept(graph, number, known[number], one)
    ops = tuple(_op(graph, op, known, gone) for op in graph.ops)
    return replace(graph, tensors=tensors, ops=ops, kept=kept)


def _kept(graph: Graph, number: int, known: Range, gone: BoolArray) -> Kept:
    """What is left of a tensor after it has shrunk once more."""
    channels = graph.tensors[number].shape[2]
    before = graph.kept.get(number) or Kept(tuple(range(channels)), (None,) * channels)
    constants = list(before.constants)
    for place in np.flatnonzero(gone & known.constant):
        constants[before.channels[place]] = int(known.low[place])
    left = tuple(before.channels[place] for place in np.flatnonzero(~gone))
    return Kept(left, tuple(constants))


def _op(graph: Graph, op: Op, known: tuple[Range, ...], gone: list[BoolArray]) -> Op:
    """The op on the channels that are left."""
    if op.kind in _READERS and gone[op.inputs[0]].any():
        op = _with_fewer_inputs(graph, op, known[op.inputs[0]], gone[op.inputs[0]])
    left = ~gone[op.output]
    if left.all():
        return op
    weights = op.weights
    if weights is not None and op.kind in _BY_LAST_AXIS:
        weights = weights if weights.shape[-1] == 1 else weights[..., left]
    elif weights is not None and op.kind in _READERS:
        weights = weights[left]
    return replace(
        op,
        weights=weights,
        bias=None if op.bias is None else op.bias[left],
        multipliers=None if op.multipliers is None else op.multipliers[left],
        shifts=None if op.shifts is None else op.shifts[left],
    )


def _with_fewer_inputs(graph: Graph, op: Op, known: Range, gone: BoolArray) -> Op:
    weights = _by_channel(op, len(gone))
    assert weights is not None and op.weights is not None
    folded = gone & known.constant
    offsets = known.low[folded] - graph.tensors[op.inputs[0]].zero_point
    moved = weights[:, :, folded].sum(axis=1) @ offsets
    bias = moved if op.bias is None else op.bias.astype(np.int64) + moved
    shape = op.weights.shape[:-1] if op.kind is Kind.CONV_2D else (len(weights),)
    left = weights[:, :, ~gone].astype(np.int8).reshape(*shape, -1)
    return replace(op, weights=left, bias=bias.astype(np.int32))


@dataclass(frozen=True)
class Saved:
    """What a graph lost: channels of how many, bytes of tensors, multiply-accumulates."""

    channels: int
    of: int
    tensor_bytes: int
    macs: int


def saved(before: Graph, after: Graph) -> Saved:
    """What `without_dead_channels` made of a graph."""
    counts = [sum(t.shape[2] for t in graph.tensors) for graph in (before, after)]
    sizes = [sum(t.size for t in graph.tensors) for graph in (before, after)]
    macs = [sum(graph.macs(op) for op in graph.ops) for graph in (before, after)]
    return Saved(counts[0] - counts[1], counts[0], sizes[0] - sizes[1], macs[0] - macs[1])
