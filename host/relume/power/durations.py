"""Seconds, minutes and hours as people write them."""

from __future__ import annotations

import re

from relume.errors import PlanError

_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|h|d|)")


def parse_duration(text: str) -> float:
    """Seconds of "20s", "1.5 min", "500ms", "2h". Errors: PlanError."""
    match = _DURATION.fullmatch(text.strip())
    value = float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0
    if not 0 < value < 1e9:
        raise PlanError(f"duration {text!r}: write it as 20s, 500ms, 10min or 2h")
    return value


def format_duration(seconds: float) -> str:
    """12.3 s, 450 ms, 1 min 40 s, 3 h 20 min; never, where it is infinite."""
    if seconds == float("inf"):
        return "never"
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
