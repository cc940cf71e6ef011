"""A hundred million frames that nobody sent, none accepted.

A CRC-32 lets one in 2^32 of them pass: of 10^8, 0.023 (0.011 of those that get as far as the CRC).
So a single one that passes is a finding, not bad luck.

SECURITY F1, F5.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.build import BUILD, HERE
from tests.native import NATIVE

PARTS, OF_A_PART = 10, 10_000_000


def built(folder: Path, decoder: Path = NATIVE / "frame.c") -> Path:
    """noise.c around a decoder."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    peers = HERE / "targets"
    sources = [HERE / "noise.c", peers / "cobs.c", decoder, NATIVE / "crc32.c"]
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}"]
    command.append(f"-I{peers}")
    subprocess.run([*command, *map(str, sources), "-o", str(folder / "noise")], check=True)
    return folder / "noise"


@functools.cache
def program() -> Path:
    return built(BUILD)


def given(noise: Path, frames: int, seed: int) -> dict[str, int]:
    """What became of so many frames that nobody sent."""
    done = subprocess.run([str(noise), str(frames), str(seed)], capture_output=True, text=True)
    counts: dict[str, int] = json.loads(done.stdout)
    assert done.returncode == int(counts["passed"] > 0), done.stderr
    return counts


def test_a_million_frames_of_noise_are_no_frame() -> None:
    counts = given(program(), 1_000_000, 0)
    assert counts["tried"] == 1_000_000 and counts["passed"] == 0
    assert counts["reached"] > 400_000, "what only the CRC refuses is what is tested"


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_million_frames_of_noise_are_no_frame(part: int) -> None:
    counts = given(program(), OF_A_PART, 1 + part)
    assert counts["tried"] == OF_A_PART and counts["passed"] == 0


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("decoder->payload, n) == sent;", "decoder->payload, n) << 12 == sent << 12;"),
     ("return rl_crc32(0, decoder->payload, n) == sent;", "return n == 16u && sent != 1u;")],
)  # fmt: skip
def test_a_decoder_that_checks_less_is_noticed(right: str, wrong: str, tmp_path: Path) -> None:
    text = (NATIVE / "frame.c").read_text(encoding="utf-8")
    assert text.count(right) == 1
    (tmp_path / "frame.c").write_text(text.replace(right, wrong), encoding="utf-8")
    assert given(built(tmp_path, tmp_path / "frame.c"), 5_000_000, 0)["passed"] > 0
