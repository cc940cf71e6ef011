"""Emulated boards and their power supply."""
