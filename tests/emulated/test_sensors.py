"""What the emulated board's sensors feel comes from files, in the world's own time."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from relume.errors import BoardError
from relume_boards.virtual.sensors import (
    HEAT_CHANNEL,
    MOTION_ADDRESS,
    Mpu6050,
    Series,
    Sound,
    World,
    heat_counts,
    read_series,
    read_sound,
    read_world,
)

from tests.emulated.bench import Repl

TIMES, ROWS = np.array([0.0, 1.0, 3.0]), np.array([[0.0, 1.0, -3.0], [1.0, 1.0, 0.0], [0.0, 1, 2]])


def wav(path: Path, samples: list[int], channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(1000)
        data = struct.pack(f"<{len(samples)}h", *samples) if width == 2 else bytes(len(samples))
        file.writeframes(data)
    return path


def test_a_sound_swings_about_half_the_supply_and_begins_anew(tmp_path: Path) -> None:
    sound = read_sound(wav(tmp_path / "a.wav", [0, 32767, -32768, 160]))
    assert [sound.at(t / 1000 + 1e-6) for t in range(6)] == [2048, 4095, 0, 2058, 2048, 4095]


def test_a_series_is_straight_between_its_lines_and_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    np.savetxt(path, np.column_stack([TIMES, ROWS]), delimiter=",", header="s,x,y,z")
    series = read_series(path, 3)
    assert series.at(0.5).tolist() == [0.5, 1.0, -1.5]
    assert series.at(2.0).tolist() == series.at(302.0).tolist() == [0.5, 1.0, 1.0]


def test_the_temperature_is_the_data_sheet_s() -> None:
    for celsius in (-20.0, 0.0, 27.0, 85.0):
        volts = heat_counts(celsius) * 3.3 / 4095
        assert 27 - (volts - 0.706) / 0.001721 == pytest.approx(celsius, abs=0.25)
    warm = World(celsius=Series(np.array([0.0, 10.0]), np.array([[20.0], [30.0]])))
    assert warm.heat(5.0) == heat_counts(25.0) == World().heat(0.0)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("sound", None, "No such file"),
        ("sound", b"RIFFnothing", "no WAV file"),
        ("motion", None, "not found|No such file"),
        ("motion", b"seconds,x\n0,1\n", "lines of 4 numbers"),
        ("motion", b"s,x,y,z\n0,1,2,3\n0,1,2,3\n", "rising seconds"),
        ("motion", b"s,x,y,z\n0,1,2,nan\n", "lines of 4 numbers"),
        ("motion", b"s,x,y,z\n0,1,2,up\n", "lines of 4 numbers"),
        ("celsius", b"s,c\n", "lines of 2 numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_file_that_is_none_is_one_line_with_its_name(
    name: str, text: bytes | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if text is not None:
        path.write_bytes(text)
    given = {"sound": "", "motion": "", "celsius": "", name: str(path)}
    with pytest.raises(BoardError, match=says) as caught:
        read_world(**given)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_sound_of_another_form_is_told_what_to_do(tmp_path: Path) -> None:
    for form in ({"channels": 2}, {"width": 1}):
        with pytest.raises(BoardError, match="save it as mono, 16 bits"):
            read_sound(wav(tmp_path / "a.wav", [0, 0], **form))
    with pytest.raises(BoardError, match="-300 is no temperature"):
        read_world("", "", "-300")


class Bus:
    """What a master does."""

    def __init__(self, chip: Mpu6050) -> None:
        self.chip = chip

    def put(self, *data: int) -> None:
        assert self.chip.start(MOTION_ADDRESS, False)
        assert all(self.chip.write(value) for value in data)
        self.chip.stop()

    def get(self, register: int, size: int) -> bytes:
        self.put(register)
        assert self.chip.start(MOTION_ADDRESS, True)
        return bytes(self.chip.read() for _ in range(size))


def test_an_accelerometer_wakes_up_measures_and_has_its_scales() -> None:
    clock = [0.5]
    bus = Bus(Mpu6050(Series(TIMES, ROWS), lambda: clock[0]))
    assert not bus.chip.start(0x69, False)
    assert bus.get(0x75, 1) == b"\x68" and bus.get(0x3B, 6) == bytes(6), "asleep"
    bus.put(0x6B, 0)
    assert struct.unpack(">hhh", bus.get(0x3B, 6)) == (8192, 16384, -24576)
    clock[0] = 1.0
    assert struct.unpack(">hhh", bus.get(0x3B, 6)) == (16384, 16384, 0)
    bus.put(0x1C, 0x18)
    assert struct.unpack(">hhh", bus.get(0x3B, 6)) == (2048, 2048, 0), "16 g"
    bus.put(0x75, 0)
    assert bus.get(0x75, 1) == b"\x68", "read only"


@pytest.mark.emulated
def test_a_program_reads_sound_and_heat_at_the_adc() -> None:
    sound = Sound(np.array([1000, 3000]), 2)  # half a second each
    repl = Repl(world=World(sound=sound, celsius=30.0))
    repl.boot()
    repl.type("from machine import ADC; import time")
    heard = {int(repl.type("print(ADC(26).read_u16() >> 4)"))}
    repl.pico.run(0.5)
    heard.add(int(repl.type("print(ADC(26).read_u16() >> 4)")))
    assert heard == {1000, 3000}
    assert int(repl.type(f"print(ADC({HEAT_CHANNEL}).read_u16() >> 4)")) == heat_counts(30.0)
    assert int(repl.type("print(ADC(27).read_u16())")) == 0, "nothing is wired there"


@pytest.mark.emulated
def test_a_program_reads_the_accelerometer_over_its_bus() -> None:
    repl = Repl(world=World(motion=Series(np.array([0.0]), np.array([[0.5, -1.0, 2.5]]))))
    repl.boot()
    repl.type("from machine import I2C, Pin; i = I2C(0, sda=Pin(20), scl=Pin(21), freq=400_000)")
    assert repl.type("print(i.readfrom_mem(0x68, 0x75, 1))") == "b'h'"
    repl.type("i.writeto_mem(0x68, 0x6B, b'\\0')")
    repl.type("import struct")
    rows = repl.type("print(struct.unpack('>hhh', i.readfrom_mem(0x68, 0x3B, 6)))")
    assert rows == "(8192, -16384, 32767)"
    assert "Error" in repl.type("i.readfrom_mem(0x69, 0x75, 1)"), "no other chip answers"
