"""Where real models and traces are, which are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("kws", "ic", "ad", "vww")


def shared_folder() -> Path:
    """Folder `shared` beside the project root, or the environment's RELUME_SHARED."""
    return Path(os.environ.get("RELUME_SHARED", ROOT.parent / "shared"))


def shared_file(name: str) -> Path:
    """A file below the shared folder; skips the test, by name, when it is absent."""
    path = shared_folder() / name
    if not path.is_file():
        pytest.skip(f"shared file {name} is not here (set RELUME_SHARED)")
    return path


def model_file(name: str) -> Path:
    """A reference model of MLPerf Tiny: kws, ic, ad or vww."""
    return shared_file(f"models/mlperf_tiny/{name}.tflite")


def model_input(name: str) -> bytes:
    """The real int8 input that comes with a reference model."""
    return shared_file(f"models/mlperf_tiny/{name}.input.bin").read_bytes()
