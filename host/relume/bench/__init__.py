"""Cycles of the shipped Thumb code, counted under unicorn with a documented cost table."""
