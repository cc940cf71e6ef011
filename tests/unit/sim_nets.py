"""Small studies whose inferences need several charges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from relume.board.profile import Boot, StoreCycles
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan.planner import Budget, sufficient_capacitor
from relume.power.synth import rf
from relume.power.trace import Trace, constant
from relume.sim.study import Study

from tests.unit.plan_nets import BOARD, VOFF, VON, RandomNet

# A slow core with a short boot: tiles of tiny nets then weigh something against a start.
SLOW = replace(
    BOARD,
    hz=4_000_000,
    boot=Boot(2.0, 2.0, 0.3),
    store=StoreCycles(24.0, 30.0, 6.0, 500.0, 500.0, 100.0, 200.0),
)


def rf_trace(seed: int, scale: float = 20.0) -> Trace:
    """A synthetic RF harvest of 20 s."""
    times, watts = rf(seed, 20.0)
    return Trace.make("rf", np.append(times, 20.0), watts).scaled(scale)


def random_study(seed: int, slack: float, scale: float = 20.0, starts: int = 12) -> Study:
    """A random net with `slack` times the smallest capacitor that a plan exists for."""
    return study_of(RandomNet(seed).graph(5), slack, rf_trace(seed, scale), starts)


def study_of(graph: Graph, slack: float, trace: Trace, starts: int = 12) -> Study:
    cap_f = sufficient_capacitor(graph, SLOW, VON, VOFF, "fram", "exact") * slack
    return Study(graph, SLOW, Budget(cap_f, VON, VOFF), trace, starts)


def conv_net(layers: int = 4, side: int = 12, channels: int = 8) -> Graph:
    """Equal 3x3 convolutions, padded."""
    shape = (side, side, channels)
    tensors = tuple(Tensor(f"t{n}", shape, 1.0, 0) for n in range(layers + 1))
    ops = tuple(
        Op(
            Kind.CONV_2D, f"conv{n}", (n,), n + 1, n, window=Window(3, 3, 1, 1, 1, 1, 1, 1),
            weights=np.zeros((channels, 3, 3, channels), np.int8),
            multipliers=np.full(channels, 1 << 30, np.int32),
            shifts=np.full(channels, -7, np.int8), bias=np.zeros(channels, np.int32),
        )
        for n in range(layers)
    )  # fmt: skip
    return Graph("convs", tensors, ops, 0, layers)


def steady(milliwatt: float) -> Trace:
    return constant(milliwatt * 1e-3)
