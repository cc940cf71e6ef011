"""The layers that `relume bench kernels` makes from seeds look like the real ones."""

from __future__ import annotations

import numpy as np
import pytest
from relume.bench.layers import LAYERS, SeededLayer, seeded_layers
from relume.bench.oracle import layer_reference, tflite
from relume.model.reference import run_reference
from relume.model.tflite_reader import read_tflite

from tests.shared import model_file, model_input

SOURCES = {"conv3x3_16x16": ("ic", 1), "pw_64x64": ("kws", 2), "dw3x3_64": ("kws", 1)}
EVERY = seeded_layers()


def layer(name: str) -> SeededLayer:
    return next(one for one in EVERY if one.name == name)


def figures(weights: np.ndarray, data: bytes, zero_point: int) -> tuple[float, float, float]:
    """(mean |w|, share of zero inputs, mean input - zero point)."""
    u = np.frombuffer(data, np.int8).astype(int) - zero_point
    return float(np.abs(weights.astype(int)).mean()), float((u == 0).mean()), float(u.mean())


def of_layer(one: SeededLayer) -> tuple[float, float, float]:
    weights = one.graph.ops[0].weights
    assert weights is not None
    return figures(weights, one.data, one.graph.tensors[0].zero_point)


@pytest.mark.parametrize("name", SOURCES)
def test_zeros_and_means_are_those_of_the_real_layer(name: str) -> None:
    model, number = SOURCES[name]
    graph = read_tflite(model_file(model))
    op = graph.ops[number]
    made = run_reference(model_file(model).read_bytes(), model_input(model))
    (data,) = [value for key, value in made.items() if graph.tensor_of[key] == op.inputs[0]]
    assert op.weights is not None
    real = figures(op.weights, data, graph.tensors[op.inputs[0]].zero_point)
    assert of_layer(layer(name)) == pytest.approx(real, rel=0.15)
    assert layer(name).graph.tensors[0].shape == graph.tensors[op.inputs[0]].shape


def test_half_of_the_outputs_are_zero() -> None:
    for one in EVERY:
        wanted = layer_reference(one, one.data)
        assert wanted is not None
        zeros = (np.frombuffer(wanted, np.int8) == -128).mean()
        assert 0.3 < zeros < 0.6, one.name


@pytest.mark.parametrize("name", LAYERS)
def test_the_file_of_a_layer_reads_as_the_layer(name: str) -> None:
    one = layer(name)
    read = read_tflite(tflite(one))
    mine, theirs = one.graph.ops[0], read.ops[0]
    assert [t.shape for t in read.tensors] == [t.shape for t in one.graph.tensors]
    assert mine.window == theirs.window and mine.depth_mult == theirs.depth_mult
    for field in ("weights", "bias", "multipliers", "shifts"):
        assert np.array_equal(getattr(mine, field), getattr(theirs, field)), field


def test_seeds_give_the_same_bytes_again() -> None:
    for one, again in zip(EVERY, seeded_layers(), strict=True):
        assert one.data == again.data
        assert np.array_equal(one.graph.ops[0].weights, again.graph.ops[0].weights)  # type: ignore[arg-type]
