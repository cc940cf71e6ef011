"""Every command of README, of the pages and of --help runs, and prints what the page shows.

Blocks that are marked are not run; each is a test that is skipped with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from relume.usage import USAGE
from relume_boards.virtual.spec import default_firmware

from tests.docs.blocks import NEVER, Block, Command, blocks, missing
from tests.docs.scratch import Failure, Scratch
from tests.shared import ROOT

FIRST = ("README.md", "--help", "docs/tutorials/first-inference.md")
LONG = ("convert", "demo", "calibrate")
SOURCES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = {
    name: blocks(path, name) for path in SOURCES for name in [str(path.relative_to(ROOT))]
}
PAGES["--help"] = [
    Block("--help", n, (Command(line),), "long" if verb in LONG else None, "--help of a long one")
    for verb, usage in sorted(USAGE.items(), key=lambda item: item[0] == "owner")  # no others then
    for n, line in enumerate(usage.examples)
]
NEVER_RUN = [one for found in PAGES.values() for one in found if one.mark in NEVER]


def pages() -> list[Any]:
    """The pages with commands; those on the emulated board are heavy, but for the first ones."""
    found = []
    for page, all_blocks in PAGES.items():
        run = [one for one in all_blocks if one.mark not in NEVER]
        board = any(one.needs_board for one in run)
        marks = [pytest.mark.emulated] if board else []
        if (board and page not in FIRST) or all(one.mark == "long" for one in run):
            marks.append(pytest.mark.heavy)
        if run:
            found.append(pytest.param(page, marks=marks))
    return found


@pytest.mark.parametrize("page", pages())
def test_the_commands_of_a_page_run(
    page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("ai_edge_litert")
    heavy = request.config.getoption("--heavy")
    run = [one for one in PAGES[page] if one.mark is None or (one.mark == "long" and heavy)]
    if any("relume completion" in one.text for block in run for one in block.commands):
        pytest.importorskip("shtab", reason="shtab is not installed: make setup")
    if any(one.needs_board for one in run) and not default_firmware("RPI_PICO").is_file():
        pytest.skip("no firmware image: make firmware")
    scratch = Scratch(tmp_path)
    try:
        for block in run:
            if absent := scratch.absent(block):
                print(f"{block.name}: not run, {absent} is not here")
                continue
            scratch.run(block)
    finally:
        scratch.close()


@pytest.mark.parametrize("block", NEVER_RUN, ids=lambda block: block.name)
def test_what_is_not_run_says_why(block: Block) -> None:
    pytest.skip(f"{block.mark}: {block.reason}")


def test_most_blocks_are_run() -> None:
    whole = sum(map(len, PAGES.values()))
    assert whole >= 3 * len(NEVER_RUN), f"{len(NEVER_RUN)} of {whole} blocks are never run"


def test_a_shown_line_must_be_printed_in_order_with_its_numbers() -> None:
    printed = "fits  flash 12 of 40\nsmallest 220 uF\n"
    assert missing(["fits flash 12 of ...", "smallest   220 uF"], printed) is None
    assert missing(["smallest 100 uF"], printed) == "smallest 100 uF"
    assert missing(["smallest 220 uF", "fits ..."], printed) == "fits ..."


def test_a_command_that_fails_or_shows_other_numbers_fails_its_page(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    scratch = Scratch(tmp_path)
    for text, shown in (("relume check absent.tflite", ()), ("echo 12", ("13",))):
        with pytest.raises(Failure, match=r"x\.md:3: "):
            scratch.run(Block("x.md", 3, (Command(text, shown),)))


def test_an_unknown_mark_and_one_without_a_reason_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    for mark in ("never: tired", "board:"):
        page.write_text(f"<!-- {mark} -->\n\n```sh\ntrue\n```\n")
        with pytest.raises(ValueError, match=r"x\.md:3: .*a mark is one of board"):
            blocks(page, "x.md")
