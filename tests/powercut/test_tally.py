"""Counts are kept whatever cuts the run that makes them, and an id names one cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.powercut import cases, harness, replay, tally
from tests.powercut.cases import Case, parse
from tests.powercut.tally import Tally
from tests.powercut.test_seeded_faults import BYTES_FAULTS


def test_counts_of_all_shards_add_up(tmp_path: Path) -> None:
    one, other = (Tally("operation", tmp_path, "feed") for _ in range(2))
    one.add("a", {"cuts": 3})
    other.add("b", {"cuts": 4})
    one.add("a", {"cuts": 3})  # done by two shards: counted once
    assert one.total() == other.total() == {"cases": 2, "cuts": 7}


@given(st.integers(0, 200))
@settings(deadline=None)
def test_a_file_cut_anywhere_loses_no_whole_line_and_takes_more(at: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        kept = Tally("operation", Path(folder), "feed")
        for number in range(3):
            kept.add(f"case {number}", {"cuts": number})
        whole = kept.path.read_bytes()
        kept.path.write_bytes(whole[:at])
        before = whole[:at].count(b"}}")
        kept.add("more", {"cuts": 9})
        assert len(kept.done()) == before + 1
        assert kept.done()["more"] == {"cuts": 9}


def test_a_changed_source_begins_a_new_count(tmp_path: Path) -> None:
    Tally("operation", tmp_path, "feed").add("a", {"cuts": 3})
    assert Tally("operation", tmp_path, "beef").total() == {"cases": 0}


def test_each_source_that_the_store_is_made_of_is_in_the_hash() -> None:
    names = {path.name for path in tally.LEVELS["operation"]()}
    assert {*harness.STORE, "store.h", "nvm.h", "bytes.h", "life.c", "cuts.c"} <= names


def test_a_case_that_failed_is_not_noted(tmp_path: Path) -> None:
    kept = Tally("operation", tmp_path, "feed")

    def fails() -> dict[str, int]:
        raise AssertionError

    with pytest.raises(AssertionError):
        kept.once("a", fails)
    assert kept.done() == {}
    assert kept.once("a", lambda: {"cuts": 1}) == kept.once("a", fails) == {"cuts": 1}


def test_every_case_has_an_id_of_its_own_that_names_it() -> None:
    families = cases.OPERATION + cases.CONSECUTIVE
    made = [case for _, batch in cases.batches(families) for case in batch]
    assert len({case.name for case in made}) == len(made) > 2000
    assert all(parse(case.name) == (case, "") for case in made)


@pytest.mark.parametrize("text", ["", "1", "1//x", "1/depth/fram", "1/real=1/fram", "1/a=x/file"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
    assert replay.main([text]) == 2


def test_an_id_replays_its_cut_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    binary = harness.faulty_program(BYTES_FAULTS[0])
    case = Case(0, (), (("seeds", 4),), "fram")
    with pytest.raises(AssertionError, match="id: ") as failed:
        case.run(binary)
    cut = str(failed.value).rsplit("id: ", 1)[1]
    assert replay.replay(cut)[0] == 0, "the shipping store fails"
    monkeypatch.setattr(harness, "program", lambda: binary)
    code, said = replay.replay(cut)
    assert code == 1 and cut.endswith(said.rsplit("fram", 1)[1].strip())
