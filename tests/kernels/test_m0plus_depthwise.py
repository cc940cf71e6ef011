"""Cortex-M0+ DEPTHWISE_CONV_2D: the portable kernel's bytes, in bounded time."""

from __future__ import annotations

import functools
import json
import shutil
import struct
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from relume.bench.image import CC, build
from relume.bench.machine import Machine
from relume.bench.runner import Runner
from relume.blob.layouts import m0plus_depthwise as layout
from relume.blob.layouts.m0plus_requant import evaluate, fit
from relume.blob.layouts.requant import Channels, outputs
from relume.blob.pack import pack
from relume.model import quantize
from relume.model.graph import Kind
from relume.plan.costs import CostModel
from relume.plan.tiles import cut

from tests import native
from tests.kernels import m0plus_depthwise_ops as ops
from tests.kernels import oracle
from tests.kernels import test_m0plus_cycles as table
from tests.kernels.m0plus_ops import Case
from tests.shared import ROOT, model_file
from tests.unit import blob_edit

SEEDS_3X3 = range(120)
SEEDS_ANY = range(ops.GENERAL, ops.GENERAL + 80)
SEEDS = [*SEEDS_3X3, *SEEDS_ANY]
THUMB_SEEDS = [*SEEDS_3X3[:40], *SEEDS_ANY[:30]]
MOST_TILES = 40  # of a case whose cycles are counted
TABLE_LAYERS = {"dw3x3_64": ("kws", 1)}
TABLE_MODELS = ("kws", "vww")
ROWS = [
    "seeded_dw", *TABLE_LAYERS, *(f"{name}_random" for name in TABLE_LAYERS),
    *(f"{name}_dw" for name in TABLE_MODELS),
]  # fmt: skip


@functools.cache
def machine() -> Machine:
    """A Cortex-M0+ with the engine; skips without the cross compiler."""
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    return Machine(build(ROOT, "m0plus"), "m0plus")


@functools.cache
def wanted(seed: int) -> list[dict[int, bytes]]:
    """What the portable kernel makes of each input."""
    case = ops.case(seed)
    checked = native.accepted(case.portable)
    return [checked.run(data) for data in case.inputs]


@pytest.mark.parametrize("seed", SEEDS)
def test_twin_is_exact_and_touches_its_own_bytes_only(seed: int) -> None:
    case = ops.case(seed)
    checked = native.accepted(case.fast)
    got = [checked.run(data, watch=True, spoil=True) for data in case.inputs]
    assert got == wanted(seed)


@pytest.mark.parametrize("seed", THUMB_SEEDS)
def test_thumb_code_is_exact(seed: int) -> None:
    case = ops.case(seed)
    runner = Runner(machine(), case.fast)
    for data, want in zip(case.inputs, wanted(seed), strict=True):
        runner.put(0, data)
        assert runner.run(0, count=False).output == want[1]


def evenly_cut(case: Case, count: int) -> bytes:
    """The fast blob with tiles as the planner cuts them, `count` units each."""
    tiles = cut(case.graph, [count])
    segment = replace(case.plan.segments[0], start=0, end=len(tiles))
    return pack(replace(case.plan, tiles=tiles, segments=(segment,)))


def whole(case: Case) -> bytes:
    """The fast blob with one tile."""
    return evenly_cut(case, case.graph.units(case.graph.ops[0]))


@pytest.mark.parametrize("seed", THUMB_SEEDS)
def test_no_tile_is_slower_than_planned(seed: int) -> None:
    case = ops.case(seed)
    op = case.graph.ops[0]
    units, row = case.graph.units(op), case.graph.tensors[1].shape[1]
    costs = CostModel(case.graph, case.board, "fram").kernel_cycles(op)
    odd = int(np.random.default_rng(seed).integers(1, units + 1))
    for count in sorted({max(1, units // MOST_TILES), row, units, odd}):
        runner = Runner(machine(), evenly_cut(case, count))
        bound = sum(costs.worst(tile.count) for tile in runner.blob.tiles)
        for data in case.inputs:
            runner.put(0, data)
            assert runner.run(0).count.cycles <= bound


def test_sanitizers_find_nothing_in_the_twins() -> None:
    feed = [(ops.case(seed).fast, data) for seed in SEEDS for data in ops.case(seed).inputs]
    for program in native.runners():
        outcomes = iter(native.run_program(program, feed))
        for seed in SEEDS:
            checked = native.accepted(ops.case(seed).portable)
            for tensors in wanted(seed):
                outcome = next(outcomes)
                assert outcome.status == "RL_OK"
                assert outcome.data == native.finished(checked, tensors), seed


def filters(blob: bytes, channels: int) -> list[tuple[int, ...]]:
    """(idle, narrow, split, negative, positive, apart) of each channel of a 3 x 3 filter."""
    at = blob_edit.get(blob, "op[0].off_w")
    rows = struct.iter_unpack("<9xbBBHHHxx", blob[at : at + 20 * channels])
    return [tuple(row) for row in rows]


def test_3x3_cases_reach_every_way_through_the_kernel() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS_3X3:
        case = ops.case(seed)
        assert blob_edit.get(case.fast, "op[0].kernel") == layout.KERNEL
        rows, columns, exact, flags = (blob_edit.get(case.fast, f"op[0].p{i}") for i in range(4))
        height, width, channels = case.graph.tensors[1].shape
        seen[f"flags {flags}, stride {case.graph.ops[0].window.sh}"] += 1
        seen["exact constants"] += exact > 0
        across = 2 if flags & layout.BESIDE else 1  # halves of a part
        seen["several parts"] += 2 // across * rows < height or across * columns < width
        for _, narrow, split, negative, positive, apart in filters(case.fast, channels):
            seen["no weights"] += negative + positive == 0
            seen["narrow for any input"] += narrow == 255
            seen[f"split for any input, flip {apart >> 15}"] += split == 255 > narrow
            seen["taps for some input"] += split < 255
    assert min(seen.values()) > 0 and len(seen) == 15


def test_other_cases_reach_every_way_through_the_kernel() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS_ANY:
        case = ops.case(seed)
        op, out = case.graph.ops[0], case.graph.tensors[1]
        assert blob_edit.get(case.fast, "op[0].kernel") == layout.KERNEL
        assert op.weights is not None
        seen["strides differ"] += op.window.sh != op.window.sw
        seen["dilated"] += max(op.window.dil_h, op.window.dil_w) > 1
        seen["one row"] += op.window.kh == 1 < op.window.kw
        seen["one column"] += op.window.kw == 1 < op.window.kh
        seen["stride beyond the filter"] += op.window.sh > op.window.kh
        seen["channels not in fours"] += out.shape[2] % 4 > 0
        seen["beside"] += blob_edit.get(case.fast, "op[0].p3") // layout.BESIDE
        seen["more groups than one"] += op.window.kh * op.window.kw > layout.GROUP
        seen["weights of 0"] += bool((op.weights == 0).any())
    assert min(seen.values()) > 2


@pytest.mark.parametrize("seed", range(20))
def test_short_formula_is_exact_on_both_sides_of_every_step(seed: int) -> None:
    random = np.random.default_rng(seed)
    bias, span = int(random.integers(-5000, 5000)), int(random.integers(100, 40000))
    scale = float(random.choice([0.4, 1.0, 3.0]) * 255 / span)
    multipliers, shifts = quantize.per_channel(1.0, [scale], 1.0, 1)
    reach = (np.array([bias + end], dtype=np.int64) for end in (-span, span))
    channel = Channels(
        multipliers.astype(np.int64), shifts.astype(np.int64), *reach, -128, -128, 127
    )
    (steps,) = layout.shortened(channel, fit(channel))
    acc = np.arange(bias - span, bias + span + 1)
    assert np.array_equal(evaluate(steps, channel, acc), outputs(channel, acc[None, :])[0])


@pytest.mark.parametrize("name", ["kws", "vww"])
def test_every_layer_of_a_real_model_is_laid_out(name: str) -> None:
    packed = oracle.packed(model_file(name).read_bytes(), core="m0plus")
    for number, op in enumerate(packed.graph.ops):
        if op.kind is Kind.DEPTHWISE_CONV_2D:
            assert blob_edit.get(packed.blob, f"op[{number}].kernel") == layout.KERNEL
            assert blob_edit.get(packed.blob, f"op[{number}].p2") == 0


HOSTILE = [
    ("op[0].kernel", 2, "RL_E_KIND"),
    ("op[0].kh", 4, "RL_E_SHAPE"),
    ("op[0].kw", 5, "RL_E_SHAPE"),
    ("op[0].kh", 65535, "RL_E_SHAPE"),
    ("op[0].kw", 65535, "RL_E_SHAPE"),
    ("op[0].sh", 0, "RL_E_SHAPE"),
    ("op[0].dil_w", 2, "RL_E_SHAPE"),
    ("op[0].dil_h", 65535, "RL_E_SHAPE"),
    ("op[0].depth_mult", 2, "RL_E_SHAPE"),
    ("op[0].p0", 0, "RL_E_SHAPE"),
    ("op[0].p0", 4097, "RL_E_SHAPE"),
    ("op[0].p0", 4096, "RL_E_BOUNDS"),
    ("op[0].p1", -1, "RL_E_SHAPE"),
    ("op[0].p1", 4097, "RL_E_SHAPE"),
    ("op[0].p2", -1, "RL_E_SHAPE"),
    ("op[0].p2", 1 << 20, "RL_E_SHAPE"),
    ("op[0].p3", 4, "RL_E_SHAPE"),
    ("op[0].p3", -1, "RL_E_SHAPE"),
    ("op[0].p4", 1, "RL_E_SHAPE"),
    ("op[0].w_size", 4, "RL_E_SHAPE"),
    ("op[0].off_w", 4, "RL_E_BOUNDS"),
    ("op[0].off_bias", 1 << 12, "RL_E_SHAPE"),
    ("op[0].off_mult", 0x7FFFFFF0, "RL_E_BOUNDS"),
    ("header.scratch_size", 16, "RL_E_BOUNDS"),
]


@pytest.mark.parametrize(("path", "value", "status"), HOSTILE)
def test_hostile_fields_are_refused(path: str, value: int, status: str) -> None:
    blob = ops.case(1).fast
    assert blob_edit.get(blob, "op[0].sh") in (1, 2)
    assert native.check(blob_edit.put(blob, {path: value}))[0] == status


def _patched(blob: bytes, array: str, at: int, data: bytes) -> bytes:
    image = bytearray(blob)
    at += blob_edit.get(blob, f"op[0].{array}")
    image[at : at + len(data)] = data
    return blob_edit.sealed(bytes(image))


def _with_exact() -> bytes:
    for seed in SEEDS:
        if blob_edit.get(ops.case(seed).fast, "op[0].p2"):
            return ops.case(seed).fast
    pytest.fail("no case has exact constants")


def test_row_of_exact_constants_that_is_not_there_is_refused() -> None:
    blob = _patched(_with_exact(), "off_mult", 0, b"\xff" * 4 + bytes(12))
    status, fault, _ = native.check(blob)
    assert (status, fault.what) == ("RL_E_BOUNDS", "row of the exact constants")


def test_exact_constants_that_are_no_multiplier_are_refused() -> None:
    for row in (struct.pack("<i", -1), struct.pack("<ii", 1, 31)):
        status, fault, _ = native.check(_patched(_with_exact(), "off_shift", 0, row))
        assert (status, fault.what) == ("RL_E_BOUNDS", "multiplier or exponent")


def test_tables_of_noise_give_numbers_and_no_fault() -> None:
    feed = []
    for seed in SEEDS:
        blob = _patched(ops.case(seed).fast, "off_w", 0, oracle.random_input(80, seed))
        blob = _patched(blob, "off_mult", 0, oracle.random_input(12, seed))
        feed += [(blob, data) for data in ops.case(seed).inputs]
    for program in native.runners():
        statuses = {outcome.status for outcome in native.run_program(program, feed)}
        assert statuses <= {"RL_OK", "RL_E_BOUNDS"} and "RL_OK" in statuses


def test_shapes_without_a_fast_kernel_say_why() -> None:
    graph = ops.graph(np.random.default_rng(3))
    op, tensors = graph.ops[0], graph.tensors
    assert layout.refusal(op, *tensors) is None
    for other, reason in (
        (replace(op, depth_mult=2), "multiplier 2"),
        (replace(op, window=replace(op.window, dil_w=200)), "filter 3 x 3, dilation 1 x 200"),
    ):
        assert layout.refusal(other, *tensors) == reason
        assert layout.lay_out(other, *tensors) is None


@pytest.mark.parametrize("seed", range(40))
def test_halves_fit_their_plane_and_scratch(seed: int) -> None:
    random = np.random.default_rng(seed)
    window = ops.any_window(random) if seed % 2 else ops.window_3x3(random)
    height, width = (int(n) for n in random.integers(1, 200, 2))
    half = layout.best_half(window, height, width)
    assert half is not None
    sums = 8 * half.rows * half.columns
    taps = window.kh * window.kw
    scratch = layout.scratch_bytes(window, half.rows, half.columns)
    assert sums < scratch <= layout.PLANE_BYTES + sums + 12 * taps + 4
    assert half.rows <= height and half.columns <= width


def seeded_cycles() -> int:
    """Cycles of random layers on inputs as after a ReLU."""
    total = 0
    for seed in range(12):
        runner = Runner(machine(), whole(ops.case(seed)))
        runner.put(0, ops.case(seed).inputs[1])
        total += runner.run(0).count.cycles
    return total


def cycles(row: str) -> int:
    """Cycles of a row of cycles.json."""
    if row == "seeded_dw":
        return seeded_cycles()
    name = row.removesuffix("_random")
    if name in TABLE_LAYERS:
        return table.layer_cycles(*TABLE_LAYERS[name], uniform=name != row)
    model = row.removesuffix("_dw")
    every = enumerate(table.loaded(model).graph.ops)
    numbers = [number for number, op in every if op.kind is Kind.DEPTHWISE_CONV_2D]
    return sum(table.layer_cycles(model, number, uniform=False) for number in numbers)


@pytest.mark.parametrize("row", ROWS)
def test_cycles_have_not_drifted(row: str) -> None:
    machine()
    committed = json.loads(table.TABLE.read_text())["m0plus"][row]
    assert cycles(row) == pytest.approx(committed, rel=table.TOLERANCE)


if __name__ == "__main__":
    every = json.loads(table.TABLE.read_text())
    every["m0plus"] |= {row: cycles(row) for row in ROWS}
    table.TABLE.write_text(json.dumps(every, indent=1) + "\n")
