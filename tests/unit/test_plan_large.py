"""A thousand ops are planned without a search, so that it takes seconds."""

from __future__ import annotations

import pytest
from relume.plan import shrink
from relume.plan.planner import Budget, make_plan

from tests.unit.plan_nets import BOARD, RandomNet

BUDGET = Budget(4.7e-3, 5.0, 1.8)


@pytest.mark.parametrize("n_ops", [500, 1000])
def test_a_large_graph_is_placed_but_not_searched(
    n_ops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched(*_: object) -> None:
        raise AssertionError("a search through tilings")

    monkeypatch.setattr(shrink._Search, "_step", searched)
    graph = RandomNet(3, 24).graph(n_ops)
    plan = make_plan(graph, BOARD, BUDGET)
    assert plan.segments[-1].end == len(plan.tiles) >= n_ops


def test_a_small_one_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[object] = []
    true_step = shrink._Search._step

    def counted(self: shrink._Search, *state: object) -> object:
        steps.append(state)
        return true_step(self, *state)  # type: ignore[arg-type]

    monkeypatch.setattr(shrink._Search, "_step", counted)
    make_plan(RandomNet(19, 48).graph(12), BOARD, BUDGET)
    assert steps
