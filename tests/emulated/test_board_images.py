"""Images of other RP2040 boards on the emulated Pico, which has nothing of theirs but the chip."""

from __future__ import annotations

import pytest
from relume.board.images import default_firmware

from tests.emulated.bench import Repl

GPIO_OUT, GPIO_OE = 0xD0000010, 0xD0000020  # RP2040 datasheet 2.3.1.7

pytestmark = pytest.mark.emulated


def booted(name: str) -> Repl:
    """The board's image at its prompt."""
    image = default_firmware(name)
    if not image.is_file():
        pytest.skip(f"make firmware BOARD={name} has not been run")
    board = Repl(image=image)
    board.boot()
    return board


def test_the_pico_w_s_image_reaches_its_prompt_and_reads_the_supply() -> None:
    board = booted("RPI_PICO_W")
    name = "Raspberry Pi Pico W (relume) with RP2040"
    assert board.type("import os; print(os.uname()[4])") == name
    assert int(board.type("import _relume; print(_relume.millivolts())")) > 4900
    for register in (GPIO_OUT, GPIO_OE):  # GP25 is driven high, or GP29 were the radio's clock
        assert board.type(f"import machine; print(machine.mem32[{register}] >> 25 & 1)") == "1"


def test_the_feather_s_image_reaches_its_prompt_without_bursts() -> None:
    """Its flash is read by a command each (boot2_generic_03h.S)."""
    board = booted("ADAFRUIT_FEATHER_RP2040")
    assert b"Adafruit Feather RP2040 (relume) with RP2040" in board.output
    assert board.pico.chip is not None
    assert board.pico.chip.ssi.bursts == 0
