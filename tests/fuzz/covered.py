"""Runs tests on a library that is built for gcov: python -m tests.fuzz.covered LIBRARY TEST..."""

from __future__ import annotations

import ctypes
import sys

import pytest

from tests import native


def main() -> int:
    """Exit code of the tests, which are named from tests/ on."""
    library = ctypes.CDLL(sys.argv[1])
    native.librelume = lambda: library  # type: ignore[assignment]
    tests = [str(native.ROOT / "tests" / name) for name in sys.argv[2:]]
    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))


if __name__ == "__main__":
    sys.exit(main())
