"""Moving ops and what models compute of shapes are read, or refused in a line that names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from relume.errors import ModelError
from relume.model.gather_form import gather_form
from relume.model.graph import Kind
from relume.model.lower_common import Unsupported, folded
from relume.model.tflite_reader import read_tflite, survey

from tests.kernels.move_nets import Mover, ints, options
from tests.kernels.netbuilder import NetBuilder, Node

SEEDS = st.integers(0, 2**32 - 1)


class Net(NetBuilder):
    """A net of one 4 x 6 x 2 image, with shape arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.source = self.activation((1, 4, 6, 2), 0.5, 3)
        self.mover = Mover(self, np.random.default_rng(0))

    def whole(
        self, kind: str, inputs: list[int], shape: tuple[int, ...], table: Any = None
    ) -> int:
        """An op with an int32 output."""
        out = Node(self._tensor("int32", shape, 0, (), ()), shape, 0.0, 0)
        return self.op(kind, inputs, out, table).number

    def entry(self, shape: int, place: int) -> int:
        """One entry of a vector of sizes."""
        inputs = [shape, *(self.constant(ints([x])) for x in (place, place + 1, 1))]
        return self.whole("STRIDED_SLICE", inputs, (), options("StridedSlice", shrinkAxisMask=1))


def _flatten(net: Net) -> Node:
    """RESHAPE to (batch, -1) as Keras exports Flatten: SHAPE, STRIDED_SLICE, PACK."""
    shape = net.whole("SHAPE", [net.source.number], (4,), options("Shape"))
    rest = net.constant(ints(48))
    target = net.whole("PACK", [net.entry(shape, 0), rest], (2,), options("Pack", valuesCount=2))
    flat = net.activation((1, 48), 0.5, 3)
    return net.op("RESHAPE", [net.source.number, target], flat, options("Reshape"))


def _twice(net: Net) -> Node:
    """A resize to twice the measured size: SHAPE, STRIDED_SLICE, MUL, PACK."""
    shape = net.whole("SHAPE", [net.source.number], (4,), options("Shape"))
    two = net.constant(ints(2))
    sizes = [
        net.whole("MUL", [net.entry(shape, axis), two], (), options("Mul")) for axis in (1, 2)
    ]
    size = net.whole("PACK", sizes, (2,), options("Pack", valuesCount=2))
    large = net.activation((1, 8, 12, 2), 0.5, 3)
    table = options("ResizeNearestNeighbor")
    return net.op("RESIZE_NEAREST_NEIGHBOR", [net.source.number, size], large, table)


def _dense(net: Net) -> Node:
    """FULLY_CONNECTED on three axes as Keras exports Dense: its shapes are not in the file."""
    shape = net.whole("SHAPE", [net.source.number], (4,), options("Shape"))
    rows = net.whole("GATHER", [shape, net.constant(ints([0, 1, 2]))], (3,), options("Gather"))
    product = net.whole("REDUCE_PROD", [rows, net.constant(ints([0]))], (), options("Reducer"))
    two = net.constant(ints(2))
    target = net.whole("PACK", [product, two], (2,), options("Pack", valuesCount=2))
    open_ = net.activation((1, 1), 0.5, 3)
    net.op("RESHAPE", [net.source.number, target], open_, options("Reshape"))
    weights = net.constant(np.ones((5, 2), np.int8), [0.1])
    made = net.activation((1, 5), 0.5, 3)
    net.op("FULLY_CONNECTED", [open_.number, weights, -1], made, options("FullyConnected"))
    out = net.activation((1, 4, 6, 5), 0.5, 3)
    last = net.whole("CONCATENATION", [rows, net.constant(ints([5]))], (4,),
                     options("Concatenation", axis=0))  # fmt: skip
    return net.op("RESHAPE", [made.number, last], out, options("Reshape"))


def _filled(net: Net) -> Node:
    """A TRANSPOSE whose permutation is put together: FILL, CONCATENATION, CAST of int32."""
    zero = net.whole("FILL", [net.constant(ints([1])), net.constant(ints(0))], (1,))
    rest = net.constant(ints(2, 1, 3))
    table = options("Concatenation", axis=0)
    order = net.whole("CONCATENATION", [zero, rest], (4,), table)
    moved = net.activation((1, 6, 4, 2), 0.5, 3)
    return net.op("TRANSPOSE", [net.source.number, order], moved, options("Transpose"))


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (_flatten, Kind.RESHAPE), (_twice, Kind.GATHER), (_filled, Kind.GATHER),
        (_dense, Kind.FULLY_CONNECTED),
    ],
)
def test_what_is_computed_of_shapes_alone_is_constant(
    build: Callable[[Net], Node], kind: Kind
) -> None:
    net = Net()
    image = net.finish(net.source, build(net))
    assert [op.kind for op in read_tflite(image).ops] == [kind]
    found = survey(image)
    assert found.supported and len(found.ops) > 2


def test_a_size_that_depends_on_the_input_is_refused_by_name() -> None:
    net = Net()
    size = net.whole("CAST", [net.source.number], (2,), options("Cast"))
    large = net.activation((1, 8, 12, 2), 0.5, 3)
    table = options("ResizeNearestNeighbor")
    net.op("RESIZE_NEAREST_NEIGHBOR", [net.source.number, size], large, table)
    with pytest.raises(ModelError, match=r"^model: op 0, layer t1, CAST: no kernel"):
        read_tflite(net.finish(net.source, large))


def _other_scale(net: Net) -> Node:
    other = net.activation((1, 4, 6, 2), 0.25, 3)
    net.op("REVERSE_V2", [net.source.number, net.constant(ints([1]))], other)
    return other


def _concat(net: Net, **fields: int) -> Node:
    out = net.activation((1, 4, 12, 2), 0.5, 3)
    table = options("Concatenation", axis=2, **fields)
    return net.op("CONCATENATION", [net.source.number, net.source.number], out, table)


def _unequal(net: Net) -> Node:
    out = net.activation((1, 4, 12, 2), 0.25, 3)
    table = options("Concatenation", axis=2)
    return net.op("CONCATENATION", [net.source.number, net.source.number], out, table)


def _constant_part(net: Net) -> Node:
    zeros = net.constant(np.zeros((1, 4, 6, 2), np.int8), [0.5])
    out = net.activation((1, 4, 12, 2), 0.5, 3)
    table = options("Concatenation", axis=2)
    return net.op("CONCATENATION", [net.source.number, zeros], out, table)


def _wrong_shape(net: Net) -> Node:
    out = net.activation((1, 4, 6, 3), 0.5, 3)
    return net.op("TRANSPOSE", [net.source.number, net.constant(ints(0, 2, 1, 3))], out)


def _outside(net: Net) -> Node:
    out = net.activation((1, 1, 6, 2), 0.5, 3)
    table = options("Gather", axis=1)
    return net.op("GATHER", [net.source.number, net.constant(ints([4]))], out, table)


def _offset(net: Net) -> Node:
    inputs = [net.source.number, *(net.constant(ints([x])) for x in (0, 1, 1))]
    table = options("StridedSlice", offset=True)
    return net.op("STRIDED_SLICE", inputs, net.activation((1, 4, 6, 2), 0.5, 3), table)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_other_scale, "REVERSE_V2: quantization differs between input and output"),
        (_unequal, r"CONCATENATION: input 0 \(t0\) has another quantization than the output"),
        (lambda net: _concat(net, fusedActivationFunction=1), "CONCATENATION: fused activation"),
        (_constant_part, "CONCATENATION: input 1 is a constant"),
        (_wrong_shape, r"TRANSPOSE: output \(1, 4, 6, 3\) instead of \(1, 6, 4, 2\) \(damaged"),
        (_outside, "GATHER: an index outside the input"),
        (_offset, "STRIDED_SLICE: ranges: ends that count from the begin"),
    ],
)
def test_a_move_that_cannot_be_run_is_refused_in_one_line(
    build: Callable[[Net], Node], reason: str
) -> None:
    net = Net()
    image = net.finish(net.source, build(net))
    with pytest.raises(ModelError, match=rf"^model: op \d, layer t\d+, {reason}") as caught:
        read_tflite(image)
    assert "\n" not in str(caught.value)


def test_a_transposition_of_axes_of_one_entry_is_no_op_at_all() -> None:
    net = Net()
    pooled = net.activation((1, 1, 1, 2), 0.5, 3)
    table = options("Reducer", keepDims=True)
    net.op("MEAN", [net.source.number, net.constant(ints(1, 2))], pooled, table)
    moved = net.activation((1, 2, 1, 1), 0.5, 3)
    net.op("TRANSPOSE", [pooled.number, net.constant(ints(0, 3, 1, 2))], moved)
    graph = read_tflite(net.finish(net.source, moved))
    assert [op.kind for op in graph.ops] == [Kind.MEAN]


def test_channels_are_shuffled_over_five_axes_by_one_op() -> None:
    net = Net()
    wide = net.mover.concat([net.source, net.source, net.source], 3)
    shapes = [(1, 4, 6, 2, 3), (1, 4, 6, 3, 2), (1, 4, 6, 6)]
    grouped, swapped, flat = (net.activation(shape, 0.5, 3) for shape in shapes)
    net.op("RESHAPE", [wide.number, net.constant(ints(shapes[0]))], grouped)
    net.op("TRANSPOSE", [grouped.number, net.constant(ints(0, 1, 2, 4, 3))], swapped)
    net.op("RESHAPE", [swapped.number, net.constant(ints(shapes[2]))], flat)
    graph = read_tflite(net.finish(net.source, flat))
    kinds = [op.kind for op in graph.ops]
    assert kinds == [Kind.CONCATENATION, Kind.CONCATENATION, Kind.GATHER]
    assert graph.ops[2].p == (0, 1, 6, 1, 6, 0, 0, 4)  # one map for the six channels


def test_a_shape_that_cannot_be_folded_is_refused_at_once() -> None:
    with pytest.raises(Unsupported, match="cannot be folded to three axes"):
        folded((2, 1_000_000_007, 3))
    assert folded((2, 5, 7, 3)) == (1, 70, 3)


def test_four_inputs_are_joined_in_two_rounds_of_copies() -> None:
    net = Net()
    out = net.mover.concat([net.source] * 4, 3)
    graph = read_tflite(net.finish(net.source, out))
    copied = sum(graph.tensors[op.output].size for op in graph.ops)
    assert len(graph.ops) == 3 and copied == 2 * out.shape[3] * 24


# ------------------------------------------------------------------ the form itself


@settings(max_examples=150, derandomize=True, deadline=None)
@given(SEEDS, arrays.array_shapes(min_dims=1, max_dims=5, max_side=5))
def test_the_form_of_any_order_is_that_order(seed: int, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(seed)
    order = np.arange(int(np.prod(shape))).reshape(shape)
    for _ in range(int(random.integers(1, 4))):
        order = _moved(order, random)
    form = gather_form(order.reshape(-1), max(1, order.size // len(order)))
    assert form is not None
    assert np.array_equal(form.places(), order.reshape(-1))
    assert form.axes[0].rises
    assert all(axis.places().min() == 0 for axis in form.axes)


def _moved(order: Any, random: np.random.Generator) -> Any:
    axis = int(random.integers(order.ndim))
    n = order.shape[axis]
    first = int(random.integers(n))
    return (
        lambda: order.transpose(random.permutation(order.ndim)),
        lambda: np.flip(order, axis),
        lambda: order.take(np.arange(first, n), axis),
        lambda: order.take(random.integers(0, n, 3), axis),
        lambda: np.repeat(order, 2, axis),
        lambda: order.reshape(-1),
    )[int(random.integers(6))]()


def test_an_order_without_any_order_is_none() -> None:
    order = np.random.default_rng(1).permutation(40_000)
    assert gather_form(order, 200) is None
