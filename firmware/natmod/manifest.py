# ruff: noqa: F821 (MicroPython's manifest language)
# MicroPython's own board, less what lies in micropython-lib.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
