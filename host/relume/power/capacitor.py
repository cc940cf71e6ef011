"""The power budget: a capacitor between turn-on and turn-off voltage."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from relume.errors import PlanError

E6 = (1.0, 1.5, 2.2, 3.3, 4.7, 6.8)
_UNITS = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12}
_CAPACITANCE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([munpµμ]?)F", re.IGNORECASE)


@dataclass(frozen=True)
class Budget:
    """Capacitance in farad, turn-on and turn-off voltage in volt."""

    cap_f: float
    von_v: float
    voff_v: float

    def __post_init__(self) -> None:
        values = (self.cap_f, self.von_v, self.voff_v)
        if not all(math.isfinite(value) and value >= 0 for value in values) or self.cap_f == 0:
            raise PlanError(
                f"capacitor {self.cap_f} F, {self.von_v} V, {self.voff_v} V: not usable"
            )
        if self.von_v <= self.voff_v:
            raise PlanError(
                f"turn-on voltage {self.von_v:g} V must lie above turn-off {self.voff_v:g} V"
            )
        if self.cap_f > 4.0 or self.von_v > 60.0:
            raise PlanError("a capacitor above 4 F or a supply above 60 V is not supported")

    @property
    def charge_uj(self) -> float:
        """Energy between turn-on and turn-off, microjoule: C/2 (von^2 - voff^2)."""
        return 0.5e6 * self.cap_f * (self.von_v**2 - self.voff_v**2)


def capacitance_for(energy_uj: float, von_v: float, voff_v: float) -> float:
    """Farad whose charge holds the energy."""
    return energy_uj / (0.5e6 * (von_v**2 - voff_v**2))


def e6_at_least(cap_f: float) -> float:
    """The smallest E6 value that is not below cap_f, in farad."""
    decade = math.floor(math.log10(cap_f)) - 1
    while True:
        for step in E6:
            value = float(f"{step}e{decade}")
            if value >= cap_f * (1 - 1e-12):
                return value
        decade += 1


def e6_after(cap_f: float) -> float:
    """The E6 value after cap_f."""
    return e6_at_least(cap_f * 1.01)


def parse_capacitance(text: str) -> float:
    """Farad of "1mF", "470uF", "2.2 mF", "100nF". Errors: PlanError."""
    match = _CAPACITANCE.fullmatch(text.strip())
    if match is None:
        raise PlanError(f"capacitance {text!r}: write it as 470uF or 2.2mF")
    prefix = match.group(2)
    value = float(match.group(1)) * _UNITS[prefix if prefix in _UNITS else prefix.lower()]
    if not value > 0:
        raise PlanError(f"capacitance {text!r} is 0")
    return value


def parse_voltage(text: str) -> float:
    """Volt of "5", "1.8", "1800mV", "5V". Errors: PlanError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(m?)V?", text.strip(), re.IGNORECASE)
    if match is None:
        raise PlanError(f"voltage {text!r}: write it as 5 or 1.8V")
    return float(match.group(1)) * (1e-3 if match.group(2) else 1.0)


def format_capacitance(cap_f: float) -> str:
    """470 uF, 2.2 mF."""
    for factor, unit in ((1.0, "F"), (1e-3, "mF"), (1e-6, "uF"), (1e-9, "nF")):
        if cap_f >= factor * (1 - 1e-9):
            return f"{cap_f / factor:.4g} {unit}"
    return f"{cap_f / 1e-12:.4g} pF"
