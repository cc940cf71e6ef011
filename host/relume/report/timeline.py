"""The picture of an emulated or watched run: one HTML page or SVG, nothing fetched from outside.

Two panels. The first shows the whole run on a true time axis. The second looks closer at a few
charges; there the time without power is squeezed, since charging takes most of any harvested run.
The area under the voltage is coloured by what the board did with that energy.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from relume.report.canvas import Canvas
from relume.report.panels import (
    LEFT,
    WIDTH,
    Scene,
    closer_look,
    closer_look_height,
    whole_run,
    whole_run_height,
)
from relume.report.phases import charges_of, inferences_of, window_of
from relume.ui import write_atomic

if TYPE_CHECKING:
    from relume_boards.virtual.record import Run

CLOSER_LOOK = 6
_LINE = 17.0

STYLE = """
.relume{--ink:#1b2430;--soft:#5c6773;--faint:#d9dee4;--paper:#fff;--volt:#1f5fd0;
--charge:#f3e3b5;--boot:#a78bda;--kept:#2f9e8f;--lost:#e8743b;--idle:#b9c2cc;--bolt:#c81e3a;
--bar:#31465f;font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;max-width:100%;
height:auto}
@media(prefers-color-scheme:dark){.relume{--ink:#e7ecf2;--soft:#9aa7b4;--faint:#333d49;
--paper:#12181f;--volt:#7fb0ff;--charge:#4a4127;--boot:#7d62b5;--kept:#2b8a7d;--lost:#d9632b;
--idle:#4a5561;--bolt:#ff5c73;--bar:#a9bfd8}}
.relume .page{fill:var(--paper)}.relume text{fill:var(--ink)}
.relume .title{font-size:15px;font-weight:600}.relume .soft{fill:var(--soft);font-size:11.5px}
.relume .small{font-size:11px}.relume .inbar{fill:var(--paper);font-size:11.5px;font-weight:600}
.relume .grid{stroke:var(--faint);stroke-width:1}
.relume .level{stroke:var(--soft);stroke-width:1;stroke-dasharray:5 4}
.relume .volt{fill:none;stroke:var(--volt);stroke-width:1.8;stroke-linejoin:round}
.relume .fine{stroke-width:1.2}
.relume .charge{fill:var(--charge)}.relume .boot{fill:var(--boot)}.relume .kept{fill:var(--kept)}
.relume .lost{fill:var(--lost)}.relume .idle{fill:var(--idle)}.relume .bar{fill:var(--bar)}
.relume .through{fill:var(--bar);opacity:.35}
.relume .under{opacity:.55}.relume .bolt{fill:var(--bolt)}
.relume .cut{stroke:var(--bolt);stroke-width:1}
.relume .commit{fill:var(--paper);stroke:var(--kept);stroke-width:1.6}
.relume .tick{stroke:var(--kept);stroke-width:1.4}
"""
_PAGE_STYLE = """
body{margin:0;background:#fff;color:#1b2430;font:15px/1.5 system-ui,-apple-system,"Segoe UI",
"DejaVu Sans",sans-serif}main{max-width:1200px;margin:0 auto;padding:28px 20px 40px}
h1{font-size:24px;margin:0 0 2px}p.lead{margin:0 0 18px;color:#5c6773}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin:0 0 20px}
.tile{border:1px solid #d9dee4;border-radius:8px;padding:6px 11px;min-width:76px}
.tile b{display:block;font-size:19px;line-height:1.3}.tile span{color:#5c6773;font-size:13px}
h2{font-size:15px;margin:26px 0 6px}dl{display:grid;grid-template-columns:max-content 1fr;
gap:2px 16px;margin:0;font-size:13px;color:#5c6773}dt{color:#1b2430}dd{margin:0}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#e7ecf2}.tile{border-color:#333d49}
p.lead,.tile span,dl{color:#9aa7b4}dt{color:#e7ecf2}}
"""


def write_timeline(run: Run, path: Path) -> None:
    """One self-contained HTML page. Errors: RelumeError if it cannot be written."""
    scene = _scene(run)
    tiles = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>'
        for what, value in figures(scene)
    )
    models = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in run.models.items()
    )
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>relume: {escape(run.board)}</title><style>{_PAGE_STYLE}</style></head>"
        "<body><main>"
        f"<h1>{escape(_headline(scene))}</h1><p class=lead>{escape(_lead(scene))}</p>"
        f"<div class=tiles>{tiles}</div>{_draw(scene, caption=False)}"
        f"<h2>Where the figures come from</h2><dl>{models}</dl></main></body></html>\n"
    )
    write_atomic(path, page.encode())


def write_timeline_svg(run: Run, path: Path) -> None:
    """The picture alone, with headline and caption inside. Errors: RelumeError."""
    write_atomic(path, _draw(_scene(run), caption=True).encode())


def _scene(run: Run) -> Scene:
    charges, inferences = charges_of(run), inferences_of(run)
    return Scene(run, charges, inferences, window_of(charges, inferences, CLOSER_LOOK))


def _headline(scene: Scene) -> str:
    done = [inference for inference in scene.inferences if inference.done]
    inside = sum(inference.brownouts for inference in done)
    if not done:
        return f"{scene.run.board}: {_count(len(scene.charges), 'charge')}, no inference finished"
    return f"{_count(len(done), 'inference')} finished, through {_count(inside, 'brown-out')}"


def _lead(scene: Scene) -> str:
    supply = scene.run.supply
    if supply.get("kind") == "watched":
        return f"{scene.run.board} at {supply['port']}, watched from {supply['started']} on"
    if supply.get("kind") != "harvest":
        return f"{scene.run.board}, emulated, on external power, seed {scene.run.seed}"
    return (
        f"{scene.run.board}, emulated: {supply['cap_f'] * 1e3:g} mF, on at {supply['von']:g} V, "
        f"off at {supply['voff']:g} V, harvest {supply['harvest']} "
        f"(mean {supply['mean_w'] * 1e3:.3g} mW), seed {scene.run.seed}"
    )


def figures(scene: Scene) -> list[tuple[str, str]]:
    """(what, value) of the figures that matter, as texts."""
    run, totals = scene.run, scene.run.totals
    kept = sum(charge.spent("kept") for charge in scene.charges)
    lost = sum(charge.spent("lost") for charge in scene.charges)
    powered = sum(charge.end - charge.start for charge in scene.charges)
    commits = sum(len(charge.commits) for charge in scene.charges)
    done = sum(1 for inference in scene.inferences if inference.done)
    watched = run.supply.get("kind") == "watched"
    made = [
        ("inferences done", str(done)),
        ("brown-outs", str(run.brownouts)),
        ("charges", str(len(scene.charges))),
        ("commits", str(commits)),
        ("time watched" if watched else "emulated time", seconds(run.end)),
        ("of it with power", seconds(powered)),
    ]
    if kept + lost > 0 and not watched:  # an ear does not know how long a charge went on
        made.append(("work executed again", f"{100 * lost / (kept + lost):.1f} %"))
    if "drawn_j" in totals:
        made.append(("energy drawn", joules(totals["drawn_j"])))
    if "cycles" in totals:
        made.append(("core cycles", f"{totals['cycles'] / 1e6:.1f} M"))
    return made


def seconds(value: float) -> str:
    """A duration with a sensible unit."""
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 100:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 6000 else f"{value / 3600:.3g} h"


def joules(value: float) -> str:
    """An energy with a sensible unit."""
    return f"{value:.3g} J" if value >= 1 else f"{value * 1e3:.3g} mJ"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _draw(scene: Scene, caption: bool) -> str:
    notes = _caption(scene) if caption else []
    head = 58.0 if caption else 8.0
    top = whole_run_height(scene)
    look = closer_look_height(scene)
    height = head + 34 + top + look + _LINE * len(notes) + (16 if notes else 6)
    canvas = Canvas(WIDTH, height, _headline(scene))
    canvas.rect(0, 0, WIDTH, height, "page")
    if caption:
        canvas.label(LEFT, 26, _headline(scene), "title")
        canvas.label(LEFT, 46, _lead(scene), "soft")
    _legend(canvas, head + 12)
    whole_run(canvas, scene, head + 34)
    closer_look(canvas, scene, head + 34 + top)
    for index, text in enumerate(notes):
        canvas.label(LEFT, head + 44 + top + look + _LINE * index, text, "soft")
    return canvas.text(STYLE)


def _legend(canvas: Canvas, y: float) -> None:
    x = LEFT
    entries = (
        ("charge under", "no power, charging"), ("boot", "boot and restore"),
        ("kept", "work kept by a commit"), ("lost", "work lost, executed again"),
        ("idle", "waiting"),
    )  # fmt: skip
    for css, text in entries:
        canvas.rect(x, y - 9, 14, 11, css, radius=2)
        canvas.label(x + 19, y, text, "small")
        x += 31 + 6.3 * len(text)
    canvas.line(x, y - 4, x + 18, y - 4, "volt")
    canvas.label(x + 23, y, "capacitor voltage", "small")
    x += 143
    canvas.bolt(x + 4, y + 3, size=0.9)
    canvas.label(x + 14, y, "brown-out", "small")
    x += 82
    canvas.circle(x + 4, y - 4, 3.2, "commit")
    canvas.label(x + 13, y, "commit", "small")


def _caption(scene: Scene) -> list[str]:
    """Lines under the stand-alone picture: the figures, then the models behind them."""
    facts = "; ".join(f"{what}: {value}" for what, value in figures(scene))
    models = [f"{name}: {text}" for name, text in scene.run.models.items()]
    return [*_wrapped(facts), *_wrapped("Models. " + "; ".join(models))]


def _wrapped(text: str, most: int = 165) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) + 1 > most:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines
