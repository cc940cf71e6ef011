"""Turns firmware.bin into firmware.uf2 with MicroPython's own uf2conv.py, and says its size.

Before that the reset vector is led through relume_reset (ports/rp2/reset_rp2.S).

Usage: uf2.py MICROPYTHON_DIR firmware.bin firmware.uf2
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FLASH = "0x10000000"
RP2040_FAMILY = "0xe48bff56"

RESET_VECTOR = 0x104  # boot2 takes 256 bytes, then the vector table: stack, reset
MARKER = b"relume reset"


def early_reset(image: bytes) -> bytes:
    """The image with its reset vector led through relume_reset, if it has one."""
    at = image.find(MARKER)
    if at < 0:
        return image
    if image.find(MARKER, at + 1) >= 0:
        sys.exit("firmware: the marker of relume_reset stands twice in the image")
    after = at + len(MARKER)
    patched = bytearray(image)
    patched[after : after + 4] = image[RESET_VECTOR : RESET_VECTOR + 4]
    patched[RESET_VECTOR : RESET_VECTOR + 4] = image[after + 4 : after + 8]
    return bytes(patched)


def main() -> None:
    """Converts when the UF2 is older than the binary."""
    if len(sys.argv) != 4:
        sys.exit("usage: uf2.py MICROPYTHON_DIR firmware.bin firmware.uf2")
    tree, source, target = (Path(argument) for argument in sys.argv[1:])
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return
    converter = tree / "tools" / "uf2conv.py"
    command = [sys.executable, str(converter), "-b", FLASH, "-f", RP2040_FAMILY, "-c"]
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / source.name
        image.write_bytes(early_reset(source.read_bytes()))
        subprocess.run(
            [*command, "-o", str(target), str(image)], check=True, stdout=subprocess.DEVNULL
        )
    print(f"firmware: {target.name}: {source.stat().st_size} bytes of flash")


if __name__ == "__main__":
    main()
