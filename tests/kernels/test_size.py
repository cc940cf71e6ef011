"""How much flash the engine, the kernels of one core and the blob checker take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shared import ROOT

COMPILER = "arm-none-eabi-gcc"
MOST = {"m0plus": 25_700, "m4": 24_580}  # bytes of code and constants


@pytest.mark.parametrize("core", MOST)
def test_native_code_stays_small(core: str, tmp_path: Path) -> None:
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed")
    command = ["make", "-s", "-C", "native_modules/relume", f"size-{core}", f"BUILD={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = {name: int(size) for size, name in (line.split(" ", 1) for line in
             done.stdout.splitlines())}  # fmt: skip
    total = sizes.pop(f"total {core}")
    assert sizes.pop("texts, in no native module") > 2000
    assert not any(name in sizes for name in ("status.c", "faults.c"))
    assert len(sizes) > 20 and sum(sizes.values()) == total <= MOST[core]
