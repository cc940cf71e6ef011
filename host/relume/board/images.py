"""Where the firmware of a board is: in this installation, or where `make firmware` puts it."""

from __future__ import annotations

from pathlib import Path

PACKAGED = Path(__file__).resolve().parent.parent / "device" / "firmware"


def default_firmware(board: str) -> Path:
    """The UF2 of a board of ours, whether it is there or not."""
    if PACKAGED.is_dir():
        return PACKAGED / f"{board}.uf2"
    return Path(__file__).resolve().parents[3] / "build" / "firmware" / board / "firmware.uf2"
