"""What writes behind the tiles leave for a commit: what the simulated engine is left with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.board.profile import BoardProfile
from relume.plan.behind import BURST_CYCLES, Behind, Spans
from relume.plan.costs import CostModel
from relume.plan.tiles import TiledGraph, assemble, cut
from relume.sim.ours import dirty_bytes, stream
from relume.sim.work import Work

from tests.unit.plan_nets import BOARD, RandomNet
from tests.unit.sim_nets import conv_net

SEEDS = st.integers(0, 2**32 - 1)


def _nets(seed: int, n_ops: int, board: BoardProfile, nvm: str) -> tuple[CostModel, TiledGraph]:
    graph = RandomNet(seed, 6).graph(n_ops)
    costs = CostModel(graph, board, nvm)
    counts = [-(-graph.units(op) // 3) for op in graph.ops]
    return costs, assemble(graph, costs, cut(graph, counts))


def _commits(costs: CostModel, tiled: TiledGraph, end: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """(expected, whole) of the segments from each boundary before `end` to it."""
    spans = Spans.to(end)
    dirty, ranges = (total * 1.0 for total in tiled.live.dirty_totals(spans.start, spans.end))
    live = np.full(end, float(tiled.live.live_bytes[end]))
    return (
        Behind(costs, tiled).commit_uj(spans, dirty, ranges),
        costs.commit_uj(dirty, ranges, live),
    )


@settings(max_examples=60, derandomize=True, deadline=None)
@given(SEEDS, st.integers(1, 6))
def test_the_bytes_left_are_those_of_the_simulated_engine(seed: int, n_ops: int) -> None:
    """No fewer; more only where a burst under way holds up the next one."""
    costs, tiled = _nets(seed, n_ops, BOARD, "fram")
    work = Work.of(costs, tiled.tiles)
    dirty, end = dirty_bytes(work), len(tiled.tiles)
    left = Behind(costs, tiled).left(Spans.to(end), dirty[:end, end])
    for start in range(end):
        _, wait_s, sent, _ = stream(work, dirty, start, end)
        waited = wait_s * BOARD.hz / (costs.transfer_uj(1.0, 0.0) / costs.uj_per_cycle)
        assert left[start] <= dirty[sent, end] + waited + 1e-6
        assert left[start] >= dirty[end - 1, end] - 1e-6


@pytest.mark.parametrize(
    ("board", "nvm"), [(replace(BOARD, boot=replace(BOARD.boot, early_ms=None)), "fram"),
                       (BOARD, "flash")]
)  # fmt: skip
def test_other_firmware_and_flash_write_nothing_behind(board: BoardProfile, nvm: str) -> None:
    costs, tiled = _nets(3, 5, board, nvm)
    expected, whole = _commits(costs, tiled, len(tiled.tiles))
    assert np.array_equal(expected, whole)
    work = Work.of(costs, tiled.tiles)
    bursts, wait_s, sent, written = stream(work, dirty_bytes(work), 0, work.n_tiles)
    assert (bursts, wait_s, sent, written) == (0, 0.0, 0, 0.0), "nor does the simulated engine"


@settings(max_examples=30, derandomize=True, deadline=None)
@given(SEEDS, st.integers(2, 6))
def test_a_segment_of_one_tile_has_nothing_to_hide_its_commit_behind(
    seed: int, n_ops: int
) -> None:
    costs, tiled = _nets(seed, n_ops, BOARD, "fram")
    expected, whole = _commits(costs, tiled, len(tiled.tiles))
    assert expected[-1] == pytest.approx(whole[-1])
    bursts = np.arange(len(whole) - 1, -1, -1) * BURST_CYCLES * costs.uj_per_cycle
    assert (expected <= whole + bursts + 1e-9).all()


def test_a_slow_layer_leaves_its_last_tile_only() -> None:
    graph = conv_net(1, side=32)
    costs = CostModel(graph, BOARD, "fram")
    tiled = assemble(graph, costs, cut(graph, [-(-graph.units(op) // 4) for op in graph.ops]))
    spans = Spans.to(4)
    dirty = tiled.live.dirty_totals(spans.start, spans.end)[0] * 1.0
    left = Behind(costs, tiled).left(spans, dirty)
    assert dirty[0] == 4 * dirty[3] and [tile.op for tile in tiled.tiles[:4]] == [0] * 4
    assert left.tolist() == [dirty[3]] * 4
