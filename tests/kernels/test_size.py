"""How much flash the engine, the kernels of one core and the blob checker take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shared import ROOT

COMPILER = "arm-none-eabi-gcc"
MOST = {"m0plus": 25_700, "m4": 24_580}  # bytes of code and constants


MODULE = 24_576  # of the native module, which leaves out what copies constants to SRAM


@pytest.mark.parametrize("core", MOST)
def test_native_code_stays_small(core: str, tmp_path: Path) -> None:
    assert bytes_of(core, tmp_path) <= MOST[core]


@pytest.mark.parametrize("core", MOST)
def test_the_native_module_s_code_stays_within_24_kb(core: str, tmp_path: Path) -> None:
    assert bytes_of(core, tmp_path, "MODULE=1") <= MODULE


def bytes_of(core: str, build: Path, *options: str) -> int:
    """Engine, kernels and checker of one core, texts left out."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed")
    folder = "native_modules/relume"
    command = ["make", "-s", "-C", folder, f"size-{core}", f"BUILD={build}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = {name: int(size) for size, name in (line.split(" ", 1) for line in
             done.stdout.splitlines())}  # fmt: skip
    total = sizes.pop(f"total {core}")
    assert sizes.pop("texts, in no native module") > 2000
    assert not any(name in sizes for name in ("status.c", "faults.c"))
    assert len(sizes) > 20 and sum(sizes.values()) == total
    return total
