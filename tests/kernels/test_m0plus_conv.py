"""Cortex-M0+ CONV_2D and FULLY_CONNECTED: the portable kernels' bytes, in bounded time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from relume.bench.machine import Machine
from relume.bench.runner import Runner, tensors_of
from relume.blob.layouts import m0plus_conv
from relume.model.graph import Kind
from relume.plan.costs import CostModel

from tests import native
from tests.kernels import m0plus_ops, oracle
from tests.kernels.exactness import check_sanitized, check_twin, machine_of, wanted
from tests.shared import MODELS, model_file, model_input
from tests.unit import blob_edit

SEEDS = range(80)
THUMB_SEEDS = range(24)
each_kind = pytest.mark.parametrize("kind", m0plus_ops.KINDS, ids=lambda kind: kind.name)


def machine() -> Machine:
    return machine_of("m0plus")


@each_kind
@pytest.mark.parametrize("seed", SEEDS)
def test_twin_is_exact_and_writes_its_own_bytes_only(kind: Kind, seed: int) -> None:
    check_twin(m0plus_ops.case(kind, seed))


@each_kind
@pytest.mark.parametrize("seed", THUMB_SEEDS)
def test_thumb_code_is_exact_and_never_slower_than_planned(kind: Kind, seed: int) -> None:
    case = m0plus_ops.case(kind, seed)
    runner = Runner(machine(), case.fast)
    costs = CostModel(case.graph, case.board, "fram").kernel_cycles(case.graph.ops[0])
    bound = sum(costs.worst(tile.count) for tile in case.plan.tiles)
    for data, want in zip(case.inputs, wanted(case), strict=True):
        runner.put(0, data)
        run = runner.run(0)
        assert run.output == want[1]
        assert run.count.cycles <= bound


def test_sanitizers_find_nothing_in_the_twins() -> None:
    check_sanitized([m0plus_ops.case(kind, seed) for kind in m0plus_ops.KINDS for seed in SEEDS])


def test_cases_reach_every_way_through_the_kernels() -> None:
    seen: Counter[str] = Counter()
    for kind in m0plus_ops.KINDS:
        for seed in SEEDS:
            blob = m0plus_ops.case(kind, seed).fast
            assert blob_edit.get(blob, "op[0].kernel") == m0plus_conv.KERNEL
            band, live, exact, flags = (blob_edit.get(blob, f"op[0].p{i}") for i in range(4))
            width = m0plus_ops.case(kind, seed).graph.tensors[1].shape[1]
            seen["bands" if band < width else "rows"] += 1
            seen[f"last block of {(live + 3) // 4 % 2} quads"] += 1
            seen["exact constants"] += exact > 0
            for name, bit in (("corner", 1), ("scatter", 2), ("sparse", 4)):
                seen[name] += bool(flags & bit)
    assert min(seen.values()) > 0 and len(seen) == 8


def test_layers_that_outgrow_the_flash_cache_are_exact_and_fetch_it_once_a_tile() -> None:
    random = np.random.default_rng(9)
    graph = m0plus_ops.wide_graph(random)
    case = m0plus_ops.case_of(graph, 9, random)
    runner = Runner(machine(), case.fast)
    fills = blob_edit.get(case.fast, "op[0].w_size") // 4
    for data, want in zip(case.inputs, wanted(case), strict=True):
        assert native.accepted(case.fast).run(data, watch=True) == want
        runner.put(0, data)
        run = runner.run(0)
        assert run.output == want[1]
        assert run.count.xip_fills < 1.3 * fills * len(case.plan.tiles)


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_of_a_real_model_is_exact(name: str) -> None:
    model, data = model_file(name).read_bytes(), model_input(name)
    want = oracle.run_reference(model, data)
    for seed in (None, 1):
        packed = oracle.packed(model, seed, core="m0plus")
        assert packed.mismatches(native.accepted(packed.blob).run(data), want) == []


@pytest.mark.parametrize("name", ["kws", "ad"])
def test_thumb_code_is_exact_on_a_real_model_and_on_noise(name: str) -> None:
    model = model_file(name).read_bytes()
    packed = oracle.packed(model, 3, core="m0plus")
    for data in (model_input(name), oracle.random_input(packed.input_size, 5)):
        want = oracle.run_reference(model, data)
        assert packed.mismatches(tensors_of(Runner(machine(), packed.blob), data), want) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_weighted_layer_of_a_real_model_is_laid_out(name: str) -> None:
    packed = oracle.packed(model_file(name).read_bytes(), core="m0plus")
    for number, op in enumerate(packed.graph.ops):
        if op.kind in m0plus_ops.KINDS:
            assert blob_edit.get(packed.blob, f"op[{number}].kernel") == m0plus_conv.KERNEL
            assert blob_edit.get(packed.blob, f"op[{number}].p2") == 0


HOSTILE = [
    ("op[0].kernel", 99, "RL_E_KIND"),
    ("op[0].p0", 0, "RL_E_SHAPE"),
    ("op[0].p0", 1 << 16, "RL_E_SHAPE"),
    ("op[0].p1", 0, "RL_E_SHAPE"),
    ("op[0].p1", 1 << 16, "RL_E_SHAPE"),
    ("op[0].p2", -1, "RL_E_SHAPE"),
    ("op[0].p3", 8, "RL_E_SHAPE"),
    ("op[0].p4", -1, "RL_E_SHAPE"),
    ("op[0].p4", 1 << 16, "RL_E_SHAPE"),
    ("op[0].p5", 129, "RL_E_SHAPE"),
    ("op[0].p6", 1, "RL_E_SHAPE"),
    ("op[0].w_size", 4, "RL_E_SHAPE"),
    ("op[0].off_w", 4, "RL_E_BOUNDS"),
    ("op[0].off_bias", 0, "RL_E_BOUNDS"),
    ("op[0].off_mult", 0x7FFFFFF0, "RL_E_BOUNDS"),
    ("header.scratch_size", 16, "RL_E_BOUNDS"),
]


@each_kind
@pytest.mark.parametrize(("path", "value", "status"), HOSTILE)
def test_hostile_fields_are_refused(kind: Kind, path: str, value: int, status: str) -> None:
    blob = blob_edit.put(m0plus_ops.case(kind, 1).fast, {path: value})
    assert native.check(blob)[0] == status


def test_kernel_of_another_core_is_refused() -> None:
    blob = m0plus_ops.case(Kind.CONV_2D, 1).fast
    for core in (0, 2, 3):
        assert native.check(blob_edit.put(blob, {"header.core": core}))[0] != "RL_OK"


def _patched(blob: bytes, array: str, at: int, data: bytes) -> bytes:
    image = bytearray(blob)
    at += blob_edit.get(blob, f"op[0].{array}")
    image[at : at + len(data)] = data
    return blob_edit.sealed(bytes(image))


def test_row_of_exact_constants_that_is_not_there_is_refused() -> None:
    blob = _patched(m0plus_ops.case(Kind.CONV_2D, 2).fast, "off_mult", 0, b"\xff" * 4 + bytes(12))
    status, fault, _ = native.check(blob)
    assert (status, fault.what) == ("RL_E_BOUNDS", "row of the exact constants")


def test_place_of_a_channel_outside_the_pixel_is_refused() -> None:
    for seed in SEEDS:
        case = m0plus_ops.case(Kind.CONV_2D, seed)
        if blob_edit.get(case.fast, "op[0].p3") & m0plus_conv.WITH_SCATTER:
            channels = case.graph.tensors[1].shape[2]
            exact = 12 * blob_edit.get(case.fast, "op[0].p2")
            blob = _patched(case.fast, "off_shift", exact + -(-channels // 4) * 4, b"\xff\xff")
            status, fault, _ = native.check(blob)
            assert (status, fault.what) == ("RL_E_BOUNDS", "place of a channel")
            return
    pytest.fail("no case leaves channels out")


def test_tables_of_noise_give_numbers_and_no_fault() -> None:
    feed = []
    for kind in m0plus_ops.KINDS:
        for seed in SEEDS:
            case = m0plus_ops.case(kind, seed)
            blob = case.fast
            for array, size in (("off_w", 64), ("off_bias", 32), ("off_mult", 12)):
                blob = _patched(blob, array, 0, oracle.random_input(size, seed))
            feed += [(blob, data) for data in case.inputs]
    for program in native.runners():
        statuses = {outcome.status for outcome in native.run_program(program, feed)}
        assert statuses <= {"RL_OK", "RL_E_BOUNDS"} and "RL_OK" in statuses


def test_sums_of_more_than_24_bits_stay_portable() -> None:
    random = np.random.default_rng(1)
    graph = m0plus_ops.wide_graph(random)
    op = graph.ops[0]
    assert op.weights is not None and m0plus_conv.refusal(op, *graph.tensors) is None
    op.weights[0] = 127
    assert m0plus_conv.refusal(op, *graph.tensors) == "sums of more than 24 bits"
    assert m0plus_conv.lay_out(op, *graph.tensors) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_that_are_taken_are_exact(sign: int) -> None:
    """Every channel's sum comes within 1 % of 24 bits, upwards and downwards."""
    graph = m0plus_ops.largest_sums(sign)
    case = m0plus_ops.case_of(graph, 5, np.random.default_rng(5))
    assert blob_edit.get(case.fast, "op[0].kernel") == m0plus_conv.KERNEL
    checked = native.accepted(case.fast)
    assert [checked.run(data) for data in case.inputs] == wanted(case)


def test_two_words_a_quad_are_exact_up_to_their_limit_and_no_further() -> None:
    graph, limit, data = m0plus_ops.narrow_limit()
    case = m0plus_ops.case_of(graph, 5, np.random.default_rng(5))
    assert blob_edit.get(case.fast, "op[0].p4") == limit
    want = [native.accepted(case.portable).run(x)[1] for x in data]
    runner = Runner(machine(), case.fast)
    for x, y in zip(data, want, strict=True):
        runner.put(0, x)
        assert native.accepted(case.fast).run(x)[1] == y == runner.run(0).output
    lying = native.accepted(blob_edit.put(case.fast, {"op[0].p4": 65535}))
    wrong = [lying.run(x)[1] != y for x, y in zip(data, want, strict=True)]
    assert not any(wrong[:2]) and any(wrong[2:])
