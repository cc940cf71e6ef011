"""Mutation tests of the store and the session: every mistake is found, or survivors.md says why it
may stay.

SECURITY S1.
"""

from __future__ import annotations

import pytest

from tests.powercut.mutation import run, suite
from tests.powercut.mutation.mutants import SOURCES, Mutant, mutants
from tests.powercut.mutation.suite import EQUIVALENT, KILLED, SURVIVED, verdict
from tests.powercut.tally import LEVELS

BLOCK = 30
BLOCKS = [(name, at) for name in SOURCES for at in range(0, len(mutants(name)), BLOCK)]


def named(source: str, before: str, after: str) -> Mutant:
    """The one mutant that reads so."""
    found = [m for m in mutants(source) if (m.before, m.after) == (before, after)]
    assert len(found) == 1
    return found[0]


def test_mutants_differ_in_one_line_and_have_names_of_their_own() -> None:
    for source in SOURCES:
        made = mutants(source)
        assert len({mutant.name for mutant in made}) == len(made) > 30
        for mutant in made:
            assert mutant.before != mutant.after
            lines = mutant.text().split("\n")
            assert lines[mutant.line].strip() == mutant.after


def test_every_explained_survivor_is_a_mutant_and_has_a_reason() -> None:
    names = {mutant.name for source in SOURCES for mutant in mutants(source)}
    listed = run.explained()
    assert set(listed) <= names, f"no longer there: {sorted(set(listed) - names)}"
    assert all(len(why) > 20 for why in listed.values())


def test_a_mutant_is_killed_and_one_that_changes_no_code_is_told_apart() -> None:
    wrong = named("store_ring.c", "return here <= span;", "return here < span;")
    assert verdict(wrong) == KILLED
    same = named(
        "store_ring.c",
        "store->wear = count > store->wear ? count : store->wear;",
        "store->wear = count >= store->wear ? count : store->wear;",
    )
    assert verdict(same) == EQUIVALENT


def test_nothing_is_judged_by_a_suite_that_fails_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = named("store_ring.c", "return here <= span;", "return here < span;")
    monkeypatch.setattr(suite, "_fails", lambda *run: True)
    suite._sound.cache_clear()
    with pytest.raises(AssertionError, match="as it is fails"):
        verdict(wrong)
    suite._sound.cache_clear()


def test_a_change_of_any_test_of_the_suite_tries_survivors_again() -> None:
    files = {path.name for path in LEVELS["mutation suite"]()}
    assert {f"test_{name}.py" for name in suite._TESTS} <= files
    assert {name for near in suite._NEAR.values() for name in near} <= {*suite._TESTS}


@pytest.mark.heavy
@pytest.mark.parametrize(("source", "first"), BLOCKS)
def test_no_mutant_survives_unexplained(source: str, first: int) -> None:
    listed = run.explained()
    block = mutants(source)[first : first + BLOCK]
    alive = [mutant.name for mutant in block if run.judge(mutant) == SURVIVED]
    assert not [name for name in alive if name not in listed]
