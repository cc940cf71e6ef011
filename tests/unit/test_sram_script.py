"""The linker script that puts what runs before the first tile into SRAM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.native import ROOT

TOOL = ROOT / "firmware" / "tools" / "sram.py"
SCRIPT = """SECTIONS {
    .text : {
        *(.init)
        *(EXCLUDE_FILE(*libc.a: *vm.c.obj) .text*)
        *(EXCLUDE_FILE(*crtend?.o *crtend.o) .ctors)
    } > FLASH
    .rodata : { *(EXCLUDE_FILE(*libc.a:) .rodata*) } > FLASH
    .data : { *(.time_critical*) *(.text*) *(.rodata*) } > RAM AT> FLASH
}
"""


def made(folder: Path, script: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The tool's run with two files, and its target."""
    source, target = folder / "memmap.ld", folder / "made.ld"
    source.write_text(script, encoding="utf-8")
    command = [sys.executable, str(TOOL), str(source), str(target), "blob*.c", "slots.c"]
    return subprocess.run(command, capture_output=True, text=True, check=False), target


def test_code_and_constants_of_the_files_are_kept_out_of_flash(tmp_path: Path) -> None:
    done, target = made(tmp_path, SCRIPT)
    assert done.returncode == 0
    more = "*/blob*.c.o* */slots.c.o*"
    expected = SCRIPT.replace("*vm.c.obj)", f"*vm.c.obj {more})")
    assert target.read_text("utf-8") == expected.replace("*libc.a:)", f"*libc.a: {more})")


def test_a_script_that_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    _, target = made(tmp_path, SCRIPT)
    before = target.stat().st_mtime_ns
    made(tmp_path, SCRIPT)
    assert target.stat().st_mtime_ns == before


def test_another_script_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    done, target = made(tmp_path, SCRIPT.replace("EXCLUDE_FILE(*libc.a:) .rodata*", ".rodata*"))
    assert done.returncode == 1 and not target.exists()
    assert done.stderr.startswith("firmware: 1 rules keep code or constants out of flash")
