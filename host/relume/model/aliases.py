"""Renumbers tensors, and gives both names of a RESHAPE to one tensor where the bytes agree.

A reshape changes no byte, so its two TFLite tensors share one tensor as long as every op that
touches them can live with one (h, w, c). Where two ops insist on different shapes the RESHAPE
stays as a copying op.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from relume.model.graph import Graph, Kind, Op, Shape, Tensor

# What an op asks of a shape: the whole of it, only its last axis, or nothing.
Demand = tuple[int, int, int] | int | None
BYTE_KINDS = frozenset({Kind.RESHAPE, Kind.MAP, Kind.GATHER, Kind.CONCATENATION})


def _demand(kind: Kind, shape: Shape, is_output: bool) -> Demand:
    if kind in BYTE_KINDS or (kind is Kind.FULLY_CONNECTED and not is_output):
        return None
    if kind in (Kind.FULLY_CONNECTED, Kind.SOFTMAX):
        return shape[2]
    return shape


def _meet(first: Demand, second: Demand) -> tuple[bool, Demand]:
    """(compatible, demand that meets both)."""
    if first is None or second is None or first == second:
        return True, second if first is None else first
    if isinstance(first, int) and isinstance(second, tuple):
        return second[2] == first, second
    if isinstance(second, int) and isinstance(first, tuple):
        return first[2] == second, first
    return False, None


class _Groups:
    """Union-find over TFLite tensor numbers; each group has one demand."""

    def __init__(self, tensors: Mapping[int, Tensor], ops: Sequence[Op]) -> None:
        self.tensors = tensors
        self.parent = {number: number for number in tensors}
        self.demand: dict[int, Demand] = dict.fromkeys(tensors)
        for op in ops:
            for number in (*op.inputs, op.output):
                wish = _demand(op.kind, tensors[number].shape, number == op.output)
                # All demands on one TFLite tensor come from its one shape, so they meet.
                self.demand[number] = _meet(self.demand[number], wish)[1]

    def root(self, number: int) -> int:
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def join(self, source: int, target: int) -> bool:
        """Makes target's group part of source's if one shape serves both."""
        first, second = self.root(source), self.root(target)
        compatible, demand = _meet(self.demand[first], self.demand[second])
        if not compatible:
            return False
        self.parent[second] = first
        self.demand[first] = demand
        return True

    def tensor(self, root: int) -> Tensor:
        tensor, demand = self.tensors[root], self.demand[root]
        if isinstance(demand, tuple):
            return replace(tensor, shape=demand)
        if isinstance(demand, int) and demand != tensor.shape[2]:
            return replace(tensor, shape=_rows(tensor.size // demand, demand))
        return tensor


def _rows(rows: int, channels: int) -> Shape:
    """(h, w, channels) with h * w = rows, each at most 65535."""
    h = 1
    while rows // h > 0xFFFF or rows % h:
        h += 1
    return h, rows // h, channels


def build_graph(
    name: str, tensors: Mapping[int, Tensor], ops: Sequence[Op], source: int, target: int
) -> Graph:
    """A Graph of lowered ops in TFLite numbering; ops whose output nobody needs are dropped."""
    groups = _Groups(tensors, ops)
    kept: list[Op] = []
    for op in ops:
        ends_meet = {groups.root(op.inputs[0]), groups.root(op.output)} == {
            groups.root(source), groups.root(target)}  # fmt: skip
        if op.kind is Kind.RESHAPE and not ends_meet and groups.join(op.inputs[0], op.output):
            continue
        kept.append(op)
    kept = _needed(kept, groups, target)
    order = [groups.root(source)] + [groups.root(op.output) for op in kept]
    number = {root: position for position, root in enumerate(order)}
    final = tuple(
        replace(
            op,
            inputs=tuple(number[groups.root(i)] for i in op.inputs),
            output=number[groups.root(op.output)],
        )
        for op in kept
    )
    tensor_of = {i: number[groups.root(i)] for i in tensors if groups.root(i) in number}
    return Graph(
        name,
        tuple(groups.tensor(root) for root in order),
        final,
        number[groups.root(source)],
        number[groups.root(target)],
        tensor_of,
    )


def _needed(ops: list[Op], groups: _Groups, target: int) -> list[Op]:
    """Ops that the output depends on, in order."""
    wanted = {groups.root(target)}
    needed: list[Op] = []
    for op in reversed(ops):
        if groups.root(op.output) in wanted:
            wanted.update(groups.root(i) for i in op.inputs)
            needed.append(op)
    return needed[::-1]
