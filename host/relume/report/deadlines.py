"""The answer to --period and --deadline, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relume.power.durations import format_duration

if TYPE_CHECKING:
    from rich.table import Table

    from relume.plan.response import Schedule
    from relume.power.trace import Trace
    from relume.sim.latency import Latency


def table(schedule: Schedule, trace: Trace) -> Table:
    """One row a model, shortest deadline first."""
    from relume.report.tables import grid

    columns = [
        ("model", False), ("period", True), ("deadline", True), ("charges", True),
        ("answers within", True), ("margin", True),
    ]  # fmt: skip
    rows = [
        (
            one.task.plan.graph.name,
            format_duration(one.task.period_s),
            format_duration(one.task.deadline_s),
            str(one.charges),
            format_duration(one.response_s),
            format_duration(one.margin_s),
        )
        for one in schedule.responses
    ]
    title = f"deadlines: {schedule.utilisation:.0%} of {trace.name} in use"
    return grid(title, columns, rows)


def facts(schedule: Schedule) -> dict[str, Any]:
    """JSON-able; a schedule that holds."""
    return {
        "utilisation": schedule.utilisation,
        "tasks": [
            {
                "model": one.task.plan.graph.name,
                "period_s": one.task.period_s,
                "deadline_s": one.task.deadline_s,
                "charges": one.charges,
                "response_s": one.response_s,
                "margin_s": one.margin_s,
            }
            for one in schedule.responses
        ],
    }


def latency_line(found: Latency | None, trace: Trace) -> str:
    """The simulated times in words."""
    if found is None:
        return f"not simulated on {trace.name}: that takes FRAM or flash, and a supply that fails"
    return (
        f"{format_duration(found.p50_s)} (p50), {format_duration(found.p95_s)} (p95), "
        f"{found.charges:g} charges on {trace.name}, simulated from an empty capacitor"
    )


def latency_facts(found: Latency) -> dict[str, Any]:
    """JSON-able; null where so many never finish."""
    times = {"p50_s": found.p50_s, "p95_s": found.p95_s}
    finite = {name: value if value < float("inf") else None for name, value in times.items()}
    return {**finite, "charges": found.charges, "never": found.never}
