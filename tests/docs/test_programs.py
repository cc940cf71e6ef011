"""Programs and messages on the pages are those that there are.

The Python on README and the pages is Python, and calls only what a board's relume has.
"""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.test_commands import SOURCES
from tests.shared import ROOT

FENCED = re.compile(r"^( *)```python\n(.*?)^ *```$", re.M | re.S)
TYPED = ast.parse((ROOT / "firmware/typings/relume/__init__.pyi").read_text("utf-8"))


def offered() -> set[str]:
    """The names of `import relume` on a board."""
    names = set()
    for node in TYPED.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(ast.unparse(node.target))
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname for one in node.names if one.asname}
    return names


def absent(source: str) -> set[str]:
    """Names of module relume that a program uses and a board has not. Errors: SyntaxError."""
    used = {
        node.attr for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "relume"
    }  # fmt: skip
    return used - offered()


PROGRAMS = [
    (f"{path.relative_to(ROOT)}:{n}", re.sub(f"^{indent}", "", source, flags=re.M))
    for path in SOURCES
    for n, (indent, source) in enumerate(FENCED.findall(path.read_text("utf-8")), 1)
]


@pytest.mark.parametrize("source", [text for _, text in PROGRAMS], ids=[n for n, _ in PROGRAMS])
def test_a_program_on_a_page_uses_what_there_is(source: str) -> None:
    assert not absent(source)


def test_there_are_programs_and_an_unknown_name_is_noticed() -> None:
    assert len(PROGRAMS) >= 6 and {"Model", "Store", "RUNNING", "load"} <= offered()
    assert absent("relume.Stoer()\nstore.commit()") == {"Stoer"}


def test_the_messages_that_a_stuck_board_gives_are_told_as_they_are() -> None:
    page = (ROOT / "docs/howto/recover.md").read_text("utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.M)
    sources = [ROOT / "native_modules/relume/status.c", *(ROOT / "host/relume/link").glob("*.py")]
    said = "\n".join(path.read_text("utf-8") for path in sources)
    assert len(quoted) >= 4 and all(text in said for text in quoted)
