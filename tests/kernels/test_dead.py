"""Nets whose dead channels were taken out give TFLite's bytes, all constants put back."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from relume.model import dead
from relume.model.graph import Graph, Op
from relume.model.ranges import ranges
from relume.model.tflite_reader import read_tflite

from tests import native
from tests.kernels import oracle
from tests.kernels.netbuilder import Node
from tests.kernels.netgen import NetGenerator
from tests.shared import model_file, model_input

SEEDS = range(36)
CORES = ("portable", "m0plus", "m4")


class DeadNets(NetGenerator):
    """Nets of ops that channels pass through, most of whose weights have whole rows of zeros."""

    def _grow(self, node: Node) -> Node:
        kinds = [self._conv, self._pointwise, self._pointwise, self._depthwise, self._depthwise]
        kinds += [self._pool, self._pad, self._add]
        return kinds[int(self.random.integers(len(kinds)))](node)

    def _tail(self, node: Node) -> Node:
        kinds = [self._dense, self._softmax]
        if len(node.shape) == 4:
            kinds += [self._mean]
        return kinds[int(self.random.integers(len(kinds)))](node)

    def _weights(self, shape: tuple[int, ...], k: int, axis: int, per_channel: bool) -> Any:
        made = super()._weights(shape, k, axis, per_channel)
        number, scales = made
        gone = np.flatnonzero(self.random.random(shape[axis]) < self._pick(0.3, 0.6, 0.9))
        buffer = self.net._buffers[self.net._tensors[number].buffer]
        weights = np.array(buffer.data, dtype=np.uint8).view(np.int8).reshape(shape)
        weights[(slice(None),) * axis + (gone,)] = 0
        buffer.data = weights.reshape(-1).view(np.uint8)
        return number, scales


@functools.cache
def net(seed: int) -> tuple[bytes, oracle.Packed]:
    """(model, lean blob for one of the cores, tiles cut at random)."""
    model = DeadNets(seed).generate()
    return model, oracle.packed(model, seed, CORES[seed % 3], lean=True)


def mismatches(model: bytes, packed: oracle.Packed, data: bytes) -> list[str]:
    tensors = native.accepted(packed.blob).run(data)
    return packed.mismatches(tensors, oracle.run_reference(model, data))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_tensor_is_exact_with_its_constants_put_back(seed: int) -> None:
    model, packed = net(seed)
    assert mismatches(model, packed, oracle.random_input(packed.input_size, seed)) == []


def test_channels_go_in_many_nets_and_in_all_sorts_of_ops() -> None:
    lean = [net(seed)[1].graph for seed in SEEDS]
    shrunk = [graph for graph in lean if graph.kept]
    kinds = {op.kind.name for graph in shrunk for op in graph.ops if op.output in graph.kept}
    assert len(shrunk) > len(lean) / 4
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "AVERAGE_POOL_2D", "MEAN"} <= kinds


@pytest.mark.parametrize("seed", SEEDS)
def test_no_byte_leaves_the_range_worked_out_for_its_channel(seed: int) -> None:
    model, _ = net(seed)
    graph = read_tflite(model)
    known = ranges(graph)
    data = oracle.random_input(graph.tensors[graph.input].size, seed + 1)
    for number, want in oracle.run_reference(model, data).items():
        one = known[graph.tensor_of[number]]
        pixels = np.frombuffer(want, np.int8).reshape(-1, len(one.low))
        assert (pixels >= one.low).all() and (pixels <= one.high).all()


def test_a_constant_that_is_not_folded_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = dead._with_fewer_inputs

    def forgetful(graph: Graph, op: Op, *rest: Any) -> Op:
        from dataclasses import replace

        return replace(fold(graph, op, *rest), bias=op.bias)

    monkeypatch.setattr(dead, "_with_fewer_inputs", forgetful)
    bad = 0
    for seed in SEEDS:
        model = DeadNets(seed).generate()
        packed = oracle.packed(model, lean=True)
        bad += bool(mismatches(model, packed, oracle.random_input(packed.input_size, seed)))
    assert bad > 3


@pytest.mark.parametrize("core", CORES)
def test_visual_wake_words_loses_half_of_its_work_and_no_byte(core: str) -> None:
    model, data = model_file("vww").read_bytes(), model_input("vww")
    packed = oracle.packed(model, core=core, lean=True)
    assert mismatches(model, packed, data) == []
    saved = dead.saved(read_tflite(model), packed.graph)
    assert saved.channels > 1900 and saved.macs > 3_700_000


class MixedNets(DeadNets):
    """Nets of which many ops have tables or operands that are repeated."""

    def _grow(self, node: Node) -> Node:
        kinds = [self._conv, self._pointwise, self._unary, self._pair]
        return kinds[int(self.random.integers(len(kinds)))](node)


def test_tables_and_operands_lose_channels_and_no_byte() -> None:
    kinds = set()
    for seed in SEEDS:
        model = MixedNets(seed).generate()
        packed = oracle.packed(model, seed, CORES[seed % 3], lean=True)
        assert mismatches(model, packed, oracle.random_input(packed.input_size, seed)) == [], seed
        kinds |= {op.kind.name for op in packed.graph.ops if op.output in packed.graph.kept}
    assert {"MAP", "ADD"} <= kinds
