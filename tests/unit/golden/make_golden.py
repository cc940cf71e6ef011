"""Writes the golden blob: a small net of six kinds, planned by hand, packed by the host package.

Run from the project root: `python -m tests.unit.golden.make_golden`. A change of these files is
a change of the format: raise the blob's version, or find the bug.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from relume.blob.pack import pack
from relume.model.graph import Graph, Int8Array, Kind, Op, Tensor, Window
from relume.plan.planner import Budget
from relume.plan.types import Plan, Segment, Tile

HERE = Path(__file__).resolve().parent
BLOB, INPUT, OUTPUT = HERE / "tiny.rlm", HERE / "tiny.input.bin", HERE / "tiny.output.bin"


def _weights(seed: int, *shape: int) -> Int8Array:
    """Weights of a linear congruential generator: the same on every machine and version."""
    values, state = [], seed
    for _ in range(int(np.prod(shape))):
        state = (state * 1103515245 + 12345) % (1 << 31)
        values.append((state >> 16) % 255 - 127)
    return np.array(values, np.int8).reshape(shape)


def _weighted(
    kind: Kind, name: str, number: int, weights: Int8Array, shift: int,
    window: Window = Window(),  # noqa: B008
    depth_mult: int = 0, low: int = -128, high: int = 127,
) -> Op:  # fmt: skip
    """An op whose bias, multipliers and shifts differ from channel to channel."""
    channels = range(weights.shape[-1 if kind is Kind.DEPTHWISE_CONV_2D else 0])
    return Op(
        kind, name, (number,), number + 1, number, window, depth_mult, low, high, weights,
        np.array([700 * (c - 1) for c in channels], np.int32),
        np.array([(1 << 30) + 98765432 * (c % 9) for c in channels], np.int32),
        np.array([shift - c % 2 for c in channels], np.int8),
    )  # fmt: skip


def golden_graph() -> Graph:
    """Conv 3 x 3 stride 2, depthwise, pointwise, add, average pool, dense, softmax."""
    tensors = (
        Tensor("image", (8, 6, 2), 0.0078125, 3),
        Tensor("conv", (4, 3, 5), 0.02, -128),
        Tensor("depthwise", (4, 3, 5), 0.03, -7),
        Tensor("sum", (4, 3, 5), 0.04, 11),
        Tensor("pool", (2, 2, 5), 0.04, 11),
        Tensor("dense", (1, 1, 4), 0.1, -20),
        Tensor("softmax", (1, 1, 4), 1 / 256, -128),
    )
    ops = (
        _weighted(Kind.CONV_2D, "conv", 0, _weights(1, 5, 3, 3, 2), -8,
                  Window(3, 3, 2, 2, 0, 1, 1, 1)),
        _weighted(Kind.DEPTHWISE_CONV_2D, "depthwise", 1, _weights(2, 3, 2, 5), -7,
                  Window(3, 2, 1, 1, 1, 0, 1, 1), 1, -100, 120),
        Op(Kind.ADD, "sum", (1, 2), 3, 2, p=(20, 1431655765, -1, 1 << 30, 0, 1610612736, -18)),
        Op(Kind.AVERAGE_POOL_2D, "pool", (3,), 4, 3, Window(2, 2, 2, 2, 0, 0, 1, 1)),
        _weighted(Kind.FULLY_CONNECTED, "dense", 4, _weights(3, 4, 20), -9),
        Op(Kind.SOFTMAX, "softmax", (5,), 6, 5, p=(1717986918, 23, -248)),
    )  # fmt: skip
    return Graph("golden", tensors, ops, 0, 6)


def golden_plan() -> Plan:
    """Tiles that start and end in the middle of rows, two segments."""
    cuts = ((0, 5, 7), (0, 4, 4, 4), (30, 30), (1, 3), (3, 1), (1,))
    tiles = []
    for op, counts in enumerate(cuts):
        first = 0
        for count in counts:
            if count:
                tiles.append(Tile(op, first, count))
            first += count
    segments = (
        Segment(0, 5, 40_000, 30_000, 45.0, 120, 5.0),
        Segment(5, len(tiles), 20_000, 15_000, 31.5, 4, 6.0),
    )
    return Plan(
        golden_graph(), "RPI_PICO", "fram", Budget(220e-6, 5.0, 1.8), tuple(tiles), segments,
        (0, 96, 160, 224, 0, 32, 48), 288, 80, (0, 96, 156, 0, 96, 128, 144), 256,
        1000.0, 2393.6, 50.0,
    )  # fmt: skip


def golden_input() -> bytes:
    """The 96 bytes of the image."""
    return _weights(4, 96).tobytes()


def main() -> None:
    """Writes blob, input and output beside this script."""
    from tests import native

    blob = pack(golden_plan())
    BLOB.write_bytes(blob)
    INPUT.write_bytes(golden_input())
    OUTPUT.write_bytes(native.accepted(blob).run(golden_input())[6])


if __name__ == "__main__":
    main()
