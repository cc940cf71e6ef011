"""A CRC of no bytes, which may lie nowhere, does no arithmetic with a null pointer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz import build
from tests.native import NATIVE

PROGRAM = """
#include "crc32.h"
int main(void) { return rl_crc32(rl_crc32(0, 0, 0), 0, 0) != 0; }
"""


def test_the_crc_of_nothing_is_zero_and_defined(tmp_path: Path) -> None:
    clang = build.clang()
    if clang is None:
        pytest.skip("clang is not installed: only its sanitizer sees this")
    (tmp_path / "main.c").write_text(PROGRAM)
    flags = ["-g", "-fsanitize=undefined", "-fno-sanitize-recover=all", f"-I{NATIVE}"]
    sources = [str(tmp_path / "main.c"), str(NATIVE / "crc32.c")]
    program = tmp_path / "program"
    subprocess.run([clang.command, *flags, *sources, "-o", str(program)], check=True)
    subprocess.run([str(program)], check=True)
