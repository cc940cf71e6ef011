"""What a monitor makes of what it heard: counts, power, page and panel.

SECURITY W1.
"""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from relume.link.messages import Event, EventKind, Hello, State, Status
from relume.report.phases import charges_of, inferences_of
from relume.watch.facts import Fact, Line, Note, Output, Taken, What
from relume.watch.page import as_run, write_page
from relume.watch.view import Known, answer_of, fact_line, panel, printable, rows_of
from relume.watch.watched import Watched

HELLO = Hello(1, 1, 0, 1, 262144, 1 << 20, 0, 0xABC, "RPI_PICO", "0.1.0", "net")


def event(kind: EventKind, tile: int, *, mv: int = 4000, record: int = 1, ms: float = 0) -> Event:
    state = State.DONE if kind == EventKind.DONE else State.RUNNING
    return Event(kind, state, mv, 7, tile, record, int(ms * 1e3))


def status(**changes: int | State) -> Status:
    made = Status(State.RUNNING, 0, 0xABC, 7, 3, 8, 1_000_000, 2, 4096, 1)
    return replace(made, **changes)  # type: ignore[arg-type]


def watched(*what: tuple[float, What]) -> Watched:
    state = Watched()
    for t, one in what:
        state.take(Fact(t, one))
    return state


# Two charges of one inference on a line that goes with the power: the input's commit, two more, a
# cut, a resume that commits nothing, a cut, a resume to the end.
STORY: list[tuple[float, What]] = [
    (0.0, Line("open")), (0.1, HELLO), (1.0, event(EventKind.COMMITTED, 0, mv=5000, ms=900)),
    (1.2, event(EventKind.COMMITTED, 2, mv=4000, record=2, ms=1100)),
    (1.5, Line("gone")), (1.6, Line("absent", "no such port")),
    (9.9, Line("open")), (10.0, event(EventKind.RESUMED, 2, mv=4900, record=2, ms=50)),
    (10.4, Line("gone")),
    (19.9, Line("open")), (20.0, event(EventKind.RESUMED, 2, mv=4900, record=2, ms=50)),
    (20.3, event(EventKind.COMMITTED, 8, mv=3000, record=3, ms=350)),
    (20.3, event(EventKind.DONE, 8, mv=3000, record=3, ms=351)),
    (20.5, status(state=State.DONE, tile=8, commits=3, brownouts=2)),
    (20.6, Output(7, bytes([250, 9, 3]))),
]  # fmt: skip


def test_events_are_counted_where_the_board_has_not_been_asked() -> None:
    one = watched(*STORY[:12]).inference
    assert (one.commits, one.brownouts, one.exact, one.tile) == (3, 2, True, 8)


def test_attempts_are_turn_ons_since_the_newest_commit() -> None:
    assert watched(*STORY[:8]).inference.attempts == 1
    assert watched(*STORY[:11]).inference.attempts == 2
    assert watched(*STORY[:12]).inference.attempts == 0


def test_an_inference_that_was_under_way_is_counted_from_then_on() -> None:
    state = watched(*STORY[3:8])
    assert not state.inference.exact
    assert "at least 1 commit, at least 1 brown-out" in dict(rows_of(state, Known("a0")))["so far"]


def test_what_the_board_says_of_itself_replaces_what_was_counted() -> None:
    one = watched(*STORY[3:8], (11.0, status(commits=40, brownouts=9))).inference
    assert (one.commits, one.brownouts, one.exact) == (40, 9, True)


def test_the_result_is_counted_once() -> None:
    state = watched(*STORY, (21.0, status(state=State.DONE, tile=8, commits=3)), (22.0, Taken()))
    assert state.finished == 1 and state.cycles == 1_000_000
    assert state.inference.state == State.IDLE


def test_an_end_counts_when_the_begin_was_left_out() -> None:
    """A board's line that is busy is told of no commit (SPEC 6)."""
    assert watched(*STORY[:2], *STORY[-3:]).finished == 1
    assert watched(*STORY[:2], *STORY[-2:]).finished == 0, "it may have ended long ago"


def test_power_is_off_while_the_line_is_gone() -> None:
    state = watched(*STORY)
    assert [(round(p.t, 2), p.on) for p in state.changes] == [
        (0.1, True), (1.5, False), (9.95, True), (10.4, False), (19.95, True),
    ]  # fmt: skip
    assert state.brownouts == 2 and state.power == "on" and state.volts == 3.0


def test_on_a_line_that_stays_open_a_younger_clock_shows_the_cut() -> None:
    state = watched(
        (0.0, Line("open")), (1.0, event(EventKind.COMMITTED, 0, ms=900)),
        (9.0, event(EventKind.RESUMED, 0, ms=20)),
    )  # fmt: skip
    assert [(round(p.t, 2), p.on) for p in state.changes] == [
        (0.1, True), (1.0, False), (8.98, True)  # off just behind the last word
    ]  # fmt: skip


def test_a_soft_reset_is_no_brown_out() -> None:
    state = watched((1.0, event(EventKind.COMMITTED, 0, ms=900)),
                    (2.0, event(EventKind.BOOTED, 0, ms=1900)))  # fmt: skip
    assert state.brownouts == 0 and state.power == "on"


def test_boots_that_tell_the_same_clock_are_as_many_charges() -> None:
    boots = [(float(t), event(EventKind.BOOTED, 0, ms=22 + t % 2)) for t in range(1, 6)]
    assert watched(*boots).brownouts == 4


def test_an_interpreter_that_takes_over_is_no_brown_out() -> None:
    state = watched((1.0, event(EventKind.RESUMED, 2, ms=10)),
                    (1.2, event(EventKind.COMMITTED, 3, ms=40, record=2)),
                    (1.4, event(EventKind.RESUMED, 3, ms=60, record=2)))  # fmt: skip
    assert state.brownouts == 0 and state.inference.brownouts == 1


def test_a_resume_counts_once_also_when_an_answer_comes_before_it() -> None:
    state = watched(*STORY[:5], (3.0, Line("open")), (3.1, HELLO), *STORY[7:8])
    assert state.inference.brownouts == 1 and state.brownouts == 1


def test_no_voltage_is_shown_of_a_board_that_is_off_or_just_came_back() -> None:
    assert watched(*STORY[:5]).volts is None
    back: list[tuple[float, What]] = [(2.0, Line("gone")), (3.0, Line("open")), (3.1, HELLO)]
    assert watched(*STORY[:4], *back).volts is None


def test_rows_say_what_is_known() -> None:
    rows = dict(rows_of(watched(*STORY), Known("a0", labels=["no", "yes"])))
    assert rows["board"] == "RPI_PICO, firmware 0.1.0, at a0"
    assert rows["model"] == "net (00000abc), commits to FRAM"
    assert rows["inference"] == "00000007 done, tile 8 of 8"
    assert rows["so far"] == "3 commits, 2 brown-outs"
    assert rows["finished"] == "1 seen; last result: yes (9) (00000007)"
    # 1 M cycles at 125 MHz are 8 ms of 82.5 mW
    assert rows["work"] == "1.00 M cycles that counted, 4,096 bytes to NVM, about 0.66 mJ"


def test_a_board_without_power_is_waited_for() -> None:
    state = watched(*STORY[:6])
    state.now = 61.5
    assert dict(rows_of(state, Known("a0")))["power"] == (
        "board is off, waiting for 60 s, 1 brown-out seen: no such port"
    )


def test_a_board_of_no_profile_has_no_estimate_of_energy() -> None:
    state = watched(*STORY)
    state.hello = replace(HELLO, board="unix")
    assert "mJ" not in dict(rows_of(state, Known("a0")))["work"]


@pytest.mark.parametrize(("data", "text"), [(b"\x80\x7f", "class 1 (127)"), (b"\x80", "l (-128)")])
def test_the_answer_is_the_largest_int8(data: bytes, text: str) -> None:
    assert answer_of(data, ["l"]) == text


def test_a_terminal_is_shown_nothing_that_it_acts_on() -> None:
    hostile = "\x1b[2J\x07[red]boo\r\n"
    state = watched(*STORY, (21.0, Note(hostile)))
    state.hello = replace(HELLO, board=hostile, model_name=hostile, firmware=hostile)
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO(), force_terminal=True)
    console.print(panel(state, Known("a0", labels=[hostile, hostile, hostile])))
    text = console.export_text()
    assert "[red]boo" in text and "\x1b" not in text and "\x07" not in text
    assert printable(hostile) in fact_line(Fact(1.0, Note(hostile)))


def test_the_page_shows_charges_and_the_inference() -> None:
    run = as_run(watched(*STORY), "a0", "2026-01-01")
    assert [(round(c.start, 2), round(c.end, 2), c.brownout) for c in charges_of(run)] == [
        (0.1, 1.5, True), (9.95, 10.4, True), (19.95, 20.6, False),
    ]  # fmt: skip
    (inference,) = inferences_of(run)
    assert (inference.done, inference.brownouts, inference.result) == (True, 2, "class 1 (9)")


def test_the_page_stands_alone_and_names_where_and_when(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(watched(*STORY), "<a0>", "2026-01-01 10:00:00", path)
    page = path.read_text()
    assert "RPI_PICO at &lt;a0&gt;, watched from 2026-01-01 10:00:00 on" in page
    assert "5.00 V" in page and "emulated" not in page.split("</style>")[-1]
    assert not re.search(r'(src|href)="', page)


def test_a_cut_right_behind_the_first_commit_is_inside_the_inference() -> None:
    state = watched(
        (1.0, event(EventKind.COMMITTED, 0, ms=900)), (9.0, event(EventKind.RESUMED, 0, ms=20)),
        (9.5, event(EventKind.DONE, 8, ms=520)),
    )  # fmt: skip
    assert [one.brownouts for one in inferences_of(as_run(state, "a0", ""))] == [1]


def test_a_page_of_nothing_is_a_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(Watched(), "a0", "", path)
    assert "no inference finished" in path.read_text()
