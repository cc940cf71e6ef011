"""The engine is exact on nets of all kinds made at random, however they are cut into tiles.

SECURITY B1.
"""

from __future__ import annotations

import functools

import pytest
from relume.model.graph import Kind

from tests import native
from tests.kernels import netgen, oracle

SEEDS = range(96)


@functools.cache
def net(seed: int) -> tuple[bytes, oracle.Packed, bytes]:
    """(model, blob with random tiles, input) of one seed."""
    model = netgen.random_net(seed)
    packed = oracle.packed(model, seed)
    return model, packed, oracle.random_input(packed.input_size, seed)


@functools.cache
def results(seed: int) -> dict[int, bytes]:
    """What the library computes; fails when a tile writes a byte that is not its own."""
    _, packed, data = net(seed)
    return native.accepted(packed.blob).run(data, watch=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_tensor_is_exact(seed: int) -> None:
    model, packed, data = net(seed)
    assert packed.mismatches(results(seed), oracle.run_reference(model, data)) == []


def test_random_nets_have_ops_of_every_kind() -> None:
    kinds = {op.kind for seed in SEEDS for op in net(seed)[1].graph.ops}
    assert kinds == set(Kind)


def test_random_nets_have_windows_of_every_sort() -> None:
    windows = [
        (op, op.window) for seed in SEEDS for op in net(seed)[1].graph.ops if op.window.kh
    ]
    for kind in (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D):
        own = [(op, w) for op, w in windows if op.kind is kind]
        assert any(w.dil_h > 1 and w.kh > 1 for _, w in own), "dilated in H"
        assert any(w.dil_w > 1 and w.kw > 1 for _, w in own), "dilated in W"
        assert any(w.kh in (2, 4) and w.pad_top for _, w in own), "even, padded unevenly"
        assert any(w.sh > w.kh or w.sw > w.kw for _, w in own), "stride beyond the filter"
        assert any(w.kh != w.kw and w.sh != w.sw for _, w in own), "not square"
    assert any(op.depth_mult > 1 for op, _ in windows)


@pytest.mark.parametrize("core", ["m0plus", "m4"])
@pytest.mark.parametrize("seed", SEEDS[::2])
def test_every_tensor_is_exact_with_the_kernels_of_a_core(seed: int, core: str) -> None:
    model, _, data = net(seed)
    packed = oracle.packed(model, seed, core)
    tensors = native.accepted(packed.blob).run(data, watch=True, spoil=True)
    assert packed.mismatches(tensors, oracle.run_reference(model, data)) == []


@pytest.mark.parametrize("seed", SEEDS[:12])
def test_noise_in_memory_changes_nothing(seed: int) -> None:
    _, packed, data = net(seed)
    again = native.accepted(packed.blob).run(data, noise=0x80)
    assert again == results(seed)


@pytest.mark.parametrize("seed", SEEDS[:12])
def test_a_tile_run_twice_gives_the_same_bytes(seed: int) -> None:
    _, packed, data = net(seed)
    checked = native.accepted(packed.blob)
    assert checked.run(data, repeat=2) == results(seed)


def test_sanitizers_find_nothing_and_the_bytes_are_the_same() -> None:
    cases = [net(seed) for seed in SEEDS]
    for program in native.runners():
        outcomes = native.run_program(program, [(p.blob, data) for _, p, data in cases])
        assert len(outcomes) == len(cases)
        for seed, (case, outcome) in enumerate(zip(cases, outcomes, strict=True)):
            assert outcome.status == "RL_OK", f"seed {seed}"
            checked = native.accepted(case[1].blob)
            assert outcome.data == native.finished(checked, results(seed)), f"seed {seed}"
