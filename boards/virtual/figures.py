"""What a virtual board starts from: its flash image, its supply's figures, its models' names."""

from __future__ import annotations

from relume.board.profile import BoardProfile
from relume.errors import BoardError
from relume_boards.virtual.chip import uf2_blocks
from relume_boards.virtual.supply import SUPPLY_MODEL, Supply
from relume_boards.virtual.xip import XIP_MODEL, XIP_TRACED


def models_of(
    board: BoardProfile, xip: bool, hold: bool, traced: bool = False
) -> dict[str, str]:
    """Which model each emulated figure comes from."""
    return {
        "cycles": "rp2040py 0.3.6 Cortex-M0+ cycle table, 125 MHz, one core, no bus contention",
        "xip": XIP_TRACED if traced else XIP_MODEL if xip else "none: flash reads cost nothing",
        "energy": f"{board.energy.active_mw:g} mW executing, {board.energy.idle_mw:g} mW waiting,"
        f" {board.energy.sleep_mw:g} mW asleep (board.toml [energy])",
        "boot": "boot ROM derived, oscillators as the firmware sets them; the interpreter"
        f" is held {hold_ms(board):g} ms, so that its start takes {board.boot.sourced_ms:g} ms"
        if hold
        else "emulated boot only",
        "flash": "W25Q16JV typical times (board.toml [nvm.flash]), seeded mixture at a cut",
        "fram": "frames at the SPI clock, byte-exact at a cut",
        "uart": "PL011, bytes at the line's speed",
        "supply": SUPPLY_MODEL,
    }


def hold_ms(board: BoardProfile) -> float:
    """Milliseconds in reset that make the emulated boot cost what the sourced one does."""
    return max(0.0, board.boot.sourced_ms - board.boot.emulated_ms)


def supply_figures(supply: Supply | None) -> dict[str, float | str]:
    """The supply as the record keeps it."""
    if supply is None:
        return {"kind": "external"}
    return {
        "kind": "harvest", "cap_f": supply.cap_f, "von": supply.von, "voff": supply.voff,
        "vmax": supply.vmax, "harvest": supply.harvest.name,
        "mean_w": supply.harvest.mean_w, "charge_j": supply.charge_j,
    }  # fmt: skip


def flash_image(board: BoardProfile, firmware: bytes, old: bytes | None) -> bytearray:
    """The whole flash: erased, then `old`, then the UF2 `firmware`. Errors: BoardError."""
    image = bytearray(b"\xff" * board.flash_bytes)
    if old is not None:
        image[: len(old)] = old[: board.flash_bytes]
    try:
        blocks = uf2_blocks(firmware)
    except ValueError as error:
        raise BoardError(f"firmware image: {error}") from error
    for offset, data in blocks:
        if offset < 0 or offset + len(data) > board.flash_bytes:
            raise BoardError(f"firmware image: block at flash offset {offset:#x} lies outside")
        image[offset : offset + len(data)] = data
    return image
