"""What a line that errs can do to frames.

IEEE CRC-32 finds every error of up to four bits in a payload of this length. A bit that flips on
the wire may hit a COBS code byte, though, or make or take a zero: then bytes move, and more than
four bits of the payload change. So all patterns of up to three bits are tried on the wire itself.

SECURITY F1, F5.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from math import comb
from pathlib import Path

import pytest

from tests.fuzz.build import BUILD, HERE
from tests.native import NATIVE


@functools.cache
def program() -> Path:
    """wire.c around the shipping decoder and encoder."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = [HERE / "wire.c", NATIVE / "frame.c", NATIVE / "crc32.c"]
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}"]
    subprocess.run([*command, *map(str, sources), "-o", str(BUILD / "wire")], check=True)
    return BUILD / "wire"


def wire(*arguments: object) -> dict[str, int]:
    """What was tried, and how many frames came out; a broken promise fails the test."""
    command = [str(program()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_every_pattern_of_three_flipped_bits_in_a_small_frame_is_found() -> None:
    bits = [8 * (n + 11) for n in range(7)]  # body, head and CRC, one COBS code, two zeros
    every = sum(comb(n, k) for n in bits for k in (1, 2, 3))
    assert wire("flips", 6) == {"tried": every, "delivered": 0}


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 9, 40])
def test_random_flips_in_frames_of_any_size_are_found(bits: int) -> None:
    assert wire("random", bits, 100_000, bits)["tried"] == 100_000


def test_noise_is_no_frame_and_costs_none_behind_a_whole_one() -> None:
    counts = wire("noise", 10_000_000, 1)
    assert counts["tried"] == 10_000_000 and counts["delivered"] > 2000


@pytest.mark.heavy
def test_a_hundred_million_bytes_of_noise_are_no_frame() -> None:
    assert wire("noise", 100_000_000, 2)["tried"] == 100_000_000


@pytest.mark.heavy
def test_three_flipped_bits_in_frames_of_a_request_are_found() -> None:
    assert wire("flips", 24)["delivered"] == 0


@pytest.mark.heavy
@pytest.mark.parametrize("bits", range(1, 9))
def test_many_random_flips_are_found(bits: int) -> None:
    assert wire("random", bits, 10_000_000, 100 + bits)["tried"] == 10_000_000


def test_a_decoder_that_forgets_the_crc_is_noticed(tmp_path: Path) -> None:
    text = (NATIVE / "frame.c").read_text()
    right = "return rl_crc32(0, decoder->payload, n) == sent;"
    assert text.count(right) == 1
    (tmp_path / "frame.c").write_text(text.replace(right, "return sent != 1u;"))
    sources = [HERE / "wire.c", tmp_path / "frame.c", NATIVE / "crc32.c"]
    command = ["cc", "-O2", f"-I{NATIVE}", *map(str, sources), "-o", str(tmp_path / "wire")]
    subprocess.run(command, check=True)
    for arguments in (("flips", "0"), ("random", "4", "1000", "1"), ("noise", "100000", "1")):
        done = subprocess.run([str(tmp_path / "wire"), *arguments], capture_output=True, text=True)
        assert done.returncode == 1 and "FAILED" in done.stdout
