"""The fixed-point arithmetic is TFLite's for every accumulator, multiplier and exponent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Graph, Kind, Op, Tensor
from relume.plan.planner import Budget, make_plan

from tests import native

EDGES = [0, 1, 2, 3, 0x7FFF, 0x8000, 0xFFFF, 0x10000]
EDGES += [0x3FFFFFFF, 0x40000000, 0x7FFFFFFE, 0x7FFFFFFF]


def scaled(acc: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier in unbounded integers, wrapping where the 32-bit one does."""
    acc = (acc << max(shift, 0)) & 0xFFFFFFFF
    acc -= (acc >> 31) << 32
    high = (acc * multiplier + (1 << 30)) >> 31
    right = max(-shift, 0)
    rounded, rest = high >> right, high & ((1 << right) - 1)
    threshold = (((1 << right) - 1) >> 1) + (1 if high < 0 else 0)
    return rounded + (1 if rest > threshold else 0)


def dense(biases: list[int], multipliers: list[int], shifts: list[int]) -> bytes:
    """Blob of a FULLY_CONNECTED whose accumulators are its biases."""
    n = len(biases)
    op = Op(
        Kind.FULLY_CONNECTED, "dense", (0,), 1, weights=np.zeros((n, 1), np.int8),
        bias=np.array(biases, np.int32), multipliers=np.array(multipliers, np.int32),
        shifts=np.array(shifts, np.int8),
    )  # fmt: skip
    tensors = (Tensor("x", (1, 1, 1), 1.0, 0), Tensor("y", (1, 1, n), 1.0, 0))
    graph = Graph("requantize", tensors, (op,), 0, 1)
    board = replace(load_board("RPI_PICO"), core="portable")
    return pack(make_plan(graph, board, Budget(1.0, 5.0, 1.8)))


def test_scaling_is_exact_at_every_edge_and_at_random() -> None:
    random = np.random.default_rng(11)
    near = [sign * edge for edge in EDGES for sign in (1, -1)] + [-(1 << 31)]
    biases = random.choice(near, 12000).astype(np.int64)
    biases[::2] = random.integers(-(1 << 31), 1 << 31, 6000)
    biases[::4] >>= random.integers(0, 32, 3000)
    multipliers = random.integers(1 << 30, 1 << 31, 12000)
    multipliers[::3] = random.choice(EDGES, 4000)
    shifts = random.integers(-31, 31, 12000)
    shifts[::5] = random.integers(-12, 1, 2400)
    cases = list(zip(biases.tolist(), multipliers.tolist(), shifts.tolist(), strict=True))
    blob = dense(*(list(column) for column in zip(*cases, strict=True)))
    got = np.frombuffer(native.accepted(blob).run(b"\0")[1], np.int8).tolist()
    wanted = [max(-128, min(127, scaled(*case))) for case in cases]
    assert [case for case, a, b in zip(cases, got, wanted, strict=True) if a != b] == []
    assert len(set(wanted)) > 100
    assert [o.data for p in native.runners() for o in native.run_program(p, [(blob, b"\0")])] == [
        np.array(wanted, np.int8).tobytes()
    ] * len(native.runners())
