"""A dead channel goes only where its reader computes the same without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relume.model.dead import saved, without_dead_channels
from relume.model.graph import Graph, Int8Array, Kept, Kind, Op, Tensor, Window
from relume.model.quantize import per_channel

ONE = Window(1, 1, 1, 1, 0, 0, 1, 1)
SAME = Window(3, 3, 1, 1, 1, 1, 1, 1)
VALID = Window(3, 3, 1, 1, 0, 0, 1, 1)


def weights(outputs: int, taps: int, inputs: int, dead: tuple[int, ...] = ()) -> Int8Array:
    made = np.random.default_rng(0).integers(1, 50, (outputs, taps, taps, inputs), np.int8)
    made[list(dead)] = 0
    return made


def conv(source: int, window: Window, w: Int8Array, bias: int = 0) -> Op:
    count = len(w)
    params = per_channel(1.0, [0.02] * count, 1.0, count)
    biases = np.full(count, bias, np.int32)
    return Op(Kind.CONV_2D, f"c{source}", (source,), source + 1, source, window, 0, -128, 127, w,
              biases, *params)  # fmt: skip


def net(window: Window, dead: tuple[int, ...], bias: int = 0, channels: int = 8) -> Graph:
    """1x1 to `channels`, of which `dead` have no weights; then 4 channels by `window`."""
    side = 6 if window is not VALID else 4
    tensors = (
        Tensor("x", (6, 6, 4), 1.0, -128),
        Tensor("y", (6, 6, channels), 1.0, -128),
        Tensor("z", (side, side, 4), 1.0, 0),
    )
    first = conv(0, ONE, weights(channels, 1, 4, dead), bias)
    second = conv(1, window, weights(4, window.kh, channels))
    return Graph("net", tensors, (first, second), 0, 2)


def left(graph: Graph) -> int:
    return without_dead_channels(graph).tensors[1].shape[2]


def test_a_net_without_dead_channels_is_the_same_object() -> None:
    graph = net(ONE, ())
    assert without_dead_channels(graph) is graph


def test_dead_channels_go_and_their_constants_are_kept() -> None:
    lean = without_dead_channels(net(ONE, (1, 2, 4, 7), bias=1000))
    assert lean.kept == {1: Kept((0, 3, 5, 6), (None, -108, -108, None, -108, None, None, -108))}
    first, second = lean.ops
    assert first.weights is not None and first.weights.shape == (4, 1, 1, 4)
    assert second.weights is not None and second.weights.shape == (4, 1, 1, 4)


@pytest.mark.parametrize(
    ("window", "bias", "channels"),
    [(SAME, 1000, 8), (VALID, 1000, 4), (SAME, 0, 4), (SAME, -5000, 4), (ONE, 1000, 4)],
)
def test_padding_is_no_constant_unless_it_is_the_zero_point(
    window: Window, bias: int, channels: int
) -> None:
    assert left(net(window, (0, 1, 2, 3), bias)) == channels


def test_the_channels_left_are_a_multiple_of_four_as_before() -> None:
    assert left(net(ONE, (0, 1, 2))) == 8
    assert left(net(ONE, (0, 1, 2, 3, 4))) == 4
    assert left(net(ONE, tuple(range(8)))) == 4
    assert left(net(ONE, (0, 1), channels=6)) == 4
    assert left(net(ONE, (0, 1, 2), channels=7)) == 4


def test_the_output_keeps_its_channels() -> None:
    graph = net(ONE, (0, 1, 2, 3))
    assert left(replace(graph, output=1)) == 8


def test_a_channel_stays_when_one_of_its_readers_needs_it() -> None:
    graph = net(ONE, (0, 1, 2, 3), bias=1000)
    shape = (6, 6, 4)
    extra = replace(conv(1, SAME, weights(4, 3, 8)), output=3)
    tensors = (*graph.tensors, Tensor("w", shape, 1.0, 0))
    assert left(replace(graph, tensors=tensors, ops=(*graph.ops, extra))) == 8


def test_a_channel_that_nobody_reads_goes() -> None:
    graph = net(ONE, ())
    second = graph.ops[1]
    assert second.weights is not None
    second.weights[..., 4:] = 0
    lean = without_dead_channels(graph)
    assert lean.kept[1].channels == (0, 1, 2, 3)
    assert lean.kept[1].constants == (None,) * 8


def test_a_bias_that_would_not_fit_is_not_made() -> None:
    graph = net(ONE, (0, 1, 2, 3), bias=1000)
    second = replace(graph.ops[1], bias=np.full(4, 2**31 - 10, np.int32))
    assert left(replace(graph, ops=(graph.ops[0], second))) == 8


def test_a_depthwise_filter_hands_constants_on() -> None:
    """1x1 with dead channels, 3x3 depthwise with padding, 1x1."""
    graph = net(ONE, (0, 1, 2, 3))
    params = per_channel(1.0, [0.02] * 8, 1.0, 8)
    between = Op(
        Kind.DEPTHWISE_CONV_2D, "dw", (1,), 2, 1, SAME, 1, -128, 127,
        np.ones((3, 3, 8), np.int8), np.full(8, 300, np.int32), *params,
    )  # fmt: skip
    last = replace(graph.ops[1], inputs=(2,), output=3)
    tensors = (*graph.tensors[:2], graph.tensors[1], graph.tensors[2])
    lean = without_dead_channels(
        replace(graph, tensors=tensors, ops=(graph.ops[0], between, last), output=3)
    )
    assert lean.tensors[1].shape[2] == lean.tensors[2].shape[2] == 4
    assert lean.kept[2].constants[:4] == (-122,) * 4
    assert saved(replace(graph, tensors=tensors), lean).channels == 8


def test_a_tensor_is_put_together_again() -> None:
    kept = Kept((0, 2), (None, -7, None, None))
    assert kept.restored(bytes([1, 2, 3, 4])) == bytes([1, 249, 2, 0, 3, 249, 4, 0])
    assert kept.narrowed(kept.restored(bytes([1, 2, 3, 4]))) == bytes([1, 2, 3, 4])
    assert kept.masked(bytes(range(8))) == bytes([0, 1, 2, 0, 4, 5, 6, 0])
