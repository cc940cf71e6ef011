"""Every branch of checker, frame decoder, store, slots and recovery is taken by a test, or
open_branches.md says why none can.

SECURITY B1, F1, F3, S3.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import coverage, gcov
from tests.native import NATIVE

LEAST_OF_OTHERS = 0.75

PROGRAM = """
static int both(int a, int b)
{
    return a && b;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 5) {
        return 1;
    }
    return both(argc, argc > 3);
}
"""


def needs_gcov() -> None:
    if shutil.which("gcov") is None or shutil.which("cc") is None:
        pytest.skip("gcc with gcov is not installed")


def counted(folder: Path, *runs: tuple[str, ...]) -> gcov.Source:
    """The program's counts after these runs, built in two places."""
    source = folder / "program.c"
    source.write_text(PROGRAM, encoding="utf-8")
    for number, arguments in enumerate(runs):
        place = folder / f"{number % 2}"
        place.mkdir(exist_ok=True)
        program = place / "program"
        if not program.exists():
            command = ["cc", *gcov.FLAGS, "-c", str(source), "-o", str(place / "program.o")]
            subprocess.run(command, check=True)
            command = ["cc", *gcov.FLAGS, str(place / "program.o"), "-o", str(program)]
            subprocess.run(command, check=True)
        subprocess.run([str(program), *arguments], check=False)
    (found,) = gcov.read(folder, [source])
    return found


def test_branches_that_no_run_takes_are_named(tmp_path: Path) -> None:
    needs_gcov()
    found = counted(tmp_path, ())
    assert found.open() == {
        "program.c both: `return a && b;`": (2, 4),
        "program.c main: `if (argc > 5) {`": (1, 10),
    }
    assert found.taken == (3, 6) and found.run == (5, 6)


def test_what_programs_take_is_added_up(tmp_path: Path) -> None:
    needs_gcov()
    found = counted(tmp_path, (), tuple("abc"), tuple("abcdef"))
    assert found.open() == {"program.c both: `return a && b;`": (1, 4)}, "a is never 0"


def test_every_explanation_names_a_line_and_has_a_reason() -> None:
    text = coverage.EXPLAINED.read_text(encoding="utf-8")
    assert len(coverage.explained()) == sum(line.startswith("- ") for line in text.splitlines())
    assert coverage.unfounded() == []


def test_an_explanation_counts_for_its_line_and_a_wrong_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = gcov.Source(NATIVE / "crc32.c", {4: gcov.Line("rl_crc32", 1, [1, 0])})
    line = source.path.read_text(encoding="utf-8").splitlines()[3].strip()
    said = tmp_path / "open.md"
    monkeypatch.setattr(coverage, "EXPLAINED", said)
    entry = f"- crc32.c rl_crc32: `{line}`"
    for text, open_now, gone in (
        ("", 1, 0), (f"## A reason that is long enough\n\n{entry} 1\n", 0, 0),
        (f"## A reason that is long enough\n\n{entry} 2\n", 0, 1),
    ):  # fmt: skip
        said.write_text(text, encoding="utf-8")
        assert len(coverage.unexplained([source])) == open_now
        assert len(coverage.stale([source])) == gone
    for wrong in (f"## Short\n\n{entry} 1\n", "## A reason that is long\n\n"
                  "- crc32.c rl_crc32: `no such line` 1\n"):  # fmt: skip
        said.write_text(wrong, encoding="utf-8")
        assert len(coverage.unfounded()) == 1


@pytest.mark.heavy
def test_every_branch_is_taken_or_explained() -> None:
    needs_gcov()
    sources = coverage.measure()
    assert coverage.unexplained(sources) == []
    assert coverage.stale(sources) == []
    others = set(coverage.files(coverage.OTHERS))
    assert coverage.share([one for one in sources if one.path in others]) >= LEAST_OF_OTHERS
