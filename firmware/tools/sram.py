"""Writes MicroPython's linker script with more code in SRAM: what runs before the first tile.

Code that runs once from flash costs a miss of its cache a word, 48 cycles; copy_rp2.c brings a
word in 16. Of the files named here all code and constants go where the script puts what it keeps
out of flash.

Usage: sram.py SCRIPT.ld TARGET.ld FILE ...   (FILE without its folder and .o, * for any text)
"""

import re
import sys
from pathlib import Path

KEPT_OUT = re.compile(r"(EXCLUDE_FILE\([^)]*)(\)\s*\.(?:text|rodata)\*)")


def with_more(script: str, files: list[str]) -> str:
    """The script, the files kept out of flash with those that it keeps out."""
    names = "".join(f" */{name}.o*" for name in files)
    made, count = KEPT_OUT.subn(rf"\g<1>{names}\g<2>", script)
    if count != 2:
        sys.exit(
            f"firmware: {count} rules keep code or constants out of flash in this MicroPython's"
            " linker script, not 2: build with 1.25, or leave RELUME_EARLY out of board_rp2.cmake"
        )
    return made


def main() -> None:
    """Writes the target if it differs, so that nothing is linked for nothing."""
    if len(sys.argv) < 4:
        sys.exit("usage: sram.py SCRIPT.ld TARGET.ld FILE ...")
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    made = with_more(source.read_text("utf-8"), sys.argv[3:])
    if not target.exists() or target.read_text("utf-8") != made:
        target.write_text(made, "utf-8")


if __name__ == "__main__":
    main()
