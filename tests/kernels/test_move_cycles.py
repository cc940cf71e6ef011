"""What the planner takes moving ops to cost is never less than what they cost, and not far above.

Counted under unicorn with the Cortex-M0+ table. python -m tests.kernels.test_move_cycles writes
the rows of cycles.json anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from relume.bench.machine import SRAM
from relume.bench.runner import Runner
from relume.board.profile import load_board
from relume.model.graph import Kind
from relume.plan.costs import CostModel

from tests.kernels import oracle
from tests.kernels.move_nets import SINGLE, moving_net
from tests.kernels.test_m0plus_cycles import TABLE, TOLERANCE, machine

MOVES = {Kind.GATHER, Kind.CONCATENATION, Kind.RESHAPE}
ROWS = tuple(f"seeded_{kind}" for kind in ("transpose", "resize", "split_and_join"))
MOST_ABOVE = 1.8  # of a tile that is large against its fixed price
MARGIN = 1.1  # of the rows, over the worst of the seeds that they were fitted to
FITTED = (*range(10), *range(1000, 1030))
FRESH = range(2000, 2012)  # the rows know nothing of these


@dataclass(frozen=True)
class Cost:
    """Cycles of one tile, counted and planned."""

    counted: int
    planned: float


def costs_of(kind: str, seed: int, most: int, tiles: int | None) -> list[Cost]:
    """Every tile of a net of one moving op."""
    packed = oracle.packed(moving_net(kind, seed, most), tiles, "m0plus")
    planned = CostModel(packed.graph, load_board("RPI_PICO"), "fram")
    runner = Runner(machine(), packed.blob)
    found = []
    for number, tile in enumerate(runner.blob.tiles):
        op = packed.graph.ops[tile.op]
        assert op.kind in MOVES
        # The arena lies where Runner has it; what it holds does not matter for the cycles.
        _, count = runner.machine.call("rl_engine_tile", SRAM, SRAM + 0x100, number)
        found.append(Cost(count.cycles, planned.kernel_cycles(op).worst(tile.count)))
    return found


def seeded_cycles(row: str) -> int:
    """Cycles of all tiles of a few nets."""
    kind = row.removeprefix("seeded_")
    return sum(cost.counted for seed in range(4) for cost in costs_of(kind, seed, 25, None))


@pytest.mark.parametrize("row", ROWS)
def test_cycles_have_not_drifted(row: str) -> None:
    committed = json.loads(TABLE.read_text())["m0plus"][row]
    assert seeded_cycles(row) == pytest.approx(committed, rel=TOLERANCE)


def costs_over(kind: str, seeds: Iterable[int]) -> list[Cost]:
    """Small nets in many tiles, larger ones in as few as can be."""
    sizes = [(seed, most, tiles) for seed in seeds for most, tiles in ((9, seed), (25, None))]
    return [cost for size in sizes for cost in costs_of(kind, *size)]


@pytest.mark.parametrize("kind", SINGLE)
def test_moving_bytes_of_nets_unknown_to_the_fit_costs_less_than_planned(kind: str) -> None:
    costs = costs_over(kind, FRESH)
    assert max(cost.counted / cost.planned for cost in costs) < 1 / (1 + (MARGIN - 1) / 2)


@pytest.mark.parametrize("kind", SINGLE)
def test_moving_bytes_is_planned_with_the_margin_and_not_far_above(kind: str) -> None:
    costs = costs_over(kind, FITTED[:10])
    assert max(cost.counted / cost.planned for cost in costs) < 1 / MARGIN
    large = [cost for cost in costs if cost.counted > 3000]
    assert all(cost.planned < MOST_ABOVE * cost.counted for cost in large)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", SINGLE)
def test_every_seed_of_the_fit_keeps_the_margin(kind: str) -> None:
    costs = costs_over(kind, FITTED)
    assert max(cost.counted / cost.planned for cost in costs) < 1 / MARGIN


if __name__ == "__main__":
    table = json.loads(TABLE.read_text())
    table["m0plus"] |= {row: seeded_cycles(row) for row in ROWS}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
