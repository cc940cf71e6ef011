"""One-op nets of every op that only moves bytes, with random shapes and options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

from tests.kernels.netbuilder import NetBuilder, Node

Shape = tuple[int, ...]
Random = np.random.Generator


def options(name: str, **fields: Any) -> Any:
    """An option table of the schema."""
    table = getattr(schema, f"{name}OptionsT")()
    for field, value in fields.items():
        setattr(table, field, value)
    return table


def ints(*values: Any) -> np.ndarray[Any, Any]:
    """int32."""
    return np.array(values[0] if len(values) == 1 else values, np.int32)


class Mover:
    """Adds moving ops to a net. Each method takes a node and returns the op's (last) output."""

    def __init__(self, net: NetBuilder, random: Random) -> None:
        self.net, self.random = net, random

    def _int(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.random.integers(low, high + 1))

    def _out(self, node: Node, shape: Sequence[int]) -> Node:
        return self.net.activation(tuple(int(n) for n in shape), node.scale, node.zero_point)

    def _op(self, kind: str, node: Node, shape: Sequence[int], constants: Sequence[Any] = (),
            table: Any = None) -> Node:  # fmt: skip
        inputs = [node.number, *(self.net.constant(ints(value)) for value in constants)]
        return self.net.op(kind, inputs, self._out(node, shape), table)

    def transpose(self, node: Node) -> Node:
        rank = len(node.shape)
        order = [0, *(1 + self.random.permutation(rank - 1)).tolist()]
        shape = [node.shape[axis] for axis in order]
        return self._op("TRANSPOSE", node, shape, [order], options("Transpose"))

    def slice(self, node: Node) -> Node:
        begin = [self._int(0, n - 1) for n in node.shape]
        size = [self._int(1, n - b) for n, b in zip(node.shape, begin, strict=True)]
        given = [-1 if b + s == n and self.random.random() < 0.5 else s
                 for n, b, s in zip(node.shape, begin, size, strict=True)]  # fmt: skip
        return self._op("SLICE", node, size, [begin, given], options("Slice"))

    def strided_slice(self, node: Node) -> Node:
        parts: list[slice] = []
        begin, end, strides = [], [], []
        masks = [0, 0]
        for axis, n in enumerate(node.shape):
            while True:
                first, last = self._int(-n, n - 1), self._int(-n - 1, n + 1)
                stride = self._int(1, 3) * (-1 if self.random.random() < 0.3 else 1)
                open_ = [bool(self.random.random() < 0.4) for _ in range(2)]
                part = slice(None if open_[0] else first, None if open_[1] else last, stride)
                if len(range(n)[part]):
                    break
            parts.append(part)
            begin.append(first)
            end.append(last)
            strides.append(stride)
            masks = [mask | (is_open << axis) for mask, is_open in zip(masks, open_, strict=True)]
        shape = np.empty(node.shape)[tuple(parts)].shape
        table = options("StridedSlice", beginMask=masks[0], endMask=masks[1])
        return self._op("STRIDED_SLICE", node, shape, [begin, end, strides], table)

    def shrink(self, node: Node) -> Node:
        """STRIDED_SLICE that takes one entry of an axis and drops the axis."""
        axis = self._int(1, len(node.shape) - 1)
        at = [self._int(-n, n - 1) if a == axis else 0 for a, n in enumerate(node.shape)]
        end = [a + 1 if n == axis else 0 for n, a in enumerate(at)]
        mask = (1 << len(at)) - 1 - (1 << axis)
        table = options("StridedSlice", beginMask=mask, endMask=mask, shrinkAxisMask=1 << axis)
        shape = node.shape[:axis] + node.shape[axis + 1 :]
        return self._op("STRIDED_SLICE", node, shape, [at, end, [1] * len(at)], table)

    def reverse(self, node: Node) -> Node:
        axis = self._int(1, len(node.shape) - 1)
        return self._op("REVERSE_V2", node, node.shape, [[axis]], options("ReverseV2"))

    def tile(self, node: Node) -> Node:
        times = [1, *(self._int(1, 2) for _ in node.shape[1:])]
        shape = np.array(node.shape) * times
        return self._op("TILE", node, shape.tolist(), [times], options("Tile"))

    def gather(self, node: Node) -> Node:
        axis = self._int(1, len(node.shape) - 1)
        indices = self.random.integers(0, node.shape[axis], self._int(1, 6)).tolist()
        shape = (*node.shape[:axis], len(indices), *node.shape[axis + 1 :])
        table = options("Gather", axis=axis - len(shape) if self.random.random() < 0.5 else axis)
        return self._op("GATHER", node, shape, [indices], table)

    def mirror_pad(self, node: Node) -> Node:
        symmetric = self._int(0, 1)
        most = [n if symmetric else n - 1 for n in node.shape]
        pairs = [[0, 0], *([self._int(0, min(n, 3)) for _ in range(2)] for n in most[1:])]
        shape = np.array(node.shape) + np.array(pairs).sum(axis=1)
        table = options("MirrorPad", mode=symmetric)
        return self._op("MIRROR_PAD", node, shape.tolist(), [pairs], table)

    def resize(self, node: Node) -> Node:
        n, h, w, c = node.shape
        size = (2 * h, 2 * w) if self.random.random() < 0.4 else (
            self._int(1, 2 * h + 1), self._int(1, 2 * w + 1))  # fmt: skip
        corners, half = ((False, False), (True, False), (False, True))[self._int(0, 2)]
        table = options("ResizeNearestNeighbor", alignCorners=corners, halfPixelCenters=half)
        return self._op("RESIZE_NEAREST_NEIGHBOR", node, (n, *size, c), [size], table)

    def depth_to_space(self, node: Node) -> Node:
        n, h, w, c = node.shape
        block = 2 if c % 4 == 0 else 1
        shape = (n, h * block, w * block, c // block**2)
        table = options("DepthToSpace", blockSize=block)
        return self._op("DEPTH_TO_SPACE", node, shape, (), table)

    def space_to_depth(self, node: Node) -> Node:
        n, h, w, c = node.shape
        block = 2 if h % 2 == 0 and w % 2 == 0 else 1
        shape = (n, h // block, w // block, c * block**2)
        table = options("SpaceToDepth", blockSize=block)
        return self._op("SPACE_TO_DEPTH", node, shape, (), table)

    def concat(self, nodes: Sequence[Node], axis: int) -> Node:
        """CONCATENATION of nodes that differ in this axis alone."""
        length = sum(node.shape[axis] for node in nodes)
        shape = (*nodes[0].shape[:axis], length, *nodes[0].shape[axis + 1 :])
        table = options("Concatenation", axis=axis)
        out = self._out(nodes[0], shape)
        return self.net.op("CONCATENATION", [node.number for node in nodes], out, table)

    def pack(self, nodes: Sequence[Node], axis: int) -> Node:
        """PACK of nodes of one shape."""
        shape = (*nodes[0].shape[:axis], len(nodes), *nodes[0].shape[axis:])
        table = options("Pack", axis=axis, valuesCount=len(nodes))
        out = self._out(nodes[0], shape)
        return self.net.op("PACK", [node.number for node in nodes], out, table)

    def split(self, node: Node, axis: int, parts: int) -> list[Node]:
        """SPLIT into equal parts."""
        shape = list(node.shape)
        shape[axis] //= parts
        outs = [self._out(node, shape) for _ in range(parts)]
        inputs = [self.net.constant(ints([axis])), node.number]
        table = options("Split", numSplits=parts)
        return self.net.many("SPLIT", inputs, outs, table)

    def split_v(self, node: Node, axis: int, sizes: Sequence[int]) -> list[Node]:
        """SPLIT_V; one of the sizes is told as -1 now and then."""
        outs = [self._out(node, (*node.shape[:axis], size, *node.shape[axis + 1 :]))
                for size in sizes]  # fmt: skip
        told = list(sizes)
        if self.random.random() < 0.5:
            told[self._int(0, len(told) - 1)] = -1
        inputs = [node.number, self.net.constant(ints(told)), self.net.constant(ints([axis]))]
        table = options("SplitV", numSplits=len(sizes))
        return self.net.many("SPLIT_V", inputs, outs, table)

    def unpack(self, node: Node, axis: int) -> list[Node]:
        """UNPACK of a whole axis."""
        shape = node.shape[:axis] + node.shape[axis + 1 :]
        outs = [self._out(node, shape) for _ in range(node.shape[axis])]
        table = options("Unpack", axis=axis, num=node.shape[axis])
        return self.net.many("UNPACK", [node.number], outs, table)

    def split_and_join(self, node: Node) -> Node:
        """One of the ops with several outputs, and one of those with several inputs, reversed."""
        axis = self._int(1, 3)
        n = node.shape[axis]
        way = self._int(0, 2)
        if way == 0 and n <= 9:
            parts = self.unpack(node, axis)
            return self.pack(parts[::-1], axis)
        if way == 1 and n % 2 == 0:
            parts = self.split(node, axis, 2)
        else:
            first = self._int(1, max(1, n // 2))
            sizes = [first, n - first] if n > first else [n]
            parts = self.split_v(node, axis, sizes)
        return self.concat([*parts[::-1], parts[0]], axis)

    def squeeze_and_expand(self, node: Node) -> Node:
        """One row without its axis, turned round, and an axis of one anywhere behind the first."""
        _, h, w, c = node.shape
        row = self._op("SLICE", node, (1, 1, w, c), [[0, self._int(0, h - 1), 0, 0], [1, 1, w, c]])
        dims = [1 if self.random.random() < 0.5 else -3]
        flat = self._op("SQUEEZE", row, (1, w, c), (), options("Squeeze", squeezeDims=dims))
        turned = self.reverse(flat)
        axis = self._int(1, 3)
        shape = [*turned.shape[:axis], 1, *turned.shape[axis:]]
        given = axis if self.random.random() < 0.5 else axis - 4
        return self._op("EXPAND_DIMS", turned, shape, [given], options("ExpandDims"))


SINGLE = (
    "transpose", "slice", "strided_slice", "shrink", "reverse", "tile", "gather", "mirror_pad",
    "resize", "depth_to_space", "space_to_depth", "split_and_join", "squeeze_and_expand",
)  # fmt: skip


def moving_net(kind: str, seed: int, most: int = 9) -> bytes:
    """A net of one moving op (split_and_join: of two) on a random image."""
    random = np.random.default_rng([seed, SINGLE.index(kind)])
    net = NetBuilder()
    h, w = (int(n) for n in random.integers(1, most, 2))
    c = int(random.choice([1, 2, 3, 4, 5, 8, 12, 16]))
    source = net.activation((1, h, w, c), 0.1, int(random.integers(-128, 128)))
    grow: Callable[[Node], Node] = getattr(Mover(net, random), kind)
    return net.finish(source, grow(source))
