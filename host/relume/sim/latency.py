"""How long an inference of one plan takes on a harvest, as `relume simulate` has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relume.board.profile import BoardProfile
from relume.errors import PlanError
from relume.plan.types import Plan
from relume.power.trace import Trace
from relume.sim.study import Study, run_policy

COSTED = ("fram", "fram-i2c")  # NVM kinds that all policies are costed for
SIMULATED = (*COSTED, "flash")  # and those that plans are simulated with


@dataclass(frozen=True)
class Latency:
    """Seconds from a capacitor at turn-off to the result, over many starts in the trace.

    p50_s, p95_s: infinite where so many never finish. charges: median of those that finish; never:
    share of the starts that do not.
    """

    p50_s: float
    p95_s: float
    charges: float
    never: float


def latency(
    plan: Plan,
    board: BoardProfile,
    trace: Trace,
    *,
    reading: bool = True,
    starts: int = 1000,
    seed: int = 1,
) -> Latency:
    """Simulates a plan for `board`, on FRAM or flash. reading: the firmware reads the supply
    voltage; on flash, where a charge that holds an erase holds most inferences, the plan is run
    as it is.

    Errors: PlanError for another NVM, TraceError where the power never comes or never fails.
    """
    if plan.nvm not in SIMULATED:
        raise PlanError(
            f"{plan.graph.name}: planned for {plan.nvm}, times are simulated for FRAM and flash"
        )
    study = Study(plan.graph, board, plan.budget, trace, starts, seed, plan)
    by_voltage = reading and plan.nvm != "flash"
    outcome = run_policy(study, "relume" if by_voltage else "relume-fixed")
    assert outcome.tally is not None
    p50, p95 = (outcome.quantile(share) for share in (0.5, 0.95))
    never = float(np.isinf(outcome.tally.time_s).mean())
    return Latency(
        np.inf if p50 is None else p50,
        np.inf if p95 is None else p95,
        outcome.median(outcome.tally.charges),
        never,
    )
