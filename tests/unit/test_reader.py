"""The TFLite reader reads what TFLite means, and aliases what only changes its shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from relume.model.graph import Kind, Window
from relume.model.tflite_reader import read_tflite, survey

from tests.kernels.netbuilder import NetBuilder, window_options
from tests.kernels.netbuilder import Window as NetWindow
from tests.shared import MODELS, model_file
from tests.unit.tflite_nets import add_op, changed, schema, small_net


def test_small_net_is_read_op_by_op() -> None:
    graph = read_tflite(small_net())
    kinds = [op.kind for op in graph.ops]
    assert kinds == [Kind.CONV_2D, Kind.FULLY_CONNECTED, Kind.SOFTMAX]
    conv, dense, softmax = graph.ops
    assert conv.window == Window(3, 3, 2, 2, 0, 0, 1, 1)  # SAME, 8 -> 4: one row too many, below
    assert (conv.act_min, conv.act_max) == (-128, 127)
    assert conv.weights is not None and conv.weights.shape == (4, 3, 3, 1)
    assert dense.bias is None and dense.multipliers is not None
    assert [op.number for op in graph.ops] == [0, 2, 3]
    assert softmax.name == "t8"
    assert graph.macs(conv) == 4 * 4 * 9 * 4


def test_a_reshape_gives_both_names_to_one_tensor() -> None:
    graph = read_tflite(small_net())
    assert graph.tensor_of[3] == graph.tensor_of[4]  # convolution's output, flattened
    assert graph.tensors[graph.tensor_of[3]].shape == (4, 4, 4)
    assert graph.tensor_of[0] == graph.input and graph.tensor_of[8] == graph.output


def _reshape_between_windows() -> bytes:
    """Convolution -> RESHAPE 4x4x4 to 2x8x4 -> pool: both insist on their shape."""
    net = NetBuilder()
    source = net.activation((1, 4, 4, 4), 0.5, 0)
    weights = net.constant(np.ones((4, 1, 1, 4), np.int8), [0.1])
    conv = net.activation((1, 4, 4, 4), 0.5, 0)
    options = window_options("CONV_2D", NetWindow((1, 1)), "NONE")
    net.op("CONV_2D", [source.number, weights, -1], conv, options)
    wide = net.activation((1, 2, 8, 4), 0.5, 0)
    net.op("RESHAPE", [conv.number], wide)
    pooled = net.activation((1, 1, 4, 4), 0.5, 0)
    options = window_options("MAX_POOL_2D", NetWindow((2, 2), (2, 2), "VALID"), "NONE")
    net.op("MAX_POOL_2D", [wide.number], pooled, options)
    return net.finish(source, pooled)


def test_a_reshape_between_ops_that_insist_on_their_shapes_stays_a_copy() -> None:
    graph = read_tflite(_reshape_between_windows())
    assert [op.kind for op in graph.ops] == [Kind.CONV_2D, Kind.RESHAPE, Kind.MAX_POOL_2D]
    assert graph.tensors[graph.ops[1].output].shape == (2, 8, 4)


def test_a_net_of_one_reshape_copies_its_input() -> None:
    net = NetBuilder()
    source = net.activation((1, 2, 3, 4), 0.5, 0)
    flat = net.activation((1, 24), 0.5, 0)
    net.op("RESHAPE", [source.number], flat)
    graph = read_tflite(net.finish(source, flat))
    assert [op.kind for op in graph.ops] == [Kind.RESHAPE]
    assert graph.input != graph.output


def test_a_mean_over_w_that_drops_its_axis_is_reshaped() -> None:
    net = NetBuilder()
    source = net.activation((1, 3, 5, 2), 0.5, 0)
    out = net.activation((1, 3, 2), 0.5, 0)
    options = schema.ReducerOptionsT()
    net.op("MEAN", [source.number, net.constant(np.array([2], np.int32))], out, options)
    relu = net.activation((1, 3, 2), 0.5, 0)
    net.op("ADD", [out.number, out.number], relu, schema.AddOptionsT())
    graph = read_tflite(net.finish(source, relu))
    assert [op.kind for op in graph.ops] == [Kind.MEAN, Kind.RESHAPE, Kind.ADD]
    assert graph.tensors[graph.ops[0].output].shape == (3, 1, 2)
    assert graph.tensors[graph.ops[2].output].shape == (1, 3, 2)
    assert graph.ops[0].p[0] == 2 and graph.ops[0].p[3] == 5


def test_ops_that_the_output_does_not_need_are_dropped() -> None:
    def to_logits(model: Any) -> None:
        model.subgraphs[0].outputs = [7]

    graph = read_tflite(changed(small_net(), to_logits))
    assert [op.kind for op in graph.ops] == [Kind.CONV_2D, Kind.FULLY_CONNECTED]
    assert 8 not in graph.tensor_of


def test_ops_that_only_compute_a_reshapes_target_are_not_needed() -> None:
    def dynamic_flatten(model: Any) -> None:
        add_op(model, "SHAPE")
        graph = model.subgraphs[0]
        shape, graph.outputs = graph.outputs[0], [8]
        ops = graph.operators
        ops[-1].inputs, ops[1].inputs = [3], [3, shape]
        graph.operators = [ops[0], ops[-1], *ops[1:-1]]

    image = changed(small_net(), dynamic_flatten)
    kinds = [op.kind for op in read_tflite(image).ops]
    assert kinds == [Kind.CONV_2D, Kind.FULLY_CONNECTED, Kind.SOFTMAX]
    found = survey(image)
    assert found.supported and found.ops[1].kind == "SHAPE"


def test_pad_and_padv2_carry_their_value() -> None:
    for kind, value in (("PAD", 7), ("PADV2", -9)):
        net = NetBuilder()
        source = net.activation((1, 2, 2, 1), 0.5, 7)
        pads = net.constant(np.array([[0, 0], [1, 2], [3, 0], [0, 1]], np.int32))
        out = net.activation((1, 5, 5, 2), 0.5, 7)
        more = [net.constant(np.array([-9], np.int8), [0.5])] if kind == "PADV2" else []
        net.op(kind, [source.number, pads, *more], out)
        graph = read_tflite(net.finish(source, out))
        assert graph.ops[0].p == (1, 3, 0, value)


def test_survey_lists_every_op_with_its_verdict() -> None:
    def two_bad(model: Any) -> None:
        add_op(model, "COS")
        add_op(model, "CUSTOM", "MyOp")

    found = survey(changed(small_net(), two_bad))
    assert [op.reason is None for op in found.ops] == [True] * 4 + [False] * 2
    assert found.ops[4].kind == "COS" and found.ops[5].kind == "custom op MyOp"
    assert not found.supported and not found.problems


@pytest.mark.parametrize("name", MODELS)
def test_the_reference_models_are_read(name: str) -> None:
    graph = read_tflite(model_file(name))
    macs = {"kws": 2664768, "ic": 12505728, "ad": 264192, "vww": 7491968}
    assert sum(graph.macs(op) for op in graph.ops) == macs[name]
    assert survey(model_file(name)).supported
