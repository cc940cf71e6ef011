"""GATHER and CONCATENATION that would read outside their inputs are refused, board and host.

SECURITY B1.
"""

from __future__ import annotations

import functools
import struct

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.errors import BlobError
from relume.model.gather_form import Places, gather_form
from relume.model.graph import Graph, Kind, Op, Tensor
from relume.plan.planner import Budget, make_plan

from tests import native
from tests.unit import blob_edit
from tests.unit.plan_nets import BOARD

SHAPE = (5, 4, 3)
SIZE = 60


def _gather(order: Places, source: int, target: int) -> Op:
    form = gather_form(order.reshape(-1), order[0].size)
    assert form is not None
    maps = np.frombuffer(form.maps.tobytes(), np.int8) if form.maps.size else None
    return Op(Kind.GATHER, f"g{target}", (source,), target, target, weights=maps, p=form.p)


def _packed(graph: Graph) -> bytes:
    return pack(make_plan(graph, BOARD, Budget(1.0, 5.0, 1.8)))


@functools.cache
def blob() -> bytes:
    """op 0: a part by steps; op 1: rows and columns by maps, rows rising; op 2: both joined."""
    order = np.arange(SIZE).reshape(SHAPE)
    picked = order[[0, 0, 2, 3]][:, [2, 0, 3]]
    ops = (
        _gather(order[1:, 1:], 0, 1),
        _gather(picked, 0, 2),
        Op(Kind.CONCATENATION, "join", (1, 2), 3, 2, p=(9, 9)),
    )
    shapes = (SHAPE, (4, 3, 3), (4, 3, 3), (4, 6, 3))
    tensors = tuple(Tensor(f"t{n}", shape, 1.0, 0) for n, shape in enumerate(shapes))
    return _packed(Graph("moves", tensors, ops, 0, 3))


def _field(op: int, name: str) -> int:
    return blob_edit.get(blob(), f"op[{op}].{name}")


def test_the_blob_is_as_the_cases_below_take_it() -> None:
    assert [_field(0, f"p{n}") for n in range(8)] == [15, 1, 1, 9, 12, 0, 0, 0]
    assert [_field(1, f"p{n}") for n in range(8)] == [0, 1, 3, 3, 0, 0, 0, 5]
    assert native.check(blob())[0] == "RL_OK"
    assert len(read_blob(blob()).ops) == 3


REFUSED = [
    ({"op[0].p0": 16}, "reads outside"),
    ({"op[0].p0": -1}, "reads outside"),
    ({"op[0].p0": -(1 << 31)}, "reads outside"),
    ({"op[0].p4": 13}, "reads outside"),
    ({"op[0].p4": -12}, "reads outside"),
    ({"op[0].p4": 0x7FFFFFFF}, "reads outside"),
    ({"op[0].p0": 30, "op[0].p3": 36}, "reads outside"),
    ({"op[0].p1": 0}, "axes"),
    ({"op[0].p2": 5}, "axes"),
    ({"op[0].p3": -9}, "axes"),
    ({"op[0].p1": 0x40000000, "op[0].p2": 4}, "axes"),
    ({"op[0].p7": 1}, "maps|w_size"),
    ({"op[0].p7": 8}, "maps|w_size"),
    ({"op[0].p7": -1}, "maps|w_size"),
    ({"op[1].p7": 4}, "maps|w_size"),
    ({"op[1].p7": 7}, "maps|w_size"),
    ({"op[1].w_size": 24}, "maps|w_size"),
    ({"op[1].off_w": 0xFFFFFFFC}, "outside the blob|leave the blob|size"),
    ({"op[1].p0": 19}, "reads outside"),
    ({"op[2].p0": 0}, "runs"),
    ({"op[2].p1": -9}, "runs"),
    ({"op[2].p0": 8}, "runs"),
    ({"op[2].p0": 18}, "runs|do not make"),
    ({"op[2].in1": 0xFFFF}, "in1 belongs|one input"),
    ({"op[2].in1": 0}, "runs|do not make|overlap"),
]


@pytest.mark.parametrize(("fields", "what"), REFUSED)
def test_a_move_that_leaves_its_input_is_refused_by_name(
    fields: dict[str, int], what: str
) -> None:
    image = blob_edit.put(blob(), fields)
    status, fault, _ = native.check(image)
    assert status in ("RL_E_SHAPE", "RL_E_BOUNDS")
    assert any(part in fault.what for part in what.split("|")), fault
    with pytest.raises(BlobError, match=what):
        read_blob(image)


@pytest.mark.parametrize(
    ("entry", "value", "what"),
    [
        (0, 45, "reads outside"),  # columns
        (2, 0xFFFFFFFF, "reads outside"),
        (6, 49, "reads outside"),  # the last row
        (4, 37, "falls"),
    ],
)
def test_a_map_that_leaves_the_input_or_falls_is_refused(
    entry: int, value: int, what: str
) -> None:
    image = bytearray(blob())
    struct.pack_into("<I", image, _field(1, "off_w") + 4 * entry, value)
    sealed = blob_edit.sealed(bytes(image))
    status, fault, _ = native.check(sealed)
    assert status == "RL_E_BOUNDS" and what in fault.what
    with pytest.raises(BlobError, match=what):
        read_blob(sealed)


def test_maps_that_many_ops_share_cannot_make_the_check_long() -> None:
    """Ops that all claim one map are refused once they claim more than there is."""
    order = np.arange(SIZE).reshape(SHAPE)
    random = np.random.default_rng(1)
    n_ops = 12
    ops = tuple(
        _gather(order.reshape(-1)[random.permutation(SIZE)], n, n + 1) for n in range(n_ops)
    )
    tensors = tuple(Tensor(f"t{n}", SHAPE, 1.0, 0) for n in range(n_ops + 1))
    image = _packed(Graph("maps", tensors, ops, 0, n_ops))
    assert native.check(image)[0] == "RL_OK"
    first = blob_edit.get(image, "op[0].off_w")
    shared = {f"op[{n}].off_w": first for n in range(1, n_ops)}
    shared["header.total_size"] = blob_edit.get(image, "op[2].off_w") // 16 * 16
    status, fault, _ = native.check(blob_edit.put(image, shared))
    assert (status, fault.what) == ("RL_E_BOUNDS", "more multipliers than constants")
