"""Emulated boards and their power supply.

`open_emulated("emu:RPI_PICO?cap=10mF&power=10mW")` starts a board; the modules below it can be
used alone: `pico` (the board in emulated time), `chip` and `parts` (the RP2040, the only place
that knows rp2040py), `fram` and `flash` (its memories), `supply`, `xip`, `console`, `record`.

rp2040py is an optional dependency (`pip install relume[emulate]`), so nothing is imported here
until it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relume.errors import BoardError

if TYPE_CHECKING:
    from relume_boards.virtual.emulated import EmulatedBoard

__all__ = ["open_emulated"]


def open_emulated(spec: str) -> EmulatedBoard:
    """A started board from `emu:RPI_PICO[?key=value&...]` (see `spec.EmuSpec`).

    Errors: RelumeError, among them a missing rp2040py or firmware image.
    """
    try:
        import rp2040py  # noqa: F401
    except ImportError as error:
        hint = "pip install 'relume[emulate]'"
        raise BoardError(f"{spec}: the emulated board needs rp2040py: {hint}") from error
    from relume_boards.virtual.spec import open_emulated as opened

    return opened(spec)
