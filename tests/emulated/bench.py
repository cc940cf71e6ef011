"""What the tests of the emulated board share: tiny firmware of their own, and the real one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from relume.board.images import default_firmware
from relume.board.profile import load_board
from relume.power.trace import constant
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.supply import Harvest, Supply

BOARD = load_board("RPI_PICO")
PROMPT = b">>> "

SPIN = struct.pack("<H", 0xE7FE)
"""b . : the core works for ever."""
SLEEP = struct.pack("<HH", 0xBF30, 0xE7FD)
"""wfi; b .-2 : the core sleeps for ever."""
START_RTC = struct.pack("<HHHHI", 0x4801, 0x6000, 0xE7FE, 0xBF00, 0x4005_C000)
"""ldr r0, =RTC; str r0, [r0]; b . : works for ever, after what begins the interpreter's start."""


def uf2(code: bytes) -> bytes:
    """A UF2 image with `code` at the start of flash."""
    blocks = []
    count = (len(code) + 255) // 256
    for number in range(count):
        data = code[number * 256 : number * 256 + 256].ljust(256, b"\xff")
        address = 0x1000_0000 + number * 256
        head = struct.pack(
            "<8I", 0x0A324655, 0x9E5D5157, 0x2000, address, 256, number, count, 0xE48BFF56
        )
        blocks.append(head + data.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30))
    return b"".join(blocks)


def supply(cap_f: float, watts: float | None = None, harvest: Harvest | None = None) -> Supply:
    """A capacitor with the board's voltages and a constant or given harvest."""
    figures = BOARD.supply
    made = harvest if harvest is not None else constant(watts or 0.0)
    return Supply(cap_f, figures.von_v, figures.voff_v, figures.vmax_v, made)


def until(pico: VirtualPico, condition: Callable[[], bool], seconds: float) -> None:
    """Advance until `condition` holds; fails after `seconds` of emulated time."""
    end = pico.now + seconds
    while not condition():
        assert pico.now < end, f"not reached within {seconds} s of emulated time"
        assert pico.advance(), "the harvest never turns the board on"


class Repl:
    """The real firmware at its prompt, in emulated time only. External power."""

    def __init__(self, image: Path | None = None, **options: object) -> None:
        path = image or default_firmware("RPI_PICO")
        if not path.is_file():
            pytest.skip("build/firmware/RPI_PICO/firmware.uf2 is not built (make firmware)")
        given: dict[str, object] = {"hold": False, "xip": False, **options}
        self.pico = VirtualPico(BOARD, path.read_bytes(), **given)  # type: ignore[arg-type]
        self.output = bytearray()
        self.pico.on_tx = self.output.append

    def boot(self) -> None:
        """From power-on to the prompt, out of whatever the firmware runs at its start."""
        self.output.clear()
        self.pico.run(0.3)
        self.pico.feed(b"\r\x03\x03")
        until(self.pico, lambda: self.output.endswith(PROMPT), 20)

    def type(self, text: str, seconds: float = 20) -> str:
        """One line at the prompt; returns what was printed."""
        self.output.clear()
        self.pico.feed(text.encode() + b"\r")
        until(self.pico, lambda: self.output.endswith(PROMPT), seconds)
        return self.output[: -len(PROMPT)].decode().partition("\r\n")[2].strip()
