"""docs/SECURITY.md and the tests name one another: no promise without a test, no stale name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.native import ROOT

TESTS = ROOT / "tests"
_ROW = re.compile(r"^\| ([A-Z]\d) \| (.+) \| (.+) \|$", re.M)
_CLAIM = re.compile(r"^SECURITY ([A-Z]\d(?:, [A-Z]\d)*)\.$", re.M)


def promised(text: str) -> dict[str, set[str]]:
    """Invariant -> its tests, from the table."""
    return {row[0]: set(re.findall(r"`([a-z]+/test_\w+)`", row[2])) for row in _ROW.findall(text)}


def claimed(folder: Path) -> dict[str, set[str]]:
    """Invariant -> test files whose docstring names it."""
    claims: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*/test_*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        for found in _CLAIM.findall(docstring):
            for number in found.split(", "):
                claims.setdefault(number, set()).add(f"{path.parent.name}/{path.stem}")
    return claims


def table() -> str:
    return (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")


def test_every_invariant_names_its_tests_and_they_name_it() -> None:
    assert len(promised(table())) >= 26
    assert promised(table()) == claimed(TESTS)


def test_every_named_test_is_there_and_tests() -> None:
    for number, names in promised(table()).items():
        assert names, number
        for name in names:
            assert "\ndef test_" in (TESTS / f"{name}.py").read_text(encoding="utf-8"), name


def test_each_invariant_stands_once() -> None:
    numbers = [row[0] for row in _ROW.findall(table())]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    "text",
    ["| B1 | holds | `unit/test_gone` |", "| Z9 | nobody tests this | `unit/test_stack` |",
     "| B1 | holds | by construction |"],
)  # fmt: skip
def test_a_stale_row_is_noticed(text: str) -> None:
    (number,) = promised(text)
    assert promised(text)[number] != claimed(TESTS).get(number, set())
