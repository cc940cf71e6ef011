"""Turns firmware.bin into firmware.uf2 with MicroPython's own uf2conv.py, and says its size.

Usage: uf2.py MICROPYTHON_DIR firmware.bin firmware.uf2
"""

import subprocess
import sys
from pathlib import Path

FLASH = "0x10000000"
RP2040_FAMILY = "0xe48bff56"


def main() -> None:
    """Converts when the UF2 is older than the binary."""
    if len(sys.argv) != 4:
        sys.exit("usage: uf2.py MICROPYTHON_DIR firmware.bin firmware.uf2")
    tree, source, target = (Path(argument) for argument in sys.argv[1:])
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return
    converter = tree / "tools" / "uf2conv.py"
    command = [sys.executable, str(converter), "-b", FLASH, "-f", RP2040_FAMILY, "-c"]
    subprocess.run(
        [*command, "-o", str(target), str(source)], check=True, stdout=subprocess.DEVNULL
    )
    print(f"firmware: {target.name}: {source.stat().st_size} bytes of flash")


if __name__ == "__main__":
    main()
