"""What the emulated board's sensors feel: a sound, a movement, a temperature, from files.

A recording goes on while the board has no power, as the world does, and begins anew when it ends.

sound: a WAV file, 16 bits, mono, at the ADC as a microphone amplifier gives it: half the supply is
silence, full scale swings from rail to rail. motion: CSV, a heading and then lines of seconds and
the acceleration along x, y, z in g: an MPU-6050 on I2C. celsius: a number, or CSV of seconds and
degrees: the RP2040's own sensor. Between two lines of a CSV values go straight.
"""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from relume.errors import BoardError
from relume_boards.virtual.bus import I2cDevice

Floats = npt.NDArray[np.float64]

SOUND_CHANNEL = 0  # GP26
HEAT_CHANNEL = 4
MOTION_I2C, MOTION_SDA, MOTION_SCL, MOTION_ADDRESS = 0, 20, 21, 0x68
MOTION_RISE_NS = 300.0  # of SCL, at most in fast mode (UM10204, table 10)
ROOM = 25.0
_TOP = 4095
_REFERENCE = 3.3


@dataclass(frozen=True)
class Series:
    """values [n, columns] at rising times [n], seconds; it begins anew behind the last one."""

    times: Floats
    values: Floats

    def at(self, seconds: float) -> Floats:
        """The values at that time, one for each column."""
        last = self.times[-1]
        t = seconds % last if last > 0 else 0.0
        return np.array([np.interp(t, self.times, column) for column in self.values.T])


def read_series(path: Path, columns: int) -> Series:
    """Seconds and so many columns of a CSV file with one line of headings. Errors: BoardError."""
    what = f"{path}: not a heading and then lines of {columns + 1} numbers with rising seconds"
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise BoardError(f"{what} ({error})") from error
    if not len(table) or table.shape[1] != columns + 1 or not np.isfinite(table).all():
        raise BoardError(what)
    if table[0, 0] < 0 or (np.diff(table[:, 0]) <= 0).any():
        raise BoardError(what)
    return Series(table[:, 0], table[:, 1:])


@dataclass(frozen=True)
class Sound:
    """counts: of a 12-bit ADC; rate: a second."""

    counts: npt.NDArray[np.int64]
    rate: int

    def at(self, seconds: float) -> int:
        return int(self.counts[int(seconds * self.rate) % len(self.counts)])


def read_sound(path: Path) -> Sound:
    """A WAV file. Errors: BoardError."""
    try:
        with wave.open(str(path)) as file:
            form = file.getnchannels(), file.getsampwidth()
            rate, data = file.getframerate(), file.readframes(file.getnframes())
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror or error}") from error
    except (wave.Error, EOFError) as error:
        raise BoardError(f"{path}: no WAV file ({error})") from error
    if form != (1, 2) or len(data) < 2 or rate < 1:
        what = f"{form[0]} channels of {8 * form[1]} bits"
        raise BoardError(f"{path}: {what}: save it as mono, 16 bits")
    samples = np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.int64)
    return Sound((samples >> 4) + 2048, rate)


def heat_counts(celsius: float) -> int:
    """The ADC's count of the sensor's voltage (RP2040 datasheet 4.9.5)."""
    volts = 0.706 - (celsius - 27) * 0.001721
    return max(0, min(_TOP, round(volts / _REFERENCE * _TOP)))


class Mpu6050:
    """The accelerometer of an MPU-6050, register by register; it does not turn.

    Registers and scales: InvenSense RM-MPU-6000A. Asleep after turn-on, as the chip is.
    """

    holds = 0

    def __init__(self, motion: Series, now: Callable[[], float]) -> None:
        self._motion, self._now = motion, now
        self._registers = bytearray(128)
        self._registers[0x6B] = 0x40
        self._registers[0x75] = MOTION_ADDRESS
        self._at = -1

    def start(self, address: int, read: bool) -> bool:
        """Whether it is meant. A read goes on at the register that a write has named."""
        if address != MOTION_ADDRESS:
            return False
        if read:
            self._measure()
        else:
            self._at = -1
        return True

    def write(self, value: int) -> bool:
        if self._at < 0:
            self._at = value & 127
        else:
            if self._at in (0x19, 0x1A, 0x1B, 0x1C, 0x6B):
                self._registers[self._at] = value
            self._at = self._at + 1 & 127
        return True

    def read(self) -> int:
        value = self._registers[self._at & 127]
        self._at = self._at + 1 & 127
        return value

    def stop(self) -> None:
        pass

    def clock(self) -> None:
        pass

    def _measure(self) -> None:
        if self._registers[0x6B] & 0x40:
            return
        one_g = 16384 >> (self._registers[0x1C] >> 3 & 3)
        for axis, g in enumerate(self._motion.at(self._now())):
            value = max(-32768, min(32767, round(g * one_g)))
            at = 0x3B + 2 * axis
            self._registers[at : at + 2] = value.to_bytes(2, "big", signed=True)


@dataclass(frozen=True)
class World:
    """What is around a board; None: that sensor is not there."""

    sound: Sound | None = None
    motion: Series | None = None
    celsius: Series | float = ROOM

    def heat(self, seconds: float) -> int:
        """The ADC's count of the temperature then."""
        warm = self.celsius
        return heat_counts(warm if isinstance(warm, float) else float(warm.at(seconds)[0]))


def read_world(sound: str, motion: str, celsius: str) -> World:
    """From names of files, empty = not given. Errors: BoardError."""
    return World(
        read_sound(Path(sound)) if sound else None,
        read_series(Path(motion), 3) if motion else None,
        _celsius(celsius) if celsius else ROOM,
    )


def _celsius(text: str) -> Series | float:
    try:
        value = float(text)
    except ValueError:
        return read_series(Path(text), 1)
    if not -273.15 <= value <= 1000:
        raise BoardError(f"{text} is no temperature in degrees Celsius")
    return value


class Inputs(Protocol):
    """Where sensors are attached: `chip.Chip`."""

    def attach_adc(self, channel: int, counts: Callable[[], int]) -> None: ...
    def attach_i2c(
        self, index: int, sda: int, scl: int, device: I2cDevice, rise_ns: float
    ) -> None: ...


def attach(world: World, chip: Inputs, now: Callable[[], float]) -> None:
    """Wires the sensors. now: seconds of the world."""
    chip.attach_adc(HEAT_CHANNEL, lambda: world.heat(now()))
    if world.sound is not None:
        sound = world.sound
        chip.attach_adc(SOUND_CHANNEL, lambda: sound.at(now()))
    if world.motion is not None:
        there = Mpu6050(world.motion, now)
        chip.attach_i2c(MOTION_I2C, MOTION_SDA, MOTION_SCL, there, MOTION_RISE_NS)
