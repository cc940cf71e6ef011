"""The capacitor that feeds the board: charged by a harvest, emptied by what the board does.

Model: an ideal capacitor with an ideal converter behind it (no leakage, no series resistance,
every joule of the capacitor reaches the load), a supervisor that switches on at `von` and off at
`voff`, and a shunt that holds `vmax`. Energy is kept, not voltage: E = C/2 V^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from relume.board.profile import BoardProfile

SUPPLY_MODEL = "ideal capacitor and converter, supervisor with hysteresis"


class Harvest(Protocol):
    """What comes in: `relume.power.trace.Trace`."""

    @property
    def name(self) -> str: ...
    @property
    def mean_w(self) -> float: ...
    def power_at(self, t: float) -> float: ...
    def energy(self, t0: float, t1: float) -> float: ...
    def time_to_gain(self, t0: float, joules: float) -> float: ...


@dataclass(frozen=True)
class Load:
    """What the board draws. Sources: `[energy]` and `[nvm.*]` of the board's `board.toml`.

    active_w while the core executes, whatever its clock; idle_w while it waits for an interrupt,
    sleep_w while all clocks but those that wake it stand still besides (`Chip.asleep`); flash_w is
    added while the flash programs or erases, i2c_w while the I2C is busy; fram_j is added for each
    byte to or from the SPI FRAM.
    """

    active_w: float
    idle_w: float
    sleep_w: float
    flash_w: float
    fram_j: float
    i2c_w: float = 0.0

    @classmethod
    def of(cls, board: BoardProfile) -> Load:
        return cls(
            active_w=board.energy.active_mw * 1e-3,
            idle_w=board.energy.idle_mw * 1e-3,
            sleep_w=board.energy.sleep_mw * 1e-3,
            flash_w=board.flash.program_mw * 1e-3 if board.flash else 0.0,
            fram_j=board.fram.chip_nj_per_byte * 1e-9 if board.fram else 0.0,
            i2c_w=(i2c.chip_mw + i2c.bus_mw) * 1e-3 if (i2c := board.fram_i2c) else 0.0,
        )

    @property
    def peak_w(self) -> float:
        """The most that the core and one of its memories can draw."""
        return max(self.active_w, self.idle_w, self.sleep_w) + max(self.flash_w, self.i2c_w)

    def energy(
        self,
        active_s: float,
        idle_s: float,
        sleep_s: float,
        flash_s: float,
        fram_bytes: int,
        i2c_s: float = 0.0,
    ) -> float:
        """Joule drawn in an interval."""
        return (
            self.active_w * active_s
            + self.idle_w * idle_s
            + self.sleep_w * sleep_s
            + self.flash_w * flash_s
            + self.fram_j * fram_bytes
            + self.i2c_w * i2c_s
        )


class Supply:
    """State of charge at a time. Starts empty at time 0, seconds since the emulation's start."""

    def __init__(
        self, cap_f: float, von: float, voff: float, vmax: float, harvest: Harvest
    ) -> None:
        if not 0 < voff < von <= vmax:
            raise ValueError(f"voltages must rise: 0 < voff {voff} < von {von} <= vmax {vmax}")
        if not cap_f > 0:
            raise ValueError(f"capacitance {cap_f} F must be positive")
        self.cap_f = cap_f
        self.von, self.voff, self.vmax = von, voff, vmax
        self.harvest = harvest
        self.joules = 0.0
        self.harvested_j = 0.0
        self.drawn_j = 0.0

    def at_volts(self, volts: float) -> float:
        """Joule stored at a voltage."""
        return 0.5 * self.cap_f * volts * volts

    @property
    def volts(self) -> float:
        return math.sqrt(max(0.0, 2 * self.joules / self.cap_f))

    @property
    def usable_j(self) -> float:
        """Joule left above `voff`; 0 or less means that the board is off."""
        return self.joules - self.at_volts(self.voff)

    @property
    def charge_j(self) -> float:
        """Joule between turn-on and turn-off, harvest during the charge not counted."""
        return self.at_volts(self.von) - self.at_volts(self.voff)

    def fill(self, volts: float) -> None:
        """Set the voltage, as an external supply does."""
        self.joules = self.at_volts(min(volts, self.vmax))

    def draw(self, t0: float, t1: float, joules: float) -> None:
        """The interval [t0, t1] has passed and `joules` were drawn in it."""
        gained = self.harvest.energy(t0, t1)
        self.harvested_j += gained
        self.drawn_j += joules
        self.joules = min(self.joules + gained - joules, self.at_volts(self.vmax))

    def time_to_turn_on(self, t: float) -> float:
        """Seconds from `t` until the voltage reaches `von` with nothing drawn; may be inf."""
        return self.harvest.time_to_gain(t, self.at_volts(self.von) - self.joules)

    def charge(self, t0: float, t1: float) -> None:
        """Nothing was drawn in [t0, t1]."""
        self.draw(t0, t1, 0.0)

    def turn_on(self) -> None:
        """The supervisor has closed: the voltage is `von` but for rounding."""
        self.joules = max(self.joules, self.at_volts(self.von))
