"""Ops that only move bytes give TFLite's bytes, for random shapes and options of each."""

from __future__ import annotations

import numpy as np
import pytest
from relume.model.graph import Kind

from tests import native
from tests.kernels import oracle
from tests.kernels.move_nets import SINGLE, moving_net
from tests.unit import blob_edit

SEEDS = range(24)
MOVES = {Kind.GATHER, Kind.CONCATENATION, Kind.RESHAPE}


@pytest.mark.parametrize("kind", SINGLE)
def test_moved_bytes_are_tflites(kind: str) -> None:
    moved, cases = 0, []
    for seed in SEEDS:
        model = moving_net(kind, seed)
        packed = oracle.packed(model, seed)
        assert {op.kind for op in packed.graph.ops} <= MOVES
        data = oracle.random_input(packed.input_size, seed)
        checked = native.accepted(packed.blob)
        tensors = checked.run(data, watch=True, spoil=True)
        assert packed.mismatches(tensors, oracle.run_reference(model, data)) == [], seed
        moved += any(op.kind is not Kind.RESHAPE for op in packed.graph.ops)
        cases.append((packed.blob, data, native.finished(checked, tensors)))
    assert moved >= 4
    for program in native.runners():
        outcomes = native.run_program(program, [case[:2] for case in cases])
        assert [(one.status, one.data) for one in outcomes] == [
            ("RL_OK", want) for *_, want in cases
        ]


def test_a_wrong_step_is_seen() -> None:
    """Negative control: the comparison finds one wrong parameter."""
    model = moving_net("transpose", 1)
    packed = oracle.packed(model)
    data = np.arange(packed.input_size, dtype=np.int64).astype(np.int8).tobytes()
    place = {"op[0].p4": 0, "op[0].p5": 0, "op[0].p6": 0}
    broken = native.accepted(blob_edit.put(packed.blob, place)).run(data)
    assert packed.mismatches(broken, oracle.run_reference(model, data)) != []
