"""The virtual board of the unix port's tests."""

from tests.unix.conftest import machine

__all__ = ["machine"]
