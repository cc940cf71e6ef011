"""The Cortex-M4 kernels give the portable kernels' bytes, as C twins and as Thumb code."""

from __future__ import annotations

import functools
from collections import Counter

import pytest
from relume.bench.machine import Machine
from relume.bench.runner import Runner, tensors_of
from relume.model.graph import Kind

from tests import native
from tests.kernels import m4_ops, netgen, oracle
from tests.kernels.exactness import check_sanitized, check_twin, machine_of, wanted
from tests.shared import MODELS, model_file, model_input
from tests.unit import blob_edit

SEEDS = range(60)
THUMB_SEEDS = range(20)
NETS = range(24)
each_kind = pytest.mark.parametrize("kind", m4_ops.KINDS, ids=lambda kind: kind.name)


def machine() -> Machine:
    return machine_of("m4")


@each_kind
@pytest.mark.parametrize("seed", SEEDS)
def test_twin_is_exact_and_writes_its_own_bytes_only(kind: Kind, seed: int) -> None:
    check_twin(m4_ops.case(kind, seed))


@each_kind
@pytest.mark.parametrize("seed", THUMB_SEEDS)
def test_thumb_code_is_exact(kind: Kind, seed: int) -> None:
    case = m4_ops.case(kind, seed)
    runner = Runner(machine(), case.fast)
    assert [tensors_of(runner, data) for data in case.inputs] == wanted(case)


def test_sanitizers_find_nothing_in_the_twins() -> None:
    check_sanitized([m4_ops.case(kind, seed) for kind in m4_ops.KINDS for seed in SEEDS])


def test_cases_reach_every_way_through_the_kernels() -> None:
    seen: Counter[str] = Counter()
    for kind in m4_ops.KINDS:
        for seed in SEEDS:
            case = m4_ops.case(kind, seed)
            op = f"op[{len(case.graph.ops) - 1}]"
            kernel = blob_edit.get(case.fast, f"{op}.kernel")
            assert kernel == 1 or (kind is Kind.DEPTHWISE_CONV_2D and kernel in (2, 3))
            p = [blob_edit.get(case.fast, f"{op}.p{i}") for i in range(4)]
            if kind is Kind.CONV_2D:
                window = case.graph.ops[0].window
                seen[f"tail {p[0]}"] += 1
                seen["columns" if p[2] else "windows"] += 1
                seen["left out"] += p[3] > 0
                seen["dilated"] += window.dil_w > 1
                depth = case.graph.tensors[0].shape[2]
                one = (window.kh, window.kw, window.sh, window.sw) == (1, 1, 1, 1)
                seen["points"] += one and depth % 4 == 0
            elif kind is Kind.DEPTHWISE_CONV_2D:
                stride = case.graph.ops[0].window.sw
                paired = ("taps", "as conv")[kernel - 2] if kernel > 1 else f"stride {stride}"
                seen[f"depthwise {paired}"] += 1
    ways = {"tail 0", "tail 1", "columns", "windows", "left out", "dilated", "points"}
    assert {way for way, n in seen.items() if n} == ways | {
        "depthwise stride 1", "depthwise stride 2", "depthwise taps", "depthwise as conv",
    }  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_of_a_real_model_is_exact(name: str) -> None:
    model, data = model_file(name).read_bytes(), model_input(name)
    want = oracle.run_reference(model, data)
    for seed in (None, 1):
        packed = oracle.packed(model, seed, core="m4")
        assert packed.mismatches(native.accepted(packed.blob).run(data), want) == []
        assert packed.mismatches(tensors_of(Runner(machine(), packed.blob), data), want) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_of_a_real_model_has_a_fast_kernel(name: str) -> None:
    packed = oracle.packed(model_file(name).read_bytes(), core="m4")
    portable = {
        op.kind
        for number, op in enumerate(packed.graph.ops)
        if not blob_edit.get(packed.blob, f"op[{number}].kernel")
    }
    assert portable <= {Kind.AVERAGE_POOL_2D, Kind.SOFTMAX}


@pytest.mark.parametrize("seed", NETS)
def test_random_nets_are_exact(seed: int) -> None:
    model = netgen.random_net(seed)
    packed = oracle.packed(model, seed, core="m4")
    data = oracle.random_input(packed.input_size, seed)
    tensors = native.accepted(packed.blob).run(data, watch=True)
    assert packed.mismatches(tensors, oracle.run_reference(model, data)) == []


HOSTILE = [
    (Kind.CONV_2D, {}, {"op[0].p1": 0}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].p1": -1}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].p1": 1 << 20}, "RL_E_BOUNDS"),
    (Kind.CONV_2D, {}, {"op[0].p1": 1 << 24}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].p2": 2}, "RL_E_KIND"),
    (Kind.CONV_2D, {"op[0].sw": 2, "op[0].p2": 0}, {"op[0].p2": 1}, "RL_E_KIND"),
    (Kind.CONV_2D, {"op[0].dil_h": 2, "op[0].p2": 0}, {"op[0].p2": 1}, "RL_E_KIND"),
    (Kind.CONV_2D, {"op[0].dil_h": 1, "op[0].dil_w": 2, "op[0].sw": 1},
     {"op[0].p2": 1}, "RL_E_KIND"),
    (Kind.CONV_2D, {"tensor[0].c": 3, "op[0].sw": 1}, {"op[0].p2": 1}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].p3": 0x7FFF}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].p3": -1}, "RL_E_KIND"),
    (Kind.CONV_2D, {"tensor[1].c": 6}, {"op[0].p3": 0}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].p4": 1}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].kernel": 2}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].w_size": 4}, "RL_E_SHAPE"),
    (Kind.CONV_2D, {}, {"header.core": 1}, None),
    (Kind.CONV_2D, {}, {"op[0].kh": 0xFFFF, "op[0].kw": 0xFFFF}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"op[0].sh": 1}, {"op[0].sh": 2}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"tensor[1].h": 1, "tensor[1].w": 1},
     {"op[0].sh": 3, "op[0].sw": 3}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"tensor[0].h": 1, "tensor[0].c": 8},
     {"tensor[0].h": 2, "tensor[0].c": 4}, "RL_E_KIND"),
    (Kind.FULLY_CONNECTED, {"tensor[1].w": 2},
     {"tensor[0].size": 1, "tensor[0].w": 1, "tensor[0].c": 1}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].p0": 1}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].p1": 0}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].p2": 1}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].p1": 1 << 28}, "RL_E_BOUNDS"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].depth_mult": 2}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].off_bias": 0x40}, "RL_E_SHAPE"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].kh": 4}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].kw": 4}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].dil_h": 2}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {}, {"op[0].dil_w": 2}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"tensor[1].h": 1, "op[0].sh": 1}, {"op[0].sh": 3}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"op[0].kernel": 2}, {"op[0].p0": 1}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"op[0].kernel": 2}, {"op[0].depth_mult": 9}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"op[0].kernel": 2}, {"op[0].kernel": 3}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"op[0].kernel": 3}, {"op[0].depth_mult": 7}, "RL_E_KIND"),
    (Kind.DEPTHWISE_CONV_2D, {"op[0].kernel": 2}, {"op[0].kernel": 4}, "RL_E_KIND"),
    (Kind.CONV_2D, {}, {"op[0].kernel": 3}, "RL_E_KIND"),
    (Kind.FULLY_CONNECTED, {}, {"op[0].p1": 1}, "RL_E_KIND"),
    (Kind.FULLY_CONNECTED, {}, {"op[0].p6": 1}, "RL_E_KIND"),
    (Kind.FULLY_CONNECTED, {}, {"op[0].off_bias": 4}, "RL_E_BOUNDS"),
    (Kind.ADD, {}, {"op[1].p0": 1}, "RL_E_KIND"),
    (Kind.ADD, {}, {"op[1].in1": 0xFFFF}, "RL_E_SHAPE"),
    (Kind.ADD, {}, {"op[1].w_size": 1024}, "RL_E_SHAPE"),
    (Kind.ADD, {}, {"op[0].kernel": 1}, "RL_E_KIND"),
]


@functools.cache
def hostile(number: int) -> bytes:
    """A blob whose fields are as the entry of HOSTILE wants them, with its change made."""
    kind, wanted_fields, changes, _ = HOSTILE[number]
    if kind is Kind.DEPTHWISE_CONV_2D:
        wanted_fields = {"op[0].kernel": 1} | wanted_fields
    for seed in range(1, 1000):
        blob = m4_ops.case(kind, seed).fast
        if all(blob_edit.get(blob, field) == n for field, n in wanted_fields.items()):
            return blob_edit.put(blob, changes)
    pytest.fail(f"no case has {wanted_fields}")


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=str)
def test_hostile_fields_are_refused(number: int) -> None:
    kind, _, changes, status = HOSTILE[number]
    got, fault, _ = native.check(hostile(number))
    assert got == status if status else got != "RL_OK", (kind, changes, fault)


def test_place_of_a_channel_outside_the_pixel_is_refused() -> None:
    for seed in SEEDS:
        blob = m4_ops.case(Kind.CONV_2D, seed).fast
        if blob_edit.get(blob, "op[0].p3"):
            image = bytearray(blob)
            image[blob_edit.get(blob, "op[0].off_shift") + 1] = 0x40
            status, fault, _ = native.check(blob_edit.sealed(bytes(image)))
            assert (status, fault.what) == ("RL_E_BOUNDS", "place of a channel")
            return
    pytest.fail("no case leaves channels out")


def test_tables_of_noise_give_numbers_and_no_fault() -> None:
    feed = []
    for kind in m4_ops.KINDS:
        for seed in range(12):
            case = m4_ops.case(kind, seed)
            image = bytearray(case.fast)
            op = len(case.graph.ops) - 1
            names = ["off_w", "off_bias"] if kind not in (Kind.ADD,) else ["off_w"]
            for name in names:
                at = blob_edit.get(case.fast, f"op[{op}].{name}")
                if at:
                    noise = oracle.random_input(64, seed)
                    image[at : at + 64] = noise[: max(0, min(64, len(image) - at))]
            feed.append((blob_edit.sealed(bytes(image)), case.inputs[0]))
    for program in native.runners():
        assert {outcome.status for outcome in native.run_program(program, feed)} == {"RL_OK"}
