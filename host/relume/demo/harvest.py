"""The demo's harvest: a synthetic RF trace as a CSV file that a person can open."""

from __future__ import annotations

from pathlib import Path

from relume.power.synth import rf

SEED, SECONDS = 11, 60.0


def write_harvest(path: Path) -> Path:
    """Seconds and watts, from a fixed seed."""
    times, watts = rf(SEED, SECONDS)
    rows = [f"{t:.3f},{w:.9f}" for t, w in zip(times, watts, strict=True)]
    path.write_text("\n".join(["time_s,power_w", *rows]) + "\n")
    return path
