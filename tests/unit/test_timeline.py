"""The timeline picture: what it reads out of a run, and that the page stands alone."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from relume.report.phases import charges_of, inferences_of, window_of
from relume.report.timeline import seconds, write_timeline, write_timeline_svg
from relume_boards.virtual.record import BoardEvent, PowerChange, Run, Sample, VoltageLog

SVG = "{http://www.w3.org/2000/svg}"


def event(t: float, kind: str, inference: int, tile: int = 0) -> BoardEvent:
    state = 2 if kind == "done" else 1
    return BoardEvent(t, kind, state, 5000, inference, tile, 0, 0)


def harvested(charges: int = 3, every: float = 10.0) -> Run:
    """Charges of 1 s: boot 0.2 s, commits at 0.4 and 0.7 s, then 0.3 s that the cut takes.

    One inference takes all of them and is done in the last, 0.8 s after its turn-on.
    """
    run = Run(board="RPI_PICO", models={"cycles": "a table"}, seed=3, results={"7": "digit 4"})
    run.supply = {
        "kind": "harvest", "cap_f": 1e-3, "von": 5.0, "voff": 1.8, "vmax": 5.5,
        "harvest": "constant 1 mW", "mean_w": 1e-3, "charge_j": 0.01,
    }  # fmt: skip
    log = VoltageLog(run.samples)
    log.add(0.0, 0.0)
    for number in range(charges):
        on = (number + 1) * every
        run.power.append(PowerChange(on, True, "charged", 5.0))
        log.add(on, 5.0, keep=True)
        for part in range(1, 10):
            log.add(on + part / 10, 5.0 - 0.32 * part)
        run.events.append(event(on + 0.2, "resumed" if number else "booted", 7))
        run.events.append(event(on + 0.4, "committed", 7, 2 * number))
        run.events.append(event(on + 0.7, "committed", 7, 2 * number + 1))
        if number == charges - 1:
            run.events.append(event(on + 0.8, "done", 7))
        run.power.append(PowerChange(on + 1, False, "brown-out", 1.8))
        log.add(on + 1, 1.8, keep=True)
    run.end = charges * every + 1
    run.totals = {"cycles": 1e6, "drawn_j": 0.03}
    return run


def test_time_is_split_into_boot_kept_lost_and_idle() -> None:
    first, second, last = charges_of(harvested())
    assert [phase.kind for phase in second.phases] == ["boot", "kept", "lost"]
    assert [second.spent(kind) for kind in ("boot", "kept", "lost")] == pytest.approx(
        [0.2, 0.5, 0.3]
    )
    assert first.spent("lost") == pytest.approx(0.3)
    assert last.spent("lost") == 0 and last.spent("idle") == pytest.approx(0.2)


def test_every_powered_second_belongs_to_exactly_one_phase() -> None:
    for charge in charges_of(harvested()):
        edges = [charge.start, *(phase.end for phase in charge.phases)]
        assert [phase.start for phase in charge.phases] == edges[:-1]
        assert edges[-1] == charge.end


def test_an_inference_counts_the_brownouts_between_its_ends() -> None:
    (inference,) = inferences_of(harvested(4))
    assert (inference.number, inference.done, inference.brownouts) == (7, True, 3)
    assert (inference.order, inference.commits, inference.result) == (1, 8, "digit 4")
    assert (inference.start, inference.end) == pytest.approx((10.4, 40.8))


def test_a_board_that_says_nothing_boots_for_as_long_as_a_boot_takes() -> None:
    run = harvested()
    run.events, run.boot_s = run.events[1:2], 0.15
    first, second, _ = charges_of(run)
    assert [(phase.kind, phase.end) for phase in first.phases] == [
        ("boot", pytest.approx(10.15)), ("idle", pytest.approx(10.4)), ("lost", 11.0),
    ]  # fmt: skip
    assert [phase.kind for phase in second.phases] == ["boot", "lost"]


def test_an_inference_that_never_ends_is_shown_as_unfinished() -> None:
    run = harvested()
    run.events = [item for item in run.events if item.kind != "done"]
    (inference,) = inferences_of(run)
    assert not inference.done and inference.end == run.end


def test_the_closer_look_goes_where_the_brownouts_are() -> None:
    run = harvested(30)
    charges, inferences = charges_of(run), inferences_of(run)
    assert window_of(charges, inferences, 6) == range(6)
    assert window_of(charges[:4], inferences, 6) == range(4)


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "timeline.html"
    write_timeline(harvested(), path)
    page = path.read_text()
    assert not re.findall(r"(?:src|href)\s*=|url\(|@import|<script", page)
    assert set(re.findall(r"https?://[^\"\s]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme:dark" in page
    assert "1 inference finished, through 2 brown-outs" in page
    assert "a table" in page


def test_the_picture_shows_every_brownout_commit_and_lost_stretch(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    write_timeline_svg(harvested(), path)
    root = ElementTree.parse(path).getroot()
    marks = [node.get("class") for node in root.iter() if node.get("class")]
    legend = 1
    assert marks.count("bolt") == 2 * 3 + legend
    assert marks.count("commit") == 7 + legend
    assert marks.count("lost") >= 2 * 2 + legend
    texts = [node.text or "" for node in root.iter(f"{SVG}text")]
    assert "inference 1: digit 4" in texts
    caption = " ".join(texts)
    assert "brown-outs: 3" in caption and "core cycles: 1.0 M" in caption


def test_nothing_is_drawn_outside_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    write_timeline_svg(harvested(12), path)
    root = ElementTree.parse(path).getroot()
    _, _, width, height = (float(part) for part in str(root.get("viewBox")).split())
    for node in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(str(node.get(key))) for key in ("x", "y", "width", "height"))
        assert x >= -0.01 and x + w <= width + 1 and y >= -0.01 and y + h <= height + 1


def test_a_long_run_stays_small_and_readable(tmp_path: Path) -> None:
    run = harvested(2000)
    path = tmp_path / "timeline.svg"
    write_timeline_svg(run, path)
    assert len(run.samples) < 13_000
    assert path.stat().st_size < 1_500_000
    marks = [n.get("class") for n in ElementTree.parse(path).getroot().iter()]
    assert marks.count("bolt") == 6 + 1
    assert marks.count("cut") == 2000


@pytest.mark.parametrize("power", [[], [PowerChange(0.0, True, "plugged", 5.0)]])
def test_a_run_with_no_events_or_no_power_still_gives_a_picture(
    power: list[PowerChange], tmp_path: Path
) -> None:
    run = Run(board="RPI_PICO", power=power, end=0.5, supply={"kind": "external"})
    run.samples = [Sample(0.0, 5.0)] if power else []
    write_timeline(run, tmp_path / "page.html")
    write_timeline_svg(run, tmp_path / "page.svg")
    ElementTree.parse(tmp_path / "page.svg")


def test_texts_from_outside_are_escaped(tmp_path: Path) -> None:
    run = harvested()
    run.results["7"] = "<script>alert(1)</script>"
    run.supply["harvest"] = "<b>&.csv"
    path = tmp_path / "page.html"
    write_timeline(run, path)
    assert "<script" not in path.read_text() and "<b>&.csv" not in path.read_text()


def test_a_run_survives_json() -> None:
    run = harvested()
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_thinned_samples_keep_every_turn_on_and_turn_off() -> None:
    run = harvested(2000)
    kept = {(sample.t, sample.volts) for sample in run.samples}
    tops = [(change.t, 5.0) for change in run.power if change.on]
    assert sum(1 for point in tops if point in kept) > 0.99 * len(tops)


def test_durations_have_sensible_units() -> None:
    assert [seconds(value) for value in (0.0123, 1.5, 90, 600, 7200)] == [
        "12.3 ms", "1.5 s", "90 s", "10 min", "2 h",
    ]  # fmt: skip
