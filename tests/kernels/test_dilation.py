"""Dilation written as SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND is one convolution, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from relume.errors import ModelError
from relume.model.graph import Kind
from relume.model.tflite_reader import read_tflite, survey

from tests import native
from tests.kernels import oracle
from tests.kernels.move_nets import ints, options
from tests.kernels.netbuilder import NetBuilder, Node, Window, window_options

SEEDS = range(20)


def batched_net(kind: str, seed: int, padding: str = "VALID") -> bytes:
    """A convolution between the two ops, with random block, paddings and crops that fit."""
    random = np.random.default_rng(seed)
    block = random.integers(1, 4, 2)
    taps = random.integers(1, 4, 2)
    size = random.integers(3, 12, 2)
    reach = (taps - 1) * block
    before, after = random.integers(0, reach + 1), random.integers(0, reach + 1)
    before = np.where(size + before + after > reach, before, reach)
    rounded = -(size + before + after) % block  # cropped again
    whole = size + before + after + rounded
    crops = np.stack((np.zeros(2, np.int64), rounded), axis=1)
    pads = np.stack((before, whole - size - before), axis=1)
    c, depth = int(random.choice([1, 3, 4, 8])), int(random.choice([1, 4, 5]))
    channels = depth if kind == "CONV_2D" else c
    n = int(np.prod(block))

    net = NetBuilder()
    source = net.activation((1, *size.tolist(), c), 0.1, int(random.integers(-128, 128)))
    out_zero = int(random.integers(-128, 128))
    phase = (whole // block).tolist()
    apart = net.activation((n, *phase, c), source.scale, source.zero_point)
    blocks = net.constant(ints(block.tolist()))
    net.op("SPACE_TO_BATCH_ND", [source.number, blocks, net.constant(ints(pads.tolist()))], apart,
           options("SpaceToBatchND"))  # fmt: skip
    computed = _computed(net, random, kind, apart, taps, channels, (padding, out_zero))
    shape = (whole - reach - crops.sum(axis=1)).tolist()
    if padding == "SAME":
        shape = (whole - crops.sum(axis=1)).tolist()
    out = net.activation((1, *shape, channels), computed.scale, out_zero)
    net.op("BATCH_TO_SPACE_ND", [computed.number, blocks, net.constant(ints(crops.tolist()))], out,
           options("BatchToSpaceND"))  # fmt: skip
    return net.finish(source, out)


def _computed(
    net: NetBuilder, random: np.random.Generator, kind: str, node: Node, taps: Any, channels: int,
    how: tuple[str, int],
) -> Node:  # fmt: skip
    padding, zero = how
    window = Window((int(taps[0]), int(taps[1])), (1, 1), padding)
    depth = node.shape[3]
    front = (channels, *taps) if kind == "CONV_2D" else (1, *taps)
    shape = (*front, depth if kind == "CONV_2D" else channels)
    weights = random.integers(-127, 128, shape, dtype=np.int8)
    scales = random.uniform(0.001, 0.004, channels).tolist()
    bias = random.integers(-900, 900, channels, dtype=np.int32)
    inputs = [
        node.number,
        net.constant(weights, scales, 0 if kind == "CONV_2D" else 3),
        net.constant(bias, [scale * node.scale for scale in scales]),
    ]
    table = window_options(kind, window, "NONE")
    if kind != "CONV_2D":
        table.depthMultiplier = 1
    size = window.out(node.shape[1], node.shape[2])
    out = net.activation((node.shape[0], *size, channels), 0.2, zero)
    return net.op(kind, inputs, out, table)


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_a_convolution_between_batches_is_one_dilated_one(kind: str) -> None:
    dilated = 0
    for seed in SEEDS:
        model = batched_net(kind, seed)
        packed = oracle.packed(model, seed)
        (op,) = packed.graph.ops
        assert op.kind is Kind[kind] and survey(model).supported
        dilated += op.window.dil_h > 1 and op.window.kh > 1
        data = oracle.random_input(packed.input_size, seed)
        mine = native.accepted(packed.blob).run(data, watch=True, spoil=True)
        reference = oracle.run_reference(model, data)
        assert mine[packed.graph.output] == reference[max(reference)], f"seed {seed}"
    assert dilated >= 4


def test_batches_with_another_convolution_between_are_refused_by_name() -> None:
    seed = next(s for s in SEEDS if read_tflite(batched_net("CONV_2D", s)).ops[0].window.dil_h > 1)
    with pytest.raises(ModelError, match=r"^model: op 0, layer t1, SPACE_TO_BATCH_ND: no kernel"):
        read_tflite(batched_net("CONV_2D", seed, "SAME"))
