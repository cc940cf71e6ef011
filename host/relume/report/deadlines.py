"""The answer to --period and --deadline, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relume.power.durations import format_duration

if TYPE_CHECKING:
    from rich.table import Table

    from relume.plan.response import Schedule
    from relume.power.trace import Trace


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
