"""Does every inference end before its deadline? Response times on harvested power.

One inference runs at a time and is not interrupted by another; among those that wait, the one with
the shortest deadline goes first. The demand is counted in charges, so a bound holds for every
start in the trace. A charge of E joule does a charge's work, as planned, in E / P seconds at
active power P; of one that harvests h <= most(t_on) meanwhile, each further E joule do at least as
much (no boot, no restore), and a rest below E is taken as lost. So a charge's work needs at most
D = E + min(E, most(t_on)) joule, and n of them

    R = E / P + time_for(n D) + E / P

seconds: a charge that is under way and too far gone to be of use, the harvest, and the run of the
last. What the harvest brings above P is not counted.

n counts the inference itself (the plan's charges at worst, and one in which the input is taken)
and, beside other models, the longest that may be under way, or its own predecessor pushed on by
one (the sufficient test of Davis, Burns, Bril and Lukkien, "Controller Area Network schedulability
analysis", Real-Time Systems 35, 2007), and ceil(R / T) inferences of each model with a shorter
deadline; R is the least fixed point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relume.errors import PlanError
from relume.plan.types import Plan
from relume.power import windows
from relume.power.trace import Trace

INPUT_CHARGES = 1
LARGEST_SCALE = 100
GIVE_UP = 10  # deadlines: whoever is later than that is said not to end


@dataclass(frozen=True)
class Task:
    """A planned model that gets an input every period_s and must answer within deadline_s."""

    plan: Plan
    period_s: float
    deadline_s: float

    def __post_init__(self) -> None:
        if not 0 < self.deadline_s <= self.period_s < math.inf:
            raise PlanError(
                f"{self.plan.graph.name}: deadline {self.deadline_s:g} s, period "
                f"{self.period_s:g} s: the deadline must be above 0 and at most the period"
            )

    @property
    def charges(self) -> int:
        """Charges of one inference, input included, at worst."""
        return self.plan.forecast()[0] + INPUT_CHARGES


@dataclass(frozen=True)
class Response:
    """What is promised for one task. response_s is inf where the harvest does not keep up."""

    task: Task
    charges: int
    response_s: float

    @property
    def met(self) -> bool:
        """The deadline holds for every start in the trace."""
        return self.response_s <= self.task.deadline_s

    @property
    def margin_s(self) -> float:
        """Seconds between the response time and the deadline; negative: missed."""
        return self.task.deadline_s - self.response_s


@dataclass(frozen=True)
class Schedule:
    """Response of each task, shortest deadline first, and the share of the harvest in use."""

    responses: tuple[Response, ...]
    utilisation: float

    @property
    def met(self) -> bool:
        """Every deadline holds."""
        return all(response.met for response in self.responses)


class Demand:
    """What charges ask of a harvest that never exceeds the active power."""

    def __init__(self, trace: Trace, full_j: float, active_w: float) -> None:
        """full_j: energy of a full capacitor, joule."""
        self.trace = trace
        self.run_s = full_j / active_w
        on_s = windows.longest_charge(trace, full_j, active_w)
        more = full_j if math.isinf(on_s) else min(full_j, windows.most(trace, on_s))
        self.charge_j = full_j + more

    def seconds(self, charges: int) -> float:
        """Seconds in which so many charges have done their work, wherever one begins."""
        return 2 * self.run_s + windows.time_for(self.trace, charges * self.charge_j)


def schedule(tasks: Sequence[Task], trace: Trace, active_w: float) -> Schedule:
    """Response times of all tasks on one capacitor. Errors: PlanError.

    active_w: power of the running board, watt.
    """
    budget = tasks[0].plan.budget
    if any(task.plan.budget != budget for task in tasks):
        raise PlanError("models beside one another must be planned for one capacitor")
    order = sorted(tasks, key=lambda task: task.deadline_s)
    usable = Trace.make(trace.name, trace.times, np.minimum(trace.watts, active_w))
    demand = Demand(usable, budget.charge_uj * 1e-6, active_w)
    rate = sum(task.charges / task.period_s for task in order) * demand.charge_j
    return Schedule(
        tuple(
            Response(task, task.charges, _response(order, number, demand))
            for number, task in enumerate(order)
        ),
        rate / usable.mean_w if usable.mean_w > 0 else math.inf,
    )


def sufficient_scale(tasks: Sequence[Task], trace: Trace, active_w: float) -> float | None:
    """The least factor on the harvest, to 1 %, with which all deadlines hold; None: none found."""
    low, high = 1.0, 2.0
    while not schedule(tasks, trace.scaled(high), active_w).met:
        low, high = high, 2 * high
        if high > LARGEST_SCALE:
            return None
    while high > low * 1.01:
        middle = math.sqrt(low * high)
        if schedule(tasks, trace.scaled(middle), active_w).met:
            high = middle
        else:
            low = middle
    return high


def _response(order: Sequence[Task], number: int, demand: Demand) -> float:
    own, before = order[number], order[:number]
    pushed = max(task.charges for task in order[number:]) if len(order) > 1 else 0
    response = 0.0
    while True:
        others = sum(max(1, math.ceil(response / task.period_s)) * task.charges for task in before)
        longer = demand.seconds(own.charges + pushed + others)
        if longer <= response:
            return response
        if longer > GIVE_UP * own.deadline_s:
            return math.inf
        response = longer
