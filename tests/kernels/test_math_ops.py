"""Unary ops, ADD, SUB and MUL: every byte and pair of bytes as TFLite has it, in bounded time."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from relume.bench.runner import Runner
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.board.profile import load_board
from relume.errors import BlobError, ModelError
from relume.model import quantize
from relume.model.graph import Graph, Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import CostModel
from relume.plan.live import need
from relume.plan.planner import Budget, make_plan

from tests import native
from tests.kernels import oracle
from tests.kernels.netbuilder import NetBuilder, Node, schema
from tests.kernels.netgen import NetGenerator
from tests.kernels.netgen_math import PAIRS, UNARY, unary_of
from tests.kernels.test_m0plus_cycles import machine
from tests.unit import blob_edit

ALL = np.arange(-128, 128, dtype=np.int8)
ZEROS = (-128, 127, 0, None)


def scale_of(random: np.random.Generator) -> float:
    """A scale that a converter might choose."""
    return float(np.float32(np.exp(random.uniform(np.log(0.002), np.log(0.4)))))


def zero_of(random: np.random.Generator) -> int:
    """A zero point, often one at an end."""
    zero = ZEROS[int(random.integers(4))]
    return int(random.integers(-128, 128)) if zero is None else zero


def one_unary(kind: str, seed: int) -> tuple[bytes, Node]:
    """A net of one unary op over all 256 inputs, and its output."""
    gen = NetGenerator(seed)
    random = gen.random
    source = gen.net.activation((1, 16, 16), scale_of(random), zero_of(random))
    scale, zero = scale_of(random), zero_of(random)
    if kind == "LOGISTIC":
        scale, zero = 1 / 256, -128
    if kind == "HARD_SWISH":
        scale = max(scale, source.scale / 100)
    if kind in ("RELU", "ABS", "QUANTIZE") and seed % 5 == 0:
        scale, zero = source.scale, source.zero_point
    out = unary_of(gen, kind, source, gen.net.activation((1, 16, 16), scale, zero))
    return gen.net.finish(source, out), out


@pytest.mark.parametrize("kind", UNARY)
def test_every_input_of_a_unary_op_is_exact(kind: str) -> None:
    for seed in range(40):
        model, out = one_unary(kind, seed)
        packed = oracle.packed(model, seed)
        tensors = native.accepted(packed.blob).run(ALL.tobytes(), watch=True)
        wanted = oracle.run_reference(model, ALL.tobytes())
        assert packed.mismatches(tensors, {out.number: wanted[out.number]}) == [], seed


def one_pair(kind: str, seed: int, first: tuple[int, ...], second: tuple[int, ...]) -> bytes:
    """An op of the input and a constant, in either order, now and then with a clamp."""
    random, net = np.random.default_rng(seed), NetBuilder()
    scales, zeros = [scale_of(random) for _ in range(2)], [zero_of(random) for _ in range(3)]
    source = net.activation(first, scales[0], zeros[0])
    values = random.integers(-128, 128, second, dtype=np.int8)
    if values.size == 256:
        values = ALL.reshape(second)
    other = net.constant(values, [scales[1]], 0, zeros[1])
    spread = scales[0] * scales[1] * 100 if kind == "MUL" else sum(scales)
    shape = np.broadcast_shapes(first, second)
    out = net.activation(shape, spread * float(random.uniform(0.2, 2.0)), zeros[2])
    options = getattr(schema, PAIRS[kind])()
    options.fusedActivationFunction = int(random.integers(0, 4))
    order = [source.number, other]
    net.op(kind, order if seed % 2 else order[::-1], out, options)
    return net.finish(source, out)


def wrong_bytes(model: bytes, blob: bytes, graph: Graph, data: bytes) -> int:
    """Output bytes that differ from TFLite's."""
    mine = native.accepted(blob).run(data, watch=True)[graph.output]
    theirs = oracle.run_reference(model, data)
    (want,) = (theirs[n] for n, place in graph.tensor_of.items() if place == graph.output)
    return int(np.count_nonzero(np.frombuffer(mine, np.int8) != np.frombuffer(want, np.int8)))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("seed", range(8))
def test_every_pair_of_bytes_is_exact(kind: str, seed: int) -> None:
    model = one_pair(kind, seed, (1, 256, 1, 1), (1, 256, 1))
    packed = oracle.packed(model, seed)
    assert packed.graph.tensors[packed.graph.output].size == 65536
    assert wrong_bytes(model, packed.blob, packed.graph, ALL.tobytes()) == 0


SHAPES = [
    ((1, 5, 3, 4), (4,)),
    ((1, 5, 3, 4), (1, 1, 1, 4)),
    ((1, 5, 3, 4), (5, 1, 1)),
    ((1, 5, 3, 4), (3, 1)),
    ((1, 5, 3, 4), (1, 5, 3, 1)),
    ((1, 5, 3, 4), (5, 3, 4)),
    ((1, 5, 3, 1), (1, 1, 1, 4)),
    ((1, 1, 1, 4), (5, 3, 4)),
    ((1, 1, 1, 4), (5, 3, 1)),
    ((1, 5, 3, 4), ()),
    ((7, 6), (7, 1)),
    ((1, 1, 1, 1), (2, 3, 4)),
]


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("shapes", SHAPES)
def test_operands_of_any_shape_are_exact(kind: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    for seed in range(6):
        model = one_pair(kind, seed, *shapes)
        packed = oracle.packed(model, seed)
        data = oracle.random_input(packed.input_size, seed)
        assert wrong_bytes(model, packed.blob, packed.graph, data) == 0, seed


def test_one_number_becomes_a_table() -> None:
    for kind in PAIRS:
        graph = read_tflite(one_pair(kind, 1, (1, 5, 3, 4), (1,)))
        assert [op.kind for op in graph.ops] == [Kind.MAP]


def test_a_unary_op_that_changes_no_byte_costs_nothing() -> None:
    net = NetBuilder()
    source = net.activation((1, 4, 4, 2), 0.05, -128)
    same = net.op("RELU", [source.number], net.activation((1, 4, 4, 2), 0.05, -128))
    out = net.op("TANH", [same.number], net.activation((1, 4, 4, 2), 1 / 128, 0))
    assert [op.kind for op in read_tflite(net.finish(source, out)).ops] == [Kind.MAP]


def test_a_wrong_sign_or_entry_is_noticed() -> None:
    """The comparison can fail."""
    model = one_pair("SUB", 3, (1, 5, 3, 4), (4,))
    packed = oracle.packed(model)
    data = oracle.random_input(packed.input_size, 3)
    signs = blob_edit.get(packed.blob, "op[0].p7") ^ 3
    wrong = blob_edit.put(packed.blob, {"op[0].p7": signs})
    assert wrong_bytes(model, wrong, packed.graph, data) > 0
    model, _ = one_unary("TANH", 2)
    packed = oracle.packed(model)
    image = bytearray(packed.blob)
    image[blob_edit.get(packed.blob, "op[0].off_w") + 5] ^= 1
    assert wrong_bytes(model, blob_edit.sealed(bytes(image)), packed.graph, ALL.tobytes()) == 1


# ------------------------------------------------------------------- what is live


def excited(shape: tuple[int, ...] = (1, 6, 5, 8)) -> bytes:
    """Squeeze and excite: x * logistic(mean(x)) - x."""
    net = NetBuilder()
    source = net.activation(shape, 0.03, -20)
    small = (1, 1, 1, shape[3])
    mean = schema.ReducerOptionsT()
    mean.keepDims = True
    axes = net.constant(np.array([1, 2], np.int32))
    squeezed = net.op("MEAN", [source.number, axes], net.activation(small, 0.03, -20), mean)
    gate = net.op("LOGISTIC", [squeezed.number], net.activation(small, 1 / 256, -128))
    pair = [gate.number, source.number]
    scaled = net.op("MUL", pair, net.activation(shape, 0.02, 3), schema.MulOptionsT())
    pair = [scaled.number, source.number]
    out = net.op("SUB", pair, net.activation(shape, 0.04, 0), schema.SubOptionsT())
    return net.finish(source, out)


def test_squeeze_and_excite_is_exact_on_every_core() -> None:
    model = excited()
    for core in ("portable", "m0plus", "m4"):
        packed = oracle.packed(model, 1, core)
        data = oracle.random_input(packed.input_size, 1)
        tensors = native.accepted(packed.blob).run(data, spoil=True)
        assert packed.mismatches(tensors, oracle.run_reference(model, data)) == [], core


def test_a_repeated_operand_is_needed_until_the_op_ends() -> None:
    graph = read_tflite(excited())
    op = next(op for op in graph.ops if op.kind is Kind.MUL)
    units = np.arange(graph.units(op))
    gate, image = op.inputs
    assert graph.tensors[gate].shape == (1, 1, 8)
    assert need(graph, op, gate, units).max() == 0
    assert (need(graph, op, image, units) == units).all()


# ------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("ELU", "no kernel"), ("NEG", "no kernel"), ("LOGISTIC", "not 1/256 with zero point -128")],
)
def test_ops_that_the_reference_does_not_have_are_refused(kind: str, reason: str) -> None:
    net = NetBuilder()
    source = net.activation((1, 4), 0.1, 0)
    out = net.op(kind, [source.number], net.activation((1, 4), 0.1, 0))
    with pytest.raises(ModelError, match=f"op 0, layer t1, {kind}: .*{reason}"):
        read_tflite(net.finish(source, out))


@pytest.mark.parametrize("alphas", [2, 4])
def test_prelu_of_several_alphas_is_refused(alphas: int) -> None:
    net = NetBuilder()
    source = net.activation((1, 4, 4, alphas), 0.1, 0)
    alpha = net.constant(np.ones((1, 1, alphas), np.int8), [0.1])
    out = net.op("PRELU", [source.number, alpha], net.activation((1, 4, 4, alphas), 0.1, 0))
    with pytest.raises(ModelError, match=f"PRELU: {alphas} alphas, only one"):
        read_tflite(net.finish(source, out))


def test_shapes_that_do_not_repeat_are_refused() -> None:
    net = NetBuilder()
    source = net.activation((1, 4, 4, 2), 0.1, 0)
    other = net.constant(np.ones((3,), np.int8), [0.1])
    out = net.activation((1, 4, 4, 2), 0.1, 0)
    net.op("MUL", [source.number, other], out, schema.MulOptionsT())
    with pytest.raises(ModelError, match="op 0, layer t2, MUL: broadcast of"):
        read_tflite(net.finish(source, out))


@functools.cache
def victim(kind: str) -> bytes:
    """A blob whose op 0 has a constant operand, or a table."""
    if kind == "MAP":
        return oracle.packed(one_unary("TANH", 1)[0]).blob
    return oracle.packed(one_pair(kind, 1, (1, 5, 3, 4), (3, 1))).blob


HOSTILE = [
    ("MAP", "off_w", 4, "RL_E_BOUNDS"),
    ("MAP", "off_w", 0xFFFFFF00, "RL_E_BOUNDS"),
    ("MAP", "off_w", "end", "RL_E_BOUNDS"),
    ("MAP", "off_w", "odd", "RL_E_BOUNDS"),
    ("MAP", "w_size", 255, "RL_E_SHAPE"),
    ("MUL", "off_w", 4, "RL_E_BOUNDS"),
    ("MUL", "off_w", "end", "RL_E_BOUNDS"),
    ("MUL", "w_size", 60, "RL_E_SHAPE"),
    ("MUL", "kh", 5, "RL_E_SHAPE"),
    ("MUL", "kw", 2, "RL_E_SHAPE"),
    ("MUL", "kw", 0, "RL_E_SHAPE"),
    ("ADD", "sh", 0xFFFF, "RL_E_SHAPE"),
]


@pytest.mark.parametrize(("kind", "field", "value", "status"), HOSTILE)
def test_constants_that_lie_are_refused_here_and_there(
    kind: str, field: str, value: int | str, status: str
) -> None:
    blob = victim(kind)
    number = {"end": len(blob), "odd": blob_edit.get(blob, "op[0].off_w") + 1}.get(value, value)
    wrong = blob_edit.put(blob, {f"op[0].{field}": number})
    assert native.check(wrong)[0] == status
    with pytest.raises(BlobError, match="op 0: "):
        read_blob(wrong)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"op[0].p7": 1}, "flags"),
        ({"op[0].p7": 1 << 16}, "flags"),
        ({"op[0].p0": -1}, "multiplier"),
        ({"op[0].p1": 31}, "multiplier"),
        ({"op[0].in1": 0}, "flags"),
    ],
)
def test_parameters_of_mul_are_checked(changes: dict[str, int], what: str) -> None:
    blob = blob_edit.put(victim("MUL"), {"op[0].p7": 0x500})
    status, fault, _ = native.check(blob_edit.put(blob, changes))
    assert status in ("RL_E_SHAPE", "RL_E_BOUNDS") and what in fault.what


def test_operands_of_the_wrong_shape_are_refused_here_and_there() -> None:
    """As many bytes, but other axes."""
    blob = blob_edit.put(oracle.packed(excited()).blob, {"tensor[2].h": 2, "tensor[2].c": 4})
    assert native.check(blob)[0] == "RL_E_SHAPE"
    with pytest.raises(BlobError, match="op 2: operand"):
        read_blob(blob)


# --------------------------------------------------------------------------- cycles


def cycle_case(kind: str, seed: int) -> Graph:
    """An op whose runs are short or long."""
    random = np.random.default_rng(seed)
    h, w, c = (int(n) for n in (*random.integers(1, 7, 2), random.choice([1, 2, 3, 8, 33])))
    if kind == "MAP":
        net = NetBuilder()
        source = net.activation((1, h, w, c), 0.1, 0)
        out = net.op("TANH", [source.number], net.activation((1, h, w, c), 1 / 128, 0))
        return read_tflite(net.finish(source, out))
    second = ((h, w, c), (1, 1, c), (h, 1, c), (1, w, 1), (h + 1, w, c))[seed % 5]
    first = (1, 1, w, c) if second[0] > h else (1, h, w, c)
    return read_tflite(one_pair(kind, seed, first, second))


@pytest.mark.parametrize("kind", ["MAP", *PAIRS])
def test_thumb_code_is_exact_and_never_slower_than_planned(kind: str) -> None:
    board = replace(load_board("RPI_PICO"), core="portable")
    for seed in range(20):
        graph = cycle_case(kind, seed)
        plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), apart=True)
        tiles = oracle.random_tiles(graph, seed)
        whole = replace(plan.segments[0], start=0, end=len(tiles))
        blob = pack(replace(plan, tiles=tiles, segments=(whole,)))
        runner, checked = Runner(machine(), blob), native.accepted(blob)
        costs = CostModel(graph, board, "fram").kernel_cycles(graph.ops[0])
        data = oracle.random_input(graph.tensors[0].size, seed)
        runner.put(0, data)
        run = runner.run(0)
        assert run.output == checked.run(data)[graph.output]
        assert run.count.cycles <= sum(costs.worst(tile.count) for tile in tiles), seed


def test_float_ratios_of_mul_are_made_in_float32() -> None:
    random = np.random.default_rng(0)
    triples = [[scale_of(random) for _ in range(3)] for _ in range(50)]
    double = [quantize.quantize_multiplier(a * b / c) for a, b, c in triples]
    assert [quantize.mul_parameters(*triple) for triple in triples] != double
