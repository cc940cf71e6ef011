"""The smallest capacitor one charge of which carries every tile of a graph."""

from __future__ import annotations

import math

from relume.board.profile import BoardProfile
from relume.errors import PlanError
from relume.model.graph import Graph
from relume.plan.costs import CostModel
from relume.plan.tiles import Infeasible, tile_graph
from relume.plan.types import Plan
from relume.power.capacitor import (
    Budget,
    capacitance_for,
    e6_after,
    e6_at_least,
    format_capacitance,
)

MAX_SEARCH_F = 1.0
CLOSE = 1.01  # of a capacitor that is called the smallest


def check_supply(board: BoardProfile, von_v: float) -> None:
    """Refuses a turn-on voltage that the board does not survive."""
    if von_v > board.supply.vmax_v:
        raise PlanError(
            f"turn-on voltage {von_v:g} V: {board.name} takes at most {board.supply.vmax_v:g} V"
        )


def sufficient_capacitor(
    graph: Graph,
    board: BoardProfile,
    von_v: float,
    voff_v: float,
    nvm: str = "fram",
    series: str = "E6",
    exchange: bool = False,
) -> float:
    """smallest_capacitor for the energy alone: the memories are not looked at."""
    if series not in ("E6", "exact"):
        raise PlanError(f"unknown series {series}: E6 or exact")
    check_supply(board, von_v)
    costs = CostModel(graph, board, nvm)
    exact = _sufficient(costs, Budget(1e-6, von_v, voff_v), costs.boot_uj)
    if exchange:
        tiled = tile_graph(graph, costs, Budget(exact, von_v, voff_v).charge_uj)
        need_uj = costs.exchange_uj(len(tiled.tiles))
        exact = max(exact, CLOSE * capacitance_for(need_uj, von_v, voff_v))
    return exact if series == "exact" else _sufficient_e6(costs, exact, von_v, voff_v)


def serial_capacitor(plan: Plan, board: BoardProfile) -> float | None:
    """Farad (E6) of which one charge takes an input over the serial line; None if the plan's do.

    A program on the board that has its input needs no more than the plan."""
    if board.boot.early_ms is None or plan.exchange_uj <= plan.charge_uj:
        return None
    need_f = capacitance_for(plan.exchange_uj, plan.budget.von_v, plan.budget.voff_v)
    return e6_at_least(need_f)


def _fits(costs: CostModel, charge_uj: float) -> Infeasible | None:
    """None if tiles exist for this charge, else why not."""
    try:
        tile_graph(costs.graph, costs, charge_uj)
    except Infeasible as reason:
        return reason
    return None


def _sufficient(costs: CostModel, budget: Budget, need_uj: float) -> float:
    """Farad for which tiles exist, at most CLOSE more than needed.

    The charge is raised to what each refusal names. Larger charges have larger tiles, which need
    more: so what lies between the last refusal and the first success is halved."""
    refused = 0.0
    while (reason := _fits(costs, need_uj)) is not None:
        refused, need_uj = need_uj, max(reason.need_uj, need_uj) * (1 + 1e-9)
        if capacitance_for(need_uj, budget.von_v, budget.voff_v) > MAX_SEARCH_F:
            raise PlanError(f"{costs.graph.name}: no capacitor up to 1 F feeds one charge of it")
    while refused and need_uj > refused * CLOSE:
        middle = (refused + need_uj) / 2
        if _fits(costs, middle) is None:
            need_uj = middle
        else:
            refused = middle
    return capacitance_for(need_uj, budget.von_v, budget.voff_v) * (1 + 1e-9)


def _sufficient_e6(costs: CostModel, exact_f: float, von_v: float, voff_v: float) -> float:
    cap_f = e6_at_least(exact_f / CLOSE)
    while cap_f <= MAX_SEARCH_F:
        if _fits(costs, Budget(cap_f, von_v, voff_v).charge_uj) is None:
            return cap_f
        cap_f = e6_after(cap_f)
    raise PlanError(f"{costs.graph.name}: no capacitor up to 1 F feeds one charge of it")


def refusal(graph: Graph, costs: CostModel, budget: Budget, reason: Infeasible) -> PlanError:
    """Names the layer, its need and the capacitor that suffices for the whole model."""
    if reason.op is None:
        what = reason.what
    else:
        op = graph.ops[reason.op]
        what = f"op {op.number}, layer {op.name}, {op.kind.name}: {reason.what}"
    exact = _sufficient(costs, budget, max(reason.need_uj, costs.boot_uj))
    e6 = _sufficient_e6(costs, exact, budget.von_v, budget.voff_v)
    return PlanError(
        f"{graph.name}: {what} needs {reason.need_uj / 1e3:.2f} mJ, {costs.boot_uj / 1e3:.2f} mJ "
        f"of it to boot; one charge of {format_capacitance(budget.cap_f)} is "
        f"{budget.charge_uj / 1e3:.2f} mJ: use at least {math.ceil(exact * 1e6)} uF "
        f"(E6: {format_capacitance(e6)})"
    )
