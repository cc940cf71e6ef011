"""Recordings of a monitor: each fact comes back as it was, and nothing broken is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.errors import LinkError
from relume.link.messages import Event, EventKind, Hello, State, Status
from relume.watch.facts import (
    Fact,
    Line,
    Note,
    Output,
    Taken,
    from_json,
    head,
    read_recording,
    to_json,
)

u32 = st.integers(0, 0xFFFFFFFF)
states, kinds = st.sampled_from(State), st.sampled_from(EventKind)
whats = st.one_of(
    st.builds(Line, st.sampled_from(["open", "gone", "absent"]), st.text()),
    st.builds(Hello, *[u32] * 8, st.text(), st.text(), st.text()),
    st.builds(Status, states, *[u32] * 9),
    st.builds(Event, kinds, states, *[u32] * 5),
    st.builds(Output, u32, st.binary(max_size=40)),
    st.builds(Taken),
    st.builds(Note, st.text()),
)
facts = st.builds(Fact, st.integers(0, 10**9).map(lambda micros: micros / 1e6), whats)
EVENT = Event(EventKind.COMMITTED, State.RUNNING, 3300, 7, 2, 5, 900)


@settings(deadline=None)
@given(facts)
def test_a_fact_is_one_line_and_comes_back(fact: Fact) -> None:
    line = to_json(fact)
    assert "\n" not in line
    assert from_json(line) == fact


def test_a_line_says_what_it_is_in_words() -> None:
    line = json.loads(to_json(Fact(1.5, EVENT)))
    assert (line["kind"], line["event"], line["state"]) == ("event", "committed", "running")


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([head("a0", "2026-01-01 10:00:00+00:00"), *lines]) + "\n")
    return path


def test_a_recording_is_read_whole(tmp_path: Path) -> None:
    made = [Fact(0.0, Line("open")), Fact(2.0, EVENT)]
    path = written(tmp_path / "r.jsonl", *map(to_json, made))
    first, found = read_recording(path)
    assert first == {"port": "a0", "started": "2026-01-01 10:00:00+00:00"} and found == made


def test_a_kind_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", '{"t": 1, "kind": "weather"}', to_json(Fact(2.0, EVENT)))
    assert read_recording(path)[1] == [Fact(2.0, EVENT)]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    whole = to_json(Fact(2.0, EVENT))
    path.write_text("\n".join([head("a0", ""), whole, whole[:30]]))
    assert read_recording(path)[1] == [Fact(2.0, EVENT)]


GOOD = to_json(Fact(2.0, EVENT))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (GOOD[:-9], "not JSON"),
        ("[1]", "not a JSON object"),
        (GOOD.replace("committed", "lunch"), "event is missing or wrong"),
        (GOOD.replace('"tile": 2', '"tile": -2'), "tile is missing or wrong"),
        (GOOD.replace('"tile": 2', '"tile": 2.5'), "tile is missing or wrong"),
        (GOOD.replace('"tile": 2', '"tile": true'), "tile is missing or wrong"),
        (GOOD.replace('"t": 2.0', '"t": "soon"'), "t is not a time"),
        (GOOD.replace('"t": 2.0', '"t": NaN'), "t is not a time"),
        (GOOD.replace('"t": 2.0', '"t": 0.5'), "t runs backwards"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    assert line != GOOD
    path = written(tmp_path / "r.jsonl", to_json(Fact(1.0, EVENT)), line, GOOD)
    with pytest.raises(LinkError) as caught:
        read_recording(path)
    assert str(caught.value) == f"{path}, line 3: {why}"


@pytest.mark.parametrize("text", ["", "hello", "{}", '{"relume_monitor": "1"}', "[]"])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(LinkError, match="not a recording of relume monitor"):
        read_recording(path)


def test_another_version_and_an_absent_file_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with pytest.raises(LinkError, match="cannot be read"):
        read_recording(path)
    path.write_text('{"relume_monitor": 2}\n')
    with pytest.raises(LinkError, match="recorded in version 2, this relume reads 1"):
        read_recording(path)
