# ruff: noqa: F821 (MicroPython's manifest language)
include("../RPI_PICO/manifest.py")
