"""Writes what a firmware build needs of a board's board.toml.

The region table and the pins stand in board.toml only; relume_regions.h carries them to the
board files and the port, relume_regions.ld to the linker.

Usage: regions.py board.toml DIRECTORY
"""

import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))
from relume.board.inherit import read_tables
from relume.errors import BoardError

SECTOR = 4096
INTERPRETER = 16_384  # bytes of heap for MicroPython, package and collector; 13 KB are taken
PINS = (
    "fram_spi", "fram_sck", "fram_mosi", "fram_miso", "fram_cs",
    "fram_i2c", "fram_sda", "fram_scl", "escape",
)  # fmt: skip
MAYBE = ("vsys_adc", "vsys_enable", "vbus_sense")  # no macro where a board has no such pin
NAMES = ("firmware", "blobs", "store", "filesystem")


def fail(path: Path, text: str) -> None:
    """Ends with one line that names the file."""
    sys.exit(f"{path}: {text}")


def check_regions(path: Path, board: dict[str, Any]) -> None:
    """The four regions, in order, whole sectors, without overlap, inside the flash."""
    regions = board["region"]
    if tuple(region["name"] for region in regions) != NAMES:
        fail(path, f"regions must be {', '.join(NAMES)}, in this order")
    end = 0
    for region in regions:
        name, offset, size = region["name"], region["offset"], region["size"]
        if offset % SECTOR or size % SECTOR or size <= 0:
            fail(path, f"region {name}: offset and size must be multiples of {SECTOR}")
        if offset < end:
            fail(path, f"region {name}: begins at {offset:#x}, before {end:#x}")
        end = offset + size
    if end != board["memory"]["flash_bytes"]:
        fail(path, "the filesystem must end where the flash ends")


def sleep_cycles(board: dict[str, Any]) -> int:
    """Core cycles that take as much energy as a millisecond asleep."""
    energy = board["energy"]
    return round(board["clock"]["hz"] * energy["sleep_mw"] / energy["active_mw"] / 1000)


def start_us(board: dict[str, Any]) -> int:
    """What the interpreter's start takes, sourced or emulated."""
    boot = board["boot"]
    return math.ceil(max(boot["sourced_ms"], boot["emulated_ms"]) * 1000)


def version() -> str:
    """VERSION of firmware/relume/__init__.py."""
    text = (Path(__file__).resolve().parents[1] / "relume" / "__init__.py").read_text("utf-8")
    return text.partition('VERSION = "')[2].partition('"')[0]


def header(board: dict[str, Any]) -> str:
    """The header's text."""
    pins = board["pins"]
    lines = [
        f"/* Generated from boards/{board['name']}/board.toml. */",
        "#ifndef RELUME_REGIONS_H",
        "#define RELUME_REGIONS_H",
        f'#define RL_BOARD_NAME "{board["name"]}"',
        f"#define RL_FLASH_BYTES {board['memory']['flash_bytes']:#x}u",
    ]
    for region in board["region"]:
        name = region["name"].upper()
        lines.append(f"#define RL_{name}_OFFSET {region['offset']:#x}u")
        lines.append(f"#define RL_{name}_SIZE {region['size']:#x}u")
    lines.append("#define RL_REGIONS(X) \\")
    lines.extend(
        f'    X("{name}", RL_{name.upper()}_OFFSET, RL_{name.upper()}_SIZE) \\' for name in NAMES
    )
    lines.append("")
    for key in (*PINS, *(key for key in MAYBE if key in pins)):
        lines.append(f"#define RL_PIN_{key.upper()} {pins[key]}")
    lines.append(f"#define RL_FRAM_SIZE {board['nvm']['fram']['size']}")
    lines.append(f"#define RL_FRAM_HZ {board['nvm']['fram']['hz']}")
    i2c = board["nvm"]["fram_i2c"]
    for key in ("size", "hz", "address"):
        lines.append(f"#define RL_FRAM_I2C_{key.upper()} {i2c[key]}")
    lines.append(f"#define RL_START_US {start_us(board)}u")
    lines.append(f"#define RL_SLEEP_CYCLES {sleep_cycles(board)}u")
    lines.append(f'#define RL_FIRMWARE_VERSION "{version()}"')
    lines.extend(["#endif", ""])
    return "\n".join(lines)


def linker(board: dict[str, Any]) -> str:
    """The linker's part: the image, which begins the flash, must end below the next region, and
    code in SRAM must leave the heap that plans count on."""
    size = board["region"][0]["size"]
    heap = board["memory"]["heap_bytes"] + INTERPRETER
    return (
        f"/* Generated from boards/{board['name']}/board.toml. */\n"
        f"ASSERT(__flash_binary_end - __flash_binary_start <= {size:#x},\n"
        f'    "relume: the firmware does not fit its region of {size:#x} bytes (board.toml)")\n'
        f"ASSERT(__GcHeapEnd - __GcHeapStart >= {heap},\n"
        f'    "relume: the firmware leaves less heap than {heap} bytes (board.toml:'
        ' heap_bytes)")\n'
    )


def write(target: Path, text: str) -> None:
    """Writes a file if its text differs, so that nothing is rebuilt for nothing."""
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def main() -> None:
    """Reads the board, writes both files."""
    if len(sys.argv) != 3:
        sys.exit("usage: regions.py board.toml DIRECTORY")
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        board = read_tables(source.parents[1], source.parent.name)
        check_regions(source, board)
        texts = {"relume_regions.h": header(board), "relume_regions.ld": linker(board)}
    except BoardError as error:
        sys.exit(str(error))
    except KeyError as error:
        sys.exit(f"{source}: no key {error}")
    for name, text in texts.items():
        write(folder / name, text)


if __name__ == "__main__":
    main()
