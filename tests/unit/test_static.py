"""Static checks find nothing in the shipping C, and find what is put there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import static

USED_AFTER_FREE = """
#include <stdlib.h>
int last(int n);
int last(int n)
{
    int *all = malloc((size_t)n * sizeof *all);
    if (all == NULL) {
        return 0;
    }
    all[0] = n;
    free(all);
    return all[0];
}
"""
OUT_OF_BOUNDS = "int five(void);\nint five(void)\n{\n    int a[4] = { 0 };\n    return a[4];\n}\n"


def needs(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


@pytest.mark.heavy
def test_the_analyzer_finds_nothing() -> None:
    needs("gcc")
    assert "".join(map(static.analyzed, static.sources())) == ""


@pytest.mark.heavy
def test_cppcheck_finds_nothing() -> None:
    needs("cppcheck")
    assert static.checked(static.sources()) == ""


def test_the_analyzer_finds_a_use_after_free(tmp_path: Path) -> None:
    needs("gcc")
    (tmp_path / "broken.c").write_text(USED_AFTER_FREE)
    assert "use-after-free" in static.analyzed(tmp_path / "broken.c")


def test_cppcheck_finds_an_index_that_is_too_large(tmp_path: Path) -> None:
    needs("cppcheck")
    (tmp_path / "broken.c").write_text(OUT_OF_BOUNDS)
    assert "arrayIndexOutOfBounds" in static.checked([tmp_path / "broken.c"])


@pytest.mark.parametrize("compiler", ["cc", "arm-none-eabi-gcc", "clang", "clang-14"])
def test_a_shift_to_the_right_copies_the_sign(compiler: str, tmp_path: Path) -> None:
    """C99 leaves that to the compiler; the kernels count on it."""
    needs(compiler)
    source = tmp_path / "shift.c"
    source.write_text("_Static_assert((-5 >> 1) == -3 && (-1 >> 31) == -1, \"\");\n")
    subprocess.run([compiler, "-fsyntax-only", str(source)], check=True)
