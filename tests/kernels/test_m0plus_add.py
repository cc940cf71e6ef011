"""Cortex-M0+ ADD: the portable kernel's bytes for every pair of inputs, in bounded time."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest
from relume.bench.image import CC, build
from relume.bench.machine import Machine
from relume.bench.runner import Runner
from relume.blob.layouts import m0plus_add as layout
from relume.model import quantize
from relume.model.graph import Graph, Kind, Op, Tensor, Window
from relume.plan.costs import CostModel

from tests import native
from tests.kernels import m0plus_ops, oracle
from tests.kernels.m0plus_ops import Case
from tests.shared import ROOT, model_file
from tests.unit import blob_edit

SEEDS = range(30)
THUMB_SEEDS = range(10)


def graph(random: np.random.Generator) -> Graph:
    """x + max_pool(x): ADD needs two tensors. Its clamp is now and then narrower."""
    side, channels = int(random.integers(1, 9)), int(random.integers(1, 9))
    scales = random.uniform(0.01, 0.1, 3) if random.random() < 0.8 else [0.05, 0.05, 0.05]
    tensors = tuple(
        Tensor(name, (side, side, channels), float(scale), int(random.integers(-128, 128)))
        for name, scale in zip(("x", "pooled", "y"), scales, strict=True)
    )
    window = Window(3, 3, 1, 1, 1, 1, 1, 1)
    low = -128 if random.random() < 0.5 else int(random.integers(-128, 0))
    p = quantize.add_parameters(*(float(scale) for scale in scales))
    pool = Op(Kind.MAX_POOL_2D, "pool", (0,), 1, 0, window)
    add = Op(Kind.ADD, "add", (0, 1), 2, 1, act_min=low, act_max=127, p=p)
    return Graph("case", tensors, (pool, add), 0, 2)


@functools.cache
def case(seed: int) -> Case:
    """A case whose ADD is linear."""
    random = np.random.default_rng(seed)
    while True:
        net = graph(random)
        if layout.lay_out(net.ops[1], net.tensors[:2], net.tensors[2]) is not None:
            return m0plus_ops.case_of(net, seed, random)


@functools.cache
def machine() -> Machine:
    """A Cortex-M0+ with the engine; skips without the cross compiler."""
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    return Machine(build(ROOT, "m0plus"), "m0plus")


@pytest.mark.parametrize("seed", SEEDS)
def test_linear_form_is_exact_for_every_pair_of_bytes(seed: int) -> None:
    net = case(seed).graph
    op, wanted = net.ops[1], layout.outputs(net.ops[1], net.tensors[:2], net.tensors[2])
    found = layout.fit(op, wanted)
    assert found is not None
    byte = np.arange(-128, 128, dtype=np.int64)
    sums = found.by_a * byte[:, None] + found.by_b * byte + found.start
    assert sums.min() >= -(1 << 31) and sums.max() < 1 << 31
    assert np.array_equal(np.clip(sums >> found.shift, op.act_min, op.act_max), wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_twin_is_exact_and_touches_its_own_bytes_only(seed: int) -> None:
    checked, fast = (native.accepted(blob) for blob in (case(seed).portable, case(seed).fast))
    assert blob_edit.get(case(seed).fast, "op[1].kernel") == layout.KERNEL
    for data in case(seed).inputs:
        assert fast.run(data, watch=True, spoil=True) == checked.run(data)


@pytest.mark.parametrize("seed", THUMB_SEEDS)
def test_thumb_code_is_exact_and_never_slower_than_planned(seed: int) -> None:
    one = case(seed)
    runner, checked = Runner(machine(), one.fast), native.accepted(one.portable)
    costs = CostModel(one.graph, one.board, "fram").kernel_cycles(one.graph.ops[1])
    bound = sum(costs.worst(tile.count) for tile in one.plan.tiles if tile.op == 1)
    for data in one.inputs:
        want = checked.run(data)
        runner.put(0, data)
        runner.put(1, want[1])
        run = runner.run(1)
        assert run.output == want[2]
        assert run.count.cycles <= bound


def test_most_random_additions_are_linear() -> None:
    random = np.random.default_rng(1)
    nets = [graph(random) for _ in range(20)]
    found = [layout.lay_out(net.ops[1], net.tensors[:2], net.tensors[2]) for net in nets]
    assert sum(one is not None for one in found) >= 15


def test_additions_of_a_real_model_are_linear() -> None:
    packed = oracle.packed(model_file("ic").read_bytes(), core="m0plus")
    numbers = [n for n, op in enumerate(packed.graph.ops) if op.kind is Kind.ADD]
    assert len(numbers) == 3
    assert all(blob_edit.get(packed.blob, f"op[{n}].kernel") == layout.KERNEL for n in numbers)


def test_sums_that_leave_the_range_stay_portable() -> None:
    scales = (500.0, 500.0, 0.01)
    tensors = tuple(Tensor("t", (1, 1, 1), scale, 0) for scale in scales)
    op = Op(Kind.ADD, "add", (0, 1), 2, 0, p=quantize.add_parameters(*scales))
    assert layout.lay_out(op, tensors[:2], tensors[2]) is None


HOSTILE = [
    ("op[1].in1", 0xFFFF, "RL_E_SHAPE"),
    ("op[1].w_size", 4, "RL_E_SHAPE"),
    ("op[1].off_mult", 4, "RL_E_SHAPE"),
    ("op[1].p3", -1, "RL_E_SHAPE"),
    ("op[1].p3", 32, "RL_E_SHAPE"),
    ("op[1].p4", 1, "RL_E_SHAPE"),
]


@pytest.mark.parametrize(("path", "value", "status"), HOSTILE)
def test_hostile_fields_are_refused(path: str, value: int, status: str) -> None:
    assert native.check(blob_edit.put(case(1).fast, {path: value}))[0] == status


def test_parameters_of_noise_give_numbers_and_no_fault() -> None:
    random = np.random.default_rng(2)
    feed = []
    for seed in SEEDS:
        p = (int(value) for value in random.integers(-(1 << 31), 1 << 31, 3))
        changes = {f"op[1].p{i}": value for i, value in enumerate(p)}
        feed += [(blob_edit.put(case(seed).fast, changes), data) for data in case(seed).inputs]
    for program in native.runners():
        assert {outcome.status for outcome in native.run_program(program, feed)} == {"RL_OK"}
