"""Watching a board that runs: what it tells, recorded, counted and drawn."""
