"""Table and picture of simulated policies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relume.power.capacitor import format_capacitance
from relume.report.canvas import Canvas
from relume.report.tables import count, grid
from relume.ui import write_atomic

if TYPE_CHECKING:
    from rich.table import Table

    from relume.sim.study import Outcome, Study


def title(study: Study) -> str:
    """What was simulated, in one line."""
    budget = study.budget
    return (
        f"{study.graph.name} on {study.board.title}: {format_capacitance(budget.cap_f)}, "
        f"{budget.von_v:g} V to {budget.voff_v:g} V, {study.trace.name} "
        f"(mean {study.trace.mean_w * 1e3:.3g} mW), {study.starts} starts"
    )


def table(study: Study, outcomes: Sequence[Outcome]) -> Table:
    """One policy a row, medians; dashes where nothing finishes."""
    columns = [
        ("policy", False), ("p50 s", True), ("p95 s", True), ("mJ", True), ("wasted mJ", True),
        ("NVM bytes", True), ("commits", True), ("charges", True), ("setting", False),
    ]  # fmt: skip
    made = grid(title(study), columns, [_row(one) for one in outcomes])
    made.caption, made.caption_justify = overhead_line(study), "left"
    return made


def overhead_line(study: Study) -> str:
    """What the plan's commits take where power never fails."""
    from relume.sim.ours import plan_overhead

    share = plan_overhead(study)
    if share is None:
        return "no plan for this capacitor"
    return f"without power failures the plan's commits, input included, add {share:.1%} to compute"


def _row(one: Outcome) -> list[str]:
    facts = one.facts()
    if facts["time_p50_s"] is None:
        why = one.setting if one.tally is None else f"{one.setting} livelock".strip()
        return [one.name, *["-"] * 7, why]
    cells = [one.name, _seconds(facts["time_p50_s"]), _seconds(facts["time_p95_s"])]
    cells += [f"{facts[key]:.2f}" for key in ("energy_mj", "wasted_mj")]
    cells += [count(float(facts[key] or 0)) for key in ("nvm_bytes", "commits", "charges")]
    return [*cells, one.setting + (" (some starts livelock)" if one.livelock else "")]


def _seconds(value: float | bool | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


STYLE = """
.relume{--ink:#1b2430;--soft:#5c6773;--faint:#d9dee4;--paper:#fff;--boot:#a78bda;--useful:#2f9e8f;
--commit:#1f5fd0;--wasted:#e8743b;--idle:#b9c2cc;--bar:#31465f;--ours:#c81e3a;
font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;max-width:100%;height:auto}
@media(prefers-color-scheme:dark){.relume{--ink:#e7ecf2;--soft:#9aa7b4;--faint:#333d49;
--paper:#12181f;--commit:#7fb0ff;--bar:#a9bfd8;--ours:#ff5c73;--idle:#4a5561}}
.relume .page{fill:var(--paper)}.relume text{fill:var(--ink)}
.relume .title{font-size:15px;font-weight:600}.relume .small{font-size:11px}
.relume .soft{fill:var(--soft);font-size:11.5px}.relume .grid{stroke:var(--faint);stroke-width:1}
.relume .whisker{stroke:var(--ink);stroke-width:1.2}.relume .bar{fill:var(--bar)}
.relume .ours{fill:var(--ours)}.relume .boot{fill:var(--boot)}.relume .useful{fill:var(--useful)}
.relume .commit{fill:var(--commit)}.relume .wasted{fill:var(--wasted)}
.relume .idle{fill:var(--idle)}
"""
WIDTH, ROW, TOP, NAME, TIME, GAP, ENERGY = 1100.0, 24.0, 92.0, 110.0, 470.0, 60.0, 400.0
PARTS = (
    ("useful", "computed once"), ("boot", "boot, restore"), ("commit", "commits"),
    ("wasted", "done again, lost"), ("idle", "asleep"),
)  # fmt: skip
CLIP = 4.0  # an axis ends at so many times the median of the bars


def write_picture(study: Study, outcomes: Sequence[Outcome], path: Path) -> None:
    """Bars of the median time with whiskers to p95, and of where the energy goes."""
    write_atomic(path, draw(study, outcomes).encode())


def draw(study: Study, outcomes: Sequence[Outcome]) -> str:
    """The SVG: policies from fastest to slowest, those that never finish last."""
    rows = sorted(outcomes, key=lambda one: one.quantile(0.5) or float("inf"))
    height = TOP + ROW * len(rows) + 40
    canvas = Canvas(WIDTH, height, title(study))
    canvas.rect(0, 0, WIDTH, height, "page")
    canvas.label(20, 26, title(study), "title")
    _legend(canvas)
    times = [value for one in rows if (value := one.quantile(0.5)) is not None]
    energies = [sum(parts_of(one)) for one in rows if one.quantile(0.5) is not None]
    _axis(canvas, NAME, TIME, _most(times), "s", len(rows))
    _axis(canvas, NAME + TIME + GAP, ENERGY, _most(energies), "mJ", len(rows))
    for number, one in enumerate(rows):
        _bars(canvas, TOP + ROW * number, one, _most(times), _most(energies))
    return canvas.text(STYLE)


def parts_of(one: Outcome) -> list[float]:
    """Millijoule in the order of PARTS, medians."""
    tally = one.tally
    assert tally is not None
    parts = (tally.useful_s, tally.start_s, tally.commit_s, tally.wasted_s, tally.sleep_s)
    return [one.median(part) * one.mj_per_s for part in parts]


def _most(values: Sequence[float]) -> float:
    """Right end of an axis: the largest value, or where bars are cut off."""
    if not values:
        return 1.0
    middle = sorted(values)[len(values) // 2]
    end = min(max(values), CLIP * middle) * 1.02
    step = 10.0 ** math.floor(math.log10(end / 4))
    return 4 * next(nice * step for nice in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if
                    4 * nice * step >= end)  # fmt: skip


def _legend(canvas: Canvas) -> None:
    canvas.label(NAME, 56, "Time of an inference: median, whisker to p95", "soft")
    x = NAME + TIME + GAP
    for css, text in PARTS:
        canvas.rect(x, 47, 12, 10, css, radius=2)
        canvas.label(x + 16, 56, text, "small")
        x += 26 + 6.2 * len(text)


def _axis(canvas: Canvas, x: float, width: float, most: float, unit: str, rows: int) -> None:
    for quarter in range(5):
        at = x + width * quarter / 4
        canvas.line(at, TOP - 8, at, TOP + ROW * rows, "grid")
        text = f"{most * quarter / 4:.3g}" + (f" {unit}" if quarter == 4 else "")
        canvas.label(at, TOP - 13, text, "small", "middle")


def _bars(canvas: Canvas, y: float, one: Outcome, slowest: float, largest: float) -> None:
    canvas.label(NAME - 10, y + 14, one.name, "label", "end")
    median, tail = one.quantile(0.5), one.quantile(0.95)
    if median is None:
        why = "refused: does not fit a charge" if one.tally is None else "never finishes"
        canvas.label(NAME + 6, y + 14, why, "soft")
        return
    scale = TIME / slowest
    css = "ours" if one.name.startswith("relume") else "bar"
    canvas.rect(NAME, y + 3, min(median, slowest) * scale, ROW - 8, css, one.setting)
    if tail is not None and median < slowest:
        end = NAME + min(tail, slowest) * scale
        canvas.line(NAME + median * scale, y + 11, end, y + 11, "whisker")
        canvas.line(end, y + 7, end, y + 15, "whisker")
    if median >= slowest:
        canvas.label(NAME + TIME + 4, y + 14, f"{count(median)} s", "small")
    _energy(canvas, y, parts_of(one), largest)


def _energy(canvas: Canvas, y: float, parts: Sequence[float], largest: float) -> None:
    x, left, scale = NAME + TIME + GAP, ENERGY, ENERGY / largest
    for (css, text), value in zip(PARTS, parts, strict=True):
        width = min(value * scale, left)
        if width > 0.2:
            canvas.rect(x, y + 3, width, ROW - 8, css, f"{text}: {value:.2f} mJ")
        x, left = x + width, left - width
    if sum(parts) > largest:
        canvas.label(x + 4, y + 14, count(sum(parts)), "small")
