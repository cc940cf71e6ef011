"""What an op still needs of its inputs (SPEC 3): host and board agree, the rest is not read."""

from __future__ import annotations

import numpy as np
import pytest
from relume.plan.live import need, reach

from tests import native
from tests.kernels import netgen, oracle

SEEDS = range(48)


@pytest.mark.parametrize("seed", SEEDS)
def test_bytes_outside_need_and_reach_are_not_read(seed: int) -> None:
    packed = oracle.packed(netgen.random_net(seed), seed)
    data = oracle.random_input(packed.input_size, seed)
    checked = native.accepted(packed.blob)
    assert checked.run(data, spoil=True) == checked.run(data)


def test_host_and_board_compute_the_same_need_and_reach() -> None:
    moved = 0
    for seed in SEEDS:
        packed = oracle.packed(netgen.random_net(seed))
        checked, graph = native.accepted(packed.blob), packed.graph
        for number, op in enumerate(graph.ops):
            units = np.arange(0, graph.units(op), max(1, graph.units(op) // 40))
            for tensor in set(op.inputs):
                wanted = need(graph, op, tensor, units).tolist()
                places = [which for which, one in enumerate(op.inputs) if one == tensor]
                got = [
                    min(checked.need(number, which, int(unit)) for which in places)
                    for unit in units
                ]
                assert got == wanted, f"seed {seed}, op {number}, {op.kind.name}"
                wanted_reach = reach(graph, op, tensor, units).tolist()
                got = [
                    max(checked.reach(number, which, int(unit)) for which in places)
                    for unit in units
                ]
                assert got == wanted_reach, f"seed {seed}, op {number}, {op.kind.name}"
                moved += wanted[-1] > 0
    assert moved > 100


def test_a_finished_op_needs_nothing() -> None:
    packed = oracle.packed(netgen.random_net(3))
    checked = native.accepted(packed.blob)
    for number, op in enumerate(packed.graph.ops):
        size = packed.graph.tensors[op.inputs[0]].size
        assert checked.need(number, 0, packed.graph.units(op)) == size
