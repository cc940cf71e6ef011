"""Random int8 nets of all kinds that the engine runs: chains with residual adds.

The same seed gives the same file. Scales are chosen so that most outputs are neither all clamped
nor all alike; some channels are dead, some have multipliers above 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]

from tests.kernels import netgen_math
from tests.kernels.move_nets import SINGLE, Mover
from tests.kernels.netbuilder import ACTIVATIONS, NetBuilder, Node, Window, window_options

MAX_BYTES = 6000
MAX_MACS = 200_000

ALONE = ("shrink", "squeeze_and_expand")  # moves that are tested in nets of their own


class NetGenerator:
    """Grows one net."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.net = NetBuilder()
        self.made: list[Node] = []

    def generate(self) -> bytes:
        """The .tflite file."""
        source = self.net.activation((1, *self._image()), *self._quantization())
        node = source
        self.made = [source]
        for _ in range(int(self.random.integers(2, 7))):
            node = self._grow(node)
            self.made.append(node)
        for _ in range(int(self.random.integers(0, 4))):
            node = self._tail(node)
        if node is source:
            node = self._mean(node)
        return self.net.finish(source, node)

    # -------------------------------------------------------------- choices

    def _pick(self, *values: Any) -> Any:
        return values[int(self.random.integers(len(values)))]

    def _image(self) -> tuple[int, int, int]:
        h, w = (int(x) for x in self.random.integers(1, 14, 2))
        return h, w, int(self._pick(1, 2, 3, 4, 5, 7, 8, 12, 16))

    def _quantization(self) -> tuple[float, int]:
        scale = float(np.exp(self.random.uniform(np.log(0.004), np.log(0.3))))
        return scale, int(self._pick(-128, 127, 0, self.random.integers(-128, 128)))

    def _activation(self) -> str:
        return str(self._pick("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"))

    def _window(self, shape: tuple[int, ...], dilated: bool) -> tuple[Window, int, int] | None:
        """A window that fits (h, w), with the size of its output."""
        for _ in range(8):
            kh, kw = (int(x) for x in self.random.integers(1, 5, 2))
            sh, sw = (int(x) for x in self.random.choice([1, 1, 2, 3], 2))
            dilation = (1, 1)
            if dilated and self.random.random() < 0.35:
                dilation = (int(self._pick(1, 2, 3)), int(self._pick(1, 2, 3)))
            padding = str(self._pick("SAME", "VALID"))
            window = Window((kh, kw), (sh, sw), padding, dilation)
            h, w = window.out(shape[1], shape[2])
            if h > 0 and w > 0:
                return window, h, w
        return None

    def _grow(self, node: Node) -> Node:
        kinds = [
            self._conv, self._conv, self._pointwise, self._depthwise, self._depthwise,
            self._pool, self._pad, self._add, self._add, self._unary, self._pair, self._move,
        ]  # fmt: skip
        return kinds[int(self.random.integers(len(kinds)))](node)

    def _tail(self, node: Node) -> Node:
        kinds = [
            self._dense, self._dense, self._softmax, self._reshape, self._unary, self._pair,
        ]  # fmt: skip
        if len(node.shape) == 4:
            kinds += [self._mean, self._mean]
        return kinds[int(self.random.integers(len(kinds)))](node)

    # ------------------------------------------------------------- weighted

    def _weights(self, shape: tuple[int, ...], k: int, axis: int, per_channel: bool) -> Any:
        """(tensor, scales): int8 weights with an outlier, a dead channel now and then."""
        weights = np.clip(self.random.normal(0, 50, shape), -127, 127).astype(np.int8)
        channels = shape[axis]
        scales = np.exp(self.random.uniform(-6, -3, channels if per_channel else 1))
        if channels > 3 and self.random.random() < 0.4:
            dead = int(self.random.integers(channels))
            weights[(slice(None),) * axis + (dead,)] = 0
            if per_channel:
                scales[dead] *= float(self._pick(1e-6, 1e3))
        return self.net.constant(weights, scales.astype(np.float32).tolist(), axis), scales

    def _weighted(
        self, kind: str, node: Node, weights: int, scales: Any, k: int, shape: tuple[int, ...],
        options: Any,
    ) -> Node:  # fmt: skip
        spread = node.scale * float(np.median(scales)) * 50 * 70 * np.sqrt(k)
        scale = spread / 128 * float(np.exp(self.random.uniform(-1, 1.5)))
        out = self.net.activation(shape, scale, self._quantization()[1])
        inputs = [node.number, weights]
        if kind != "FULLY_CONNECTED" or self.random.random() < 0.8:
            bias = self.random.normal(0, 2000, shape[-1]).astype(np.int32)
            bias_scales = (np.broadcast_to(scales, shape[-1]) * node.scale).tolist()
            inputs.append(self.net.constant(bias, bias_scales if len(scales) > 1 else
                                            bias_scales[:1]))  # fmt: skip
        return self.net.op(kind, inputs, out, options)

    def _conv(self, node: Node) -> Node:
        found = self._window(node.shape, dilated=True)
        return node if found is None else self._conv_with(node, *found)

    def _pointwise(self, node: Node) -> Node:
        window = Window((1, 1))
        return self._conv_with(node, window, *window.out(node.shape[1], node.shape[2]))

    def _conv_with(self, node: Node, window: Window, h: int, w: int) -> Node:
        depth = node.shape[3]
        k = window.size[0] * window.size[1] * depth
        channels = int(self._pick(1, 2, 3, 4, 5, 8, 9, 16))
        if h * w * channels > MAX_BYTES or h * w * channels * k > MAX_MACS:
            return node
        shape = (channels, *window.size, depth)
        weights, scales = self._weights(shape, k, 0, bool(self._pick(True, True, False)))
        options = window_options("CONV_2D", window, self._activation())
        return self._weighted("CONV_2D", node, weights, scales, k, (1, h, w, channels), options)

    def _depthwise(self, node: Node) -> Node:
        found = self._window(node.shape, dilated=True)
        if found is None:
            return node
        window, h, w = found
        repeat = int(self._pick(1, 1, 1, 2, 3))
        channels = node.shape[3] * repeat
        if h * w * channels > MAX_BYTES:
            return node
        k = window.size[0] * window.size[1]
        weights, scales = self._weights((1, *window.size, channels), k, 3, True)
        options = window_options("DEPTHWISE_CONV_2D", window, self._activation())
        options.depthMultiplier = repeat
        out = (1, h, w, channels)
        return self._weighted("DEPTHWISE_CONV_2D", node, weights, scales, k, out, options)

    def _dense(self, node: Node) -> Node:
        k = node.shape[-1]
        rows = int(np.prod(node.shape)) // k
        if self.random.random() < 0.7:
            rows, k = 1, rows * k
        channels = int(self.random.integers(1, 20))
        if rows * k * channels > MAX_MACS:
            return node
        flat = self._reshape_to(node, (rows, k))
        weights, scales = self._weights((channels, k), k, 0, bool(self._pick(True, False)))
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = ACTIVATIONS[self._activation()]
        return self._weighted(
            "FULLY_CONNECTED", flat, weights, scales, k, (rows, channels), options
        )

    # ---------------------------------------------------------------- others

    def _pool(self, node: Node) -> Node:
        found = self._window(node.shape, dilated=False)
        if found is None:
            return node
        window, h, w = found
        kind = str(self._pick("AVERAGE_POOL_2D", "MAX_POOL_2D"))
        out = self.net.activation((1, h, w, node.shape[3]), node.scale, node.zero_point)
        options = window_options(kind, window, self._activation())
        return self.net.op(kind, [node.number], out, options)

    def _pad(self, node: Node) -> Node:
        pads = np.zeros((4, 2), np.int32)
        pads[1:] = self.random.integers(0, 3, (3, 2))
        shape = tuple(int(x) for x in np.array(node.shape) + pads.sum(axis=1))
        if int(np.prod(shape)) > MAX_BYTES:
            return node
        out = self.net.activation(shape, node.scale, node.zero_point)
        return self.net.op("PAD", [node.number, self.net.constant(pads)], out,
                           schema.PadOptionsT())  # fmt: skip

    def _add(self, node: Node) -> Node:
        same = [other for other in self.made if other.shape == node.shape]
        other = same[int(self.random.integers(len(same)))]
        if self.random.random() < 0.7 and len(node.shape) == 4:
            other = self._scaled(node)
        scale = (node.scale + other.scale) * float(np.exp(self.random.uniform(-1.5, 1.0)))
        out = self.net.activation(node.shape, scale, self._quantization()[1])
        options = schema.AddOptionsT()
        options.fusedActivationFunction = ACTIVATIONS[self._activation()]
        pair = [node.number, other.number]
        return self.net.op("ADD", pair if self.random.random() < 0.5 else pair[::-1], out, options)

    def _scaled(self, node: Node) -> Node:
        """A depthwise 1 x 1 branch: same shape, another quantization."""
        channels = node.shape[3]
        weights, scales = self._weights((1, 1, 1, channels), 1, 3, True)
        options = window_options("DEPTHWISE_CONV_2D", Window((1, 1)), "NONE")
        options.depthMultiplier = 1
        return self._weighted(
            "DEPTHWISE_CONV_2D", node, weights, scales, 1, node.shape, options
        )

    def _unary(self, node: Node) -> Node:
        return netgen_math.unary(self, node)

    def _pair(self, node: Node) -> Node:
        return netgen_math.pair(self, node)

    def _softmax(self, node: Node) -> Node:
        options = schema.SoftmaxOptionsT()
        options.beta = float(self._pick(1.0, 1.0, 0.5, 3.0))
        if options.beta * node.scale >= 15.0:  # beyond the exponent of 30 that SPEC 2.4 allows
            return node
        out = self.net.activation(node.shape, 1 / 256, -128)
        return self.net.op("SOFTMAX", [node.number], out, options)

    def _reshape(self, node: Node) -> Node:
        size = int(np.prod(node.shape))
        factor = next(f for f in (4, 3, 2, 1) if size % f == 0)
        return self._reshape_to(node, (1, factor, size // factor))

    def _reshape_to(self, node: Node, shape: tuple[int, ...]) -> Node:
        if shape == node.shape:
            return node
        out = self.net.activation(shape, node.scale, node.zero_point)
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        axes = self.net.constant(np.array(shape, np.int32))
        return self.net.op("RESHAPE", [node.number, axes], out, options)

    def _move(self, node: Node) -> Node:
        """One op that only moves bytes and keeps four axes."""
        if int(np.prod(node.shape)) > MAX_BYTES // 4:
            return node
        kind = str(self._pick(*(name for name in SINGLE if name not in ALONE)))
        moved: Node = getattr(Mover(self.net, self.random), kind)(node)
        return moved

    def _mean(self, node: Node) -> Node:
        axes = [list(a) for a in ((1, 2), (1, 2), (2, 1), (1,), (2,), (-2,))]
        over = axes[int(self.random.integers(len(axes)))]
        keep = bool(self._pick(True, False))
        reduced = {axis % 4 for axis in over}
        shape = tuple(
            1 if axis in reduced else size
            for axis, size in enumerate(node.shape) if keep or axis not in reduced
        )  # fmt: skip
        scale = node.scale * float(np.exp(self.random.uniform(-1.5, 0.5)))
        out = self.net.activation(shape, scale, self._quantization()[1])
        options = schema.ReducerOptionsT()
        options.keepDims = keep
        constant = self.net.constant(np.array(over, np.int32))
        return self.net.op("MEAN", [node.number, constant], out, options)


def random_net(seed: int) -> bytes:
    """A random int8 net as a .tflite file."""
    return NetGenerator(seed).generate()
