"""A simulated policy as a plan for the firmware: its tiles, and its commits made by our engine.

What a policy keeps becomes our record, and where it decides by a stored energy that it would know
exactly the firmware runs on until the power fails. So the blob compares when policies commit, on a
board and on its harvest, not how few bytes their own records have.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.errors import PlanError
from relume.plan.planner import plan_of_tiles
from relume.plan.types import Pace, Plan
from relume.sim.ours import fixed_route
from relume.sim.route import Tally, follow
from relume.sim.study import Outcome, Study
from relume.sim.work import Work


def firmware_plan(study: Study, outcome: Outcome) -> Plan:
    """The policy at the setting that the simulation has chosen.

    Raises PlanError for a policy that the firmware cannot follow, and where its tiles do not fit.
    """
    ours = study.plan if outcome.name.startswith("relume") else None
    if ours is not None:
        return ours if outcome.name == "relume" else replace(ours, pace=Pace())
    if outcome.tally is None:
        raise PlanError(f"policy {outcome.name}: refused on this capacitor, use a larger one")
    if outcome.tiles is None:
        raise PlanError(
            f"policy {outcome.name}: the firmware cannot follow it, only those that write each "
            "tile's output before the next: layerwise, nodpa, inasplus, dynbal and their like"
        )
    return plan_of_tiles(study.graph, study.board, study.budget, outcome.tiles)


def firmware_tally(study: Study, plan: Plan) -> Tally:
    """What the simulator expects of a plan that commits behind every segment."""
    work = Work.of(study.costs, plan.tiles)
    ends = np.array([segment.end for segment in plan.segments])
    return follow([fixed_route(work, ends)], study.supply, study.begins)
