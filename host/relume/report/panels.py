"""The two panels of the timeline picture."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from relume.report.canvas import Canvas
from relume.report.phases import Charge, Inference

if TYPE_CHECKING:
    from relume_boards.virtual.record import Run, Sample

WIDTH, LEFT, RIGHT = 1160.0, 58.0, 18.0
_RIGHT_EDGE = WIDTH - RIGHT
_PLOT = _RIGHT_EDGE - LEFT
_WHOLE_PLOT, _CLOSER_PLOT = 110.0, 220.0
_WHOLE_ABOVE, _WHOLE_BELOW = 42.0, 66.0
_CLOSER_ABOVE, _CLOSER_BELOW = 48.0, 84.0
_GAP_MOST = 64.0
_BOLTS_MOST = 60
_DOTS_MOST = 24
Map = Callable[[float], float]


@dataclass(frozen=True)
class Scene:
    """A run with what was worked out about it; `window`: charges of the closer look."""

    run: Run
    charges: Sequence[Charge]
    inferences: Sequence[Inference]
    window: range

    @cached_property
    def top_v(self) -> float:
        """Voltage at the plots' upper edge."""
        highest = max((sample.volts for sample in self.run.samples), default=5.0)
        return max(highest, float(self.run.supply.get("von", 0.0)), 0.5) * 1.08


def whole_run_height(scene: Scene) -> float:
    return _WHOLE_ABOVE + _WHOLE_PLOT + _WHOLE_BELOW


def closer_look_height(scene: Scene) -> float:
    return _CLOSER_ABOVE + _CLOSER_PLOT + _CLOSER_BELOW if scene.window else 0.0


def whole_run(canvas: Canvas, scene: Scene, y: float) -> None:
    """The run on a true time axis."""
    end = max(scene.run.end, 1e-9)
    top = y + _WHOLE_ABOVE
    bottom = top + _WHOLE_PLOT

    def at(t: float) -> float:
        return LEFT + _PLOT * t / end

    canvas.label(LEFT, y + 18, "The whole run", "title")
    _volt_axis(canvas, scene, top, bottom)
    _time_axis(canvas, end, at, bottom)
    volts = _volts(scene, top, bottom)
    _areas(canvas, scene, scene.charges, at, volts, bottom, 0.0, end)
    points = _envelope([(at(s.t), volts(s.volts)) for s in scene.run.samples])
    canvas.path(points, "volt fine")
    _cuts(canvas, scene, at, top)
    _bars(canvas, scene.inferences, at, bottom + 24, 14.0, 0.0, end)
    if scene.window and len(scene.window) < len(scene.charges):
        first, last = scene.charges[scene.window[0]], scene.charges[scene.window[-1]]
        _bracket(canvas, at(first.start), at(last.end), bottom + 46)


def _bracket(canvas: Canvas, x1: float, x2: float, y: float) -> None:
    x2 = max(x2, x1 + 4)
    canvas.line(x1, y, x2, y, "level")
    canvas.line(x1, y - 4, x1, y, "level")
    canvas.line(x2, y - 4, x2, y, "level")
    middle = min(max((x1 + x2) / 2, LEFT + 40), _RIGHT_EDGE - 40)
    canvas.label(middle, y + 13, "closer look below", "soft", "middle")


def closer_look(canvas: Canvas, scene: Scene, y: float) -> None:
    """A few charges, each wide enough to see what became of its energy."""
    if not scene.window:
        return
    charges = [scene.charges[index] for index in scene.window]
    top = y + _CLOSER_ABOVE
    bottom = top + _CLOSER_PLOT
    at, begin, end = _squeezed(scene, charges)
    title = "A closer look" if len(charges) < len(scene.charges) else "Charge by charge"
    which = f"charges {charges[0].number} to {charges[-1].number} of {len(scene.charges)}"
    canvas.label(LEFT, y + 18, title, "title")
    offset = 122 if title == "A closer look" else 168
    canvas.label(LEFT + offset, y + 18, f"{which}; time without power is squeezed", "soft")
    _volt_axis(canvas, scene, top, bottom)
    volts = _volts(scene, top, bottom)
    _areas(canvas, scene, charges, at, volts, bottom, begin, end)
    samples = _between(scene.run.samples, begin, end)
    canvas.path([(at(s.t), volts(s.volts)) for s in samples], "volt")
    for previous, charge in zip([None, *charges[:-1]], charges, strict=True):
        _charge_marks(canvas, scene, charge, at, volts, bottom)
        off = previous.end if previous else begin
        if charge.start > off:
            _gap_label(canvas, at(off), at(charge.start), bottom, charge.start - off)
    _bars(canvas, scene.inferences, at, bottom + 44, 20.0, begin, end, charges)


def _charge_marks(
    canvas: Canvas, scene: Scene, charge: Charge, at: Map, volts: Map, bottom: float
) -> None:
    if len(charge.commits) <= _DOTS_MOST:
        radius = 3.2 if len(charge.commits) <= 10 else 2.3
        for t in charge.commits:
            canvas.circle(at(t), volts(_volts_at(scene.run.samples, t)), radius, "commit")
    else:
        for t in charge.commits:
            canvas.line(at(t), bottom - 8, at(t), bottom, "tick")
    if charge.brownout:
        y = volts(_volts_at(scene.run.samples, charge.end)) + 24
        canvas.bolt(at(charge.end), min(y, bottom - 4), _when(charge.end), 1.25)
    middle, wide = (at(charge.start) + at(charge.end)) / 2, at(charge.end) - at(charge.start)
    canvas.line(at(charge.start), bottom, at(charge.start), bottom + 5, "grid")
    canvas.line(at(charge.end), bottom, at(charge.end), bottom + 5, "grid")
    if wide > 30:
        canvas.label(middle, bottom + 16, _duration(charge.end - charge.start), "small", "middle")
    if wide > 70:
        canvas.label(middle, bottom + 31, f"from {charge.start:.3f} s", "soft", "middle")


def _gap_label(canvas: Canvas, x1: float, x2: float, bottom: float, span: float) -> None:
    if x2 - x1 > 34:
        canvas.label((x1 + x2) / 2, bottom - 8, _duration(span), "soft", "middle")


def _squeezed(scene: Scene, charges: Sequence[Charge]) -> tuple[Map, float, float]:
    """A time axis on which every stretch without power has the same small width."""
    before = [charge for charge in scene.charges if charge.end <= charges[0].start]
    begin = before[-1].end if before else 0.0
    knots, widths = [begin], []
    gap = min(_GAP_MOST, _PLOT * 0.5 / (len(charges) + 1))
    gaps = sum(1 for i, c in enumerate(charges) if c.start > (charges[i - 1].end if i else begin))
    on = sum(charge.end - charge.start for charge in charges) or 1e-9
    room = _PLOT - gap * gaps
    for charge in charges:
        if charge.start > knots[-1]:
            widths.append(gap)
            knots.append(charge.start)
        share = 0.5 / len(charges) + 0.5 * (charge.end - charge.start) / on
        widths.append(room * share)
        knots.append(max(charge.end, knots[-1]))
    starts = [LEFT]
    for width in widths:
        starts.append(starts[-1] + width)

    def at(t: float) -> float:
        index = min(max(bisect_right(knots, t) - 1, 0), len(knots) - 2)
        span = knots[index + 1] - knots[index]
        part = (t - knots[index]) / span if span > 0 else 0.0
        return starts[index] + min(1.0, max(0.0, part)) * (starts[index + 1] - starts[index])

    return at, begin, knots[-1]


def _volts(scene: Scene, top: float, bottom: float) -> Map:
    return lambda volts: bottom - (bottom - top) * volts / scene.top_v


def _volt_axis(canvas: Canvas, scene: Scene, top: float, bottom: float) -> None:
    volts, supply = _volts(scene, top, bottom), scene.run.supply
    canvas.line(LEFT, bottom, _RIGHT_EDGE, bottom, "grid")
    canvas.label(LEFT - 8, bottom + 4, "0 V", "soft", "end")
    for key, name in (("von", "on"), ("voff", "off")):
        if key in supply:
            y = volts(float(supply[key]))
            canvas.line(LEFT, y, _RIGHT_EDGE, y, "level")
            canvas.label(LEFT - 8, y + 4, f"{name} {supply[key]:g} V", "soft", "end")
    if "von" not in supply and scene.run.samples:
        highest = max(sample.volts for sample in scene.run.samples)
        canvas.label(LEFT - 8, volts(highest) + 4, f"{highest:.2f} V", "soft", "end")


def _time_axis(canvas: Canvas, end: float, at: Map, bottom: float) -> None:
    step = next((s for s in _steps() if end / s <= 10), end)
    unit, scale = ("ms", 1e3) if end < 1 else ("s", 1.0)
    index = 0
    while index * step <= end * 1.0001:
        x = at(index * step)
        canvas.line(x, bottom, x, bottom + 4, "grid")
        text = f"{index * step * scale:g}" + (f" {unit}" if index == 0 else "")
        canvas.label(x, bottom + 16, text, "soft", "middle")
        index += 1


def _steps() -> list[float]:
    return [base * 10.0**power for power in range(-3, 6) for base in (1, 2, 5)]


def _areas(
    canvas: Canvas, scene: Scene, charges: Sequence[Charge], at: Map, volts: Map, bottom: float,
    begin: float, end: float,
) -> None:  # fmt: skip
    """The area under the voltage, by what its energy was spent on."""
    samples = scene.run.samples
    off = begin
    for charge in charges:
        _area(canvas, samples, off, charge.start, at, volts, bottom, "charge under")
        for phase in charge.phases:
            _area(canvas, samples, phase.start, phase.end, at, volts, bottom, phase.kind)
        off = charge.end
    _area(canvas, samples, off, end, at, volts, bottom, "charge under")


def _area(
    canvas: Canvas, samples: Sequence[Sample], start: float, end: float, at: Map, volts: Map,
    bottom: float, css: str,
) -> None:  # fmt: skip
    if end <= start:
        return
    if at(end) - at(start) < 1.0:
        y = volts(_volts_at(samples, start))
        canvas.rect(at(start), y, at(end) - at(start), bottom - y, css)
        return
    inside = [(at(s.t), volts(s.volts)) for s in _between(samples, start, end)]
    edges = [(at(t), volts(_volts_at(samples, t))) for t in (start, end)]
    canvas.path(_envelope([edges[0], *inside, edges[1]]), css, close_at=bottom)


def _between(samples: Sequence[Sample], start: float, end: float) -> Sequence[Sample]:
    first = bisect_left(samples, start, key=lambda s: s.t)
    last = bisect_right(samples, end, key=lambda s: s.t)
    return samples[first:last]


def _volts_at(samples: Sequence[Sample], t: float) -> float:
    """Voltage at a time, on the line between its neighbours."""
    index = bisect_left(samples, t, key=lambda s: s.t)
    if index == 0 or index == len(samples):
        return samples[min(index, len(samples) - 1)].volts if samples else 0.0
    a, b = samples[index - 1], samples[index]
    part = (t - a.t) / (b.t - a.t) if b.t > a.t else 1.0
    return a.volts + (b.volts - a.volts) * part


def _envelope(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most four points a pixel column: first, highest, lowest, last."""
    if len(points) < 4 * _PLOT:
        return points
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        columns.setdefault(int(point[0]), []).append(point)
    out: list[tuple[float, float]] = []
    for column in columns.values():
        low, high = min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])
        out += sorted({column[0], low, high, column[-1]})
    return out


def _cuts(canvas: Canvas, scene: Scene, at: Map, top: float) -> None:
    cuts = [charge.end for charge in scene.charges if charge.brownout]
    for t in cuts:
        if len(cuts) <= _BOLTS_MOST:
            canvas.bolt(at(t), top - 2, _when(t), 0.8)
        else:
            canvas.line(at(t), top - 9, at(t), top - 2, "cut")


def _bars(
    canvas: Canvas, inferences: Sequence[Inference], at: Map, y: float, height: float,
    begin: float, end: float, charges: Sequence[Charge] = (),
) -> None:  # fmt: skip
    """One bar an inference; paler where the board had no power."""
    for inference in inferences:
        start, stop = max(inference.start, begin), min(inference.end, end)
        if stop <= start:
            continue
        x, wide = at(start), max(at(stop) - at(start) - 1, 1.0)
        tip = _tip(inference)
        canvas.rect(x, y, wide, height, "through" if charges else "bar", tip, 3)
        widest = (x, wide) if not charges else (x, 0.0)
        for charge in charges:
            a, b = at(max(start, charge.start)), at(min(stop, charge.end))
            if min(stop, charge.end) > max(start, charge.start):
                canvas.rect(a, y, b - a, height, "bar", tip)
                widest = max(widest, (a, b - a), key=lambda part: part[1])
        _bar_label(canvas, inference, *widest, y + height - (height - 8) / 2)


def _bar_label(canvas: Canvas, inference: Inference, x: float, wide: float, y: float) -> None:
    result = f": {inference.result}" if inference.result else ""
    done = "" if inference.done else " (not finished)"
    shortest = inference.result or str(inference.order)
    for text in (f"inference {inference.order}{result}{done}", shortest):
        if wide > 6.6 * len(text) + 8:
            canvas.label(x + 6, y, text, "inbar")
            return


def _tip(inference: Inference) -> str:
    result = f", result {inference.result}" if inference.result else ""
    took = _duration(inference.end - inference.start)
    return (
        f"inference {inference.order} (id {inference.number}){result}: {took}, "
        f"{inference.brownouts} brown-outs, {inference.commits} commits"
    )


def _when(t: float) -> str:
    return f"brown-out at {t:.4f} s"


def _duration(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.2f} s" if value < 100 else (
        f"{value / 60:.1f} min"
    )  # fmt: skip
