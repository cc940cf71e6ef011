"""Static checks of the shipping C: gcc -fanalyzer and cppcheck. `python -m tests.static`.

What is left out stands in ANALYZER_OFF and CPPCHECK_OFF, with the reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.native import NATIVE

ANALYZER = ("gcc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O1", "-Wall", "-Wextra",
            "-Wconversion", "-Werror", "-fanalyzer", f"-I{NATIVE}", "-c",
            "-o", "/dev/null")  # fmt: skip
ANALYZER_OFF = {
    # Copies byte by byte, from flash into a struct: the analyzer gives up on the loop.
    "slots.c": ("-Wno-analyzer-use-of-uninitialized-value",),
}
CPPCHECK = ("cppcheck", "-q", "--std=c99", "--enable=warning,performance,portability",
            "--error-exitcode=1", "--suppress=missingIncludeSystem", f"-I{NATIVE}")  # fmt: skip
CPPCHECK_OFF = (
    "shiftTooManyBitsSigned",  # >> of a negative number copies its sign: tests/unit/test_static.py
    "shiftNegativeLHS",  # the same
    "ctuuninitvar:*/blob.c",  # a struct is filled field by field before it is handed on
)


def sources() -> list[Path]:
    """The C that needs no MicroPython."""
    found = [*NATIVE.glob("*.c"), *NATIVE.glob("kernels/*/*.c")]
    return sorted(path for path in found if not path.name.startswith("bind_"))


def analyzed(path: Path) -> str:
    """What gcc -fanalyzer finds; "" for nothing."""
    command = [*ANALYZER, *ANALYZER_OFF.get(path.name, ()), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def checked(paths: list[Path]) -> str:
    """What cppcheck finds; "" for nothing."""
    off = [f"--suppress={name}" for name in CPPCHECK_OFF]
    done = subprocess.run(
        [*CPPCHECK, *off, *map(str, paths)], capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


def main() -> int:
    missing = [tool for tool in ("gcc", "cppcheck") if shutil.which(tool) is None]
    for tool in missing:
        print(f"{tool} is not installed, its checks are left out: apt install {tool}")
    found = ""
    if "gcc" not in missing:
        with ThreadPoolExecutor(2) as pool:
            found += "".join(pool.map(analyzed, sources()))
    if "cppcheck" not in missing:
        found += checked(sources())
    print(found or f"{len(sources())} C files: nothing found")
    return int(bool(found or missing))


if __name__ == "__main__":
    sys.exit(main())
