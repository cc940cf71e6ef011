"""Small nets built like MobileNetV2, Inception, U-Net and ShuffleNet are exact on each core."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from relume.model.graph import Kind

from tests import native
from tests.kernels import oracle
from tests.kernels.move_nets import Mover, ints, options
from tests.kernels.netbuilder import NetBuilder, Node, Window, schema, window_options

CORES = ("portable", "m0plus", "m4")
Quantization = tuple[float, int]
RELU6: Quantization = (6 / 255, -128)


class Layers(NetBuilder):
    """Layers with random weights, scaled so that outputs are neither all clamped nor alike."""

    def __init__(self, shape: tuple[int, int, int], seed: int) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)
        self.source = self.activation((1, *shape), 0.02, -1)
        self.mover = Mover(self, self.random)

    def conv(
        self, node: Node, channels: int, size: int = 1, stride: int = 1, *,
        quantization: Quantization = RELU6, activation: str = "RELU6",
    ) -> Node:  # fmt: skip
        """CONV_2D with SAME padding and bias."""
        shape = (channels, size, size, node.shape[3])
        window = Window((size, size), (stride, stride))
        return self._filtered("CONV_2D", node, window, shape, channels, quantization, activation)

    def depthwise(self, node: Node, stride: int = 1, dilation: int = 1) -> Node:
        """DEPTHWISE_CONV_2D 3 x 3 with SAME padding, bias and ReLU6."""
        channels = node.shape[3]
        window = Window((3, 3), (stride, stride), "SAME", (dilation, dilation))
        shape = (1, 3, 3, channels)
        kind = "DEPTHWISE_CONV_2D"
        return self._filtered(kind, node, window, shape, channels, RELU6, "RELU6")

    def _filtered(
        self, kind: str, node: Node, window: Window, shape: tuple[int, ...], channels: int,
        quantization: Quantization, activation: str,
    ) -> Node:  # fmt: skip
        axis = 0 if kind == "CONV_2D" else 3
        weights = np.clip(self.random.normal(0, 45, shape), -127, 127).astype(np.int8)
        terms = weights.size / channels
        wanted = 20 * quantization[0] / (node.scale * 45 * 60 * np.sqrt(terms))
        scales = (wanted * np.exp(self.random.uniform(0, 1.2, channels))).tolist()
        bias = self.random.normal(0, 2000, channels).astype(np.int32)
        inputs = [node.number, self.constant(weights, scales, axis)]
        inputs.append(self.constant(bias, [scale * node.scale for scale in scales]))
        table = window_options(kind, window, activation)
        if axis:
            table.depthMultiplier = 1
        size = window.out(*node.shape[1:3])
        return self.op(kind, inputs, self.activation((1, *size, channels), *quantization), table)

    def pool(self, node: Node, size: int, stride: int) -> Node:
        """MAX_POOL_2D with SAME padding."""
        window = Window((size, size), (stride, stride))
        shape = (1, *window.out(*node.shape[1:3]), node.shape[3])
        out = self.activation(shape, node.scale, node.zero_point)
        table = window_options("MAX_POOL_2D", window, "NONE")
        return self.op("MAX_POOL_2D", [node.number], out, table)

    def add(self, first: Node, second: Node) -> Node:
        """A residual."""
        out = self.activation(first.shape, first.scale + second.scale / 2, 3)
        return self.op("ADD", [first.number, second.number], out, schema.AddOptionsT())

    def upsampled(self, node: Node) -> Node:
        """Twice as high and wide."""
        n, h, w, c = node.shape
        out = self.activation((n, 2 * h, 2 * w, c), node.scale, node.zero_point)
        size = self.constant(ints(2 * h, 2 * w))
        table = options("ResizeNearestNeighbor", halfPixelCenters=True)
        return self.op("RESIZE_NEAREST_NEIGHBOR", [node.number, size], out, table)

    def averaged(self, node: Node) -> Node:
        """Global average pooling."""
        out = self.activation((1, node.shape[3]), node.scale / 2, node.zero_point)
        return self.op("MEAN", [node.number, self.constant(ints(1, 2))], out, options("Reducer"))


def mobilenet() -> bytes:
    """Inverted residuals: expand, depthwise, project; strides 1 and 2, one dilated."""
    net = Layers((20, 20, 3), 1)
    node = net.conv(net.source, 8, 3, 2)
    for channels, stride, dilation in ((8, 1, 1), (12, 2, 1), (12, 1, 2), (16, 2, 1)):
        wide = net.depthwise(net.conv(node, 3 * node.shape[3]), stride, dilation)
        narrow = net.conv(wide, channels, quantization=(0.05, 4), activation="NONE")
        node = net.add(narrow, node) if narrow.shape == node.shape else narrow
    return net.finish(net.source, net.averaged(net.conv(node, 24)))


def inception() -> bytes:
    """Four branches side by side, twice: CONCATENATION of four inputs."""
    net = Layers((14, 14, 3), 2)
    node = net.conv(net.source, 8, 3, 2)
    for channels in (4, 6):
        branches = [
            net.conv(node, channels),
            net.conv(net.conv(node, channels), 2 * channels, 3),
            net.conv(net.conv(node, 4), channels, 5),
            net.conv(net.pool(node, 3, 1), channels),
        ]
        node = net.pool(net.mover.concat(branches, 3), 2, 2)
    return net.finish(net.source, net.averaged(node))


def unet() -> bytes:
    """Down and up again, with what came before beside it: resize and CONCATENATION."""
    net = Layers((16, 16, 2), 3)
    node, skipped = net.source, []
    for channels in (4, 8):
        node = net.conv(node, channels, 3)
        skipped.append(node)
        node = net.pool(node, 2, 2)
    node = net.conv(node, 12, 3)
    for beside in reversed(skipped):
        node = net.mover.concat([net.upsampled(node), beside], 3)
        node = net.conv(node, beside.shape[3], 3)
    return net.finish(net.source, net.conv(node, 1, quantization=(0.1, 0), activation="NONE"))


def shufflenet() -> bytes:
    """Channels are split, computed, joined and shuffled over five axes."""
    net = Layers((12, 12, 3), 4)
    node = net.conv(net.source, 8, 3, 2)
    for _ in range(2):
        left, right = net.mover.split(node, 3, 2)
        right = net.conv(net.depthwise(net.conv(right, 4)), 4)
        node = net.mover.concat([left, right], 3)
        n, h, w, c = node.shape
        for shape, order in (((n, h, w, 2, c // 2), None), ((n, h, w, c // 2, 2), (0, 1, 2, 4, 3)),
                             ((n, h, w, c), None)):  # fmt: skip
            out = net.activation(shape, node.scale, node.zero_point)
            inputs = [node.number, net.constant(ints(shape if order is None else order))]
            node = net.op("RESHAPE" if order is None else "TRANSPOSE", inputs, out)
    return net.finish(net.source, net.averaged(node))


NETS: dict[str, tuple[Callable[[], bytes], set[Kind]]] = {
    "mobilenet": (mobilenet, {Kind.ADD, Kind.DEPTHWISE_CONV_2D, Kind.MEAN}),
    "inception": (inception, {Kind.CONCATENATION, Kind.MAX_POOL_2D}),
    "unet": (unet, {Kind.CONCATENATION, Kind.GATHER}),
    "shufflenet": (shufflenet, {Kind.CONCATENATION, Kind.GATHER}),
}


@functools.cache
def built(name: str) -> bytes:
    """The .tflite file of a net."""
    return NETS[name][0]()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", NETS)
def test_every_tensor_of_the_net_is_tflites(name: str, core: str) -> None:
    packed = oracle.packed(built(name), 5, core)
    assert {op.kind for op in packed.graph.ops} >= NETS[name][1]
    checked = native.accepted(packed.blob)
    for seed in range(2):
        data = oracle.random_input(packed.input_size, seed)
        tensors = checked.run(data, watch=True, spoil=True)
        assert packed.mismatches(tensors, oracle.run_reference(built(name), data)) == []
        last = np.frombuffer(tensors[packed.graph.output], np.int8)
        assert len(np.unique(last)) > len(last) // 20 + 2, "outputs that are all alike"
