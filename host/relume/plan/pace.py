"""What the board needs to follow the supply voltage: the cost model in whole cycles (SPEC 2.9).

Energy is counted in cycles of active power. Everything is rounded so that a tile or a commit never
looks cheaper than the planner has it, and the capacitor never larger.
"""

from __future__ import annotations

import math

from relume.plan.costs import PAGE_DATA, CostModel
from relume.plan.types import OpPace, Pace
from relume.power.capacitor import Budget

UINT16_MAX = 0xFFFF
UINT32_MAX = 0xFFFFFFFF
FRACTION = 1 << 16  # of mv2_cycles
SURVEYS = 2.0  # beyond those that commit_uj counts


def pace_of(costs: CostModel, budget: Budget) -> Pace:
    """The figures for one board, NVM and capacitor."""
    fixed, byte, access = _writes(costs)
    crc = costs.commit_uj(0.0, 0.0, 1.0) - costs.commit_uj(0.0, 0.0, 0.0)
    if costs.nvm == "flash":
        crc = costs.board.store.crc_per_byte * costs.uj_per_cycle
    # C/2 of a square volt in microjoule, a millionth of that a square millivolt.
    mv2 = 0.5 * budget.cap_f / costs.uj_per_cycle * FRACTION
    ops = tuple(_op(costs, number) for number in range(len(costs.ops)))
    return Pace(
        min(UINT32_MAX, math.floor(mv2)),
        _cycles(costs, fixed, UINT32_MAX),
        _cycles(costs, byte, UINT16_MAX),
        _cycles(costs, access, UINT16_MAX),
        _cycles(costs, crc, UINT16_MAX),
        ops,
    )


def _writes(costs: CostModel) -> tuple[float, float, float]:
    """Microjoule of a commit: fixed, a byte written, a range written.

    Flash: a byte is its part of a page, and one page more is fixed."""
    fixed = costs.commit_uj(0.0, 0.0, 0.0) + SURVEYS * costs.survey_uj()
    if costs.nvm != "flash":
        return fixed, costs.transfer_uj(1.0, 0.0), costs.transfer_uj(0.0, 1.0)
    page = costs.program_uj(1.0)
    return fixed + page, page / PAGE_DATA, 0.0


def _op(costs: CostModel, number: int) -> OpPace:
    """A tile is made of three rectangles at most."""
    op = costs.ops[number]
    figures = (op.fixed + 2.0 * op.area, op.unit, costs.stage_cycles(number))
    tile, unit, stage = (min(UINT32_MAX, math.ceil(figure)) for figure in figures)
    return OpPace(tile, unit, stage)


def _cycles(costs: CostModel, microjoule: float, most: int) -> int:
    return min(most, math.ceil(microjoule / costs.uj_per_cycle - 1e-9))
