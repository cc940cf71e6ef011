"""Policies on several capacitors and harvests: small multiples, and tables one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relume.power.capacitor import format_capacitance
from relume.report.canvas import Canvas
from relume.report.policies import STYLE, table, write_picture
from relume.ui import write_atomic

if TYPE_CHECKING:
    from rich.console import Group

    from relume.sim.study import Outcome, Study

MARGIN, NAME, BARS, ROW, HEAD, TOP, GAP = 20.0, 92.0, 190.0, 15.0, 40.0, 62.0, 34.0
MOST = 4.0  # times the least: where bars are cut off
Found = Sequence[Sequence["Outcome"]]


def text(studies: Sequence[Study], found: Found) -> Group:
    """A table for each study."""
    from rich.console import Group

    return Group(*(table(study, outcomes) for study, outcomes in zip(studies, found, strict=True)))


def write(path: Path, studies: Sequence[Study], found: Found) -> None:
    """The picture of one study, or the panels of several."""
    if len(studies) == 1:
        write_picture(studies[0], found[0], path)
    else:
        write_atomic(path, panels(studies, found).encode())


def panels(studies: Sequence[Study], found: Found) -> str:
    """The SVG: a column for each capacitor, a row for each harvest, policies in one order."""
    caps = list(dict.fromkeys(study.budget.cap_f for study in studies))
    harvests = list(dict.fromkeys(study.trace.name for study in studies))
    order = _order(found)
    wide, high = NAME + BARS + GAP, HEAD + ROW * len(order) + GAP
    width, height = MARGIN + wide * len(caps), TOP + high * len(harvests)
    heading = f"{studies[0].graph.name} on {studies[0].board.title}: time of an inference"
    canvas = Canvas(width, height, heading)
    canvas.rect(0, 0, width, height, "page")
    canvas.label(MARGIN, 26, heading, "title")
    note = f"median by that of the fastest in each panel, whisker to p95, cut off at {MOST:g}"
    canvas.label(MARGIN, 44, note, "soft")
    for study, outcomes in zip(studies, found, strict=True):
        x = MARGIN + wide * caps.index(study.budget.cap_f)
        y = TOP + high * harvests.index(study.trace.name)
        _panel(canvas, x, y, study, {one.name: one for one in outcomes}, order)
    return canvas.text(STYLE)


def _ratios(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Median of each policy by that of the fastest; infinite where nothing finishes."""
    times = {one.name: one.quantile(0.5) or np.inf for one in outcomes}
    least = min(times.values())
    return {name: time / least if np.isfinite(time) else np.inf for name, time in times.items()}


def _order(found: Found) -> list[str]:
    """Names from the fastest to the slowest over all panels."""
    ratios = [_ratios(outcomes) for outcomes in found]
    sums = {name: sum(min(one[name], 10 * MOST) for one in ratios) for name in ratios[0]}
    return sorted(sums, key=lambda name: sums[name])


def _panel(
    canvas: Canvas, x: float, y: float, study: Study, outcomes: dict[str, Outcome],
    order: Sequence[str],
) -> None:  # fmt: skip
    least = min(one.quantile(0.5) or np.inf for one in outcomes.values())
    heading = f"{format_capacitance(study.budget.cap_f)}, {study.trace.name}"
    canvas.label(x, y + 12, heading, "label")
    canvas.label(x, y + 27, f"{study.trace.mean_w * 1e3:.3g} mW; fastest {least:.3g} s", "small")
    left, bottom = x + NAME, y + HEAD + ROW * len(order)
    for times in range(int(MOST) + 1):
        at = left + BARS * times / MOST
        canvas.line(at, y + HEAD - 4, at, bottom, "grid")
        canvas.label(at, bottom + 12, f"{times}", "small", "middle")
    for number, name in enumerate(order):
        _bar(canvas, left, y + HEAD + ROW * number, outcomes[name], least)


def _bar(canvas: Canvas, x: float, y: float, one: Outcome, least: float) -> None:
    canvas.label(x - 6, y + 10, one.name, "small", "end")
    median, tail = one.quantile(0.5), one.quantile(0.95)
    if median is None:
        canvas.label(x + 4, y + 10, "never", "soft")
        return
    css = "ours" if one.name.startswith("relume") else "bar"
    scale = BARS / MOST / least
    canvas.rect(x, y + 2, min(median * scale, BARS), ROW - 5, css, f"{median:.2f} s")
    if median * scale >= BARS:
        canvas.label(x + BARS + 3, y + 10, f"{median / least:.0f}", "small")
    elif tail is not None:
        end = min(tail * scale, BARS)
        canvas.line(x + median * scale, y + 7, x + end, y + 7, "whisker")
