"""`emu:` ports: what is understood, and one clear line for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from relume.errors import RelumeError
from relume_boards.virtual import open_emulated
from relume_boards.virtual.spec import EmuSpec, make_supply, parse_spec

from tests.emulated.bench import BOARD, SPIN, uf2


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "spin.uf2"
    path.write_bytes(uf2(SPIN))
    return path


def test_every_key_arrives_where_it_belongs() -> None:
    spec = parse_spec("emu:RPI_PICO?cap=2.2mF&power=10mW&scale=2&von=4.5&voff=2&seed=7&plugged=1")
    assert spec == EmuSpec(
        cap="2.2mF", power="10mW", scale="2", von="4.5", voff="2", seed="7", plugged="1"
    )
    supply = make_supply(spec, BOARD)
    assert supply is not None
    assert (supply.cap_f, supply.von, supply.voff) == pytest.approx((2.2e-3, 4.5, 2.0))
    assert supply.harvest.power_at(0.0) == pytest.approx(0.020)


def test_without_a_supply_the_board_is_on_external_power() -> None:
    assert make_supply(parse_spec("emu:RPI_PICO"), BOARD) is None


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("emu:RPI_PICO?capp=1mF", "unknown key 'capp'; known: cap, von"),
        ("emu:RPI_PICO?cap", "cap needs a value"),
        ("emu:ESP32", "no such board; there is RPI_PICO"),
        ("emu:RPI_PICO?cap=1mF", "add power=10mW or trace=FILE"),
        ("emu:RPI_PICO?power=1mW", "add cap=1mF"),
        ("emu:RPI_PICO?von=3", "von means nothing without cap"),
        ("emu:RPI_PICO?cap=1mF&power=1mW&trace=x", "exclude each other"),
        ("emu:RPI_PICO?cap=ten&power=1mW", "capacitance 'ten'"),
        ("emu:RPI_PICO?cap=1mF&power=much", "power 'much'"),
        ("emu:RPI_PICO?cap=1mF&trace=/nowhere.csv", "/nowhere.csv: No such file"),
        ("emu:RPI_PICO?cap=1mF&power=1mW&scale=big", "scale 'big' is not a number"),
        ("emu:RPI_PICO?cap=1mF&power=1mW&von=1&voff=3", "voltages must rise"),
        ("emu:RPI_PICO?seed=-1", "seed '-1' is not a whole number"),
        ("emu:RPI_PICO?fram=1000", "fram 1000 is not a power of two"),
        ("emu:RPI_PICO?plugged=yes", "plugged is 0 or 1"),
        ("emu:RPI_PICO?tcp=99999", "TCP port 99999 cannot be served"),
    ],
)
def test_a_bad_spec_is_one_line_that_says_what_to_do(spec: str, says: str, image: Path) -> None:
    joint = "&" if "?" in spec else "?"
    with pytest.raises(RelumeError) as caught:
        open_emulated(f"{spec}{joint}firmware={image}").stop()
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_missing_firmware_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path
                                               ) -> None:  # fmt: skip
    absent = tmp_path / "firmware.uf2"
    monkeypatch.setattr("relume_boards.virtual.spec.default_firmware", lambda board: absent)
    with pytest.raises(RelumeError, match="make firmware"):
        open_emulated("emu:RPI_PICO")


def test_what_is_no_uf2_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "image.uf2"
    path.write_bytes(b"not a UF2" * 100)
    with pytest.raises(RelumeError, match="no whole number of 512-byte"):
        open_emulated(f"emu:RPI_PICO?firmware={path}")
    path.write_bytes(uf2(SPIN)[:508] + b"\0\0\0\0" + bytes(512))
    with pytest.raises(RelumeError, match="block 1 is not a UF2 block"):
        open_emulated(f"emu:RPI_PICO?firmware={path}")
