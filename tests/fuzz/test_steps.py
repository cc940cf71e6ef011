"""The blob checker's time: linear in size + ops * ops + tiles * ops / 64, whatever the blob says.

Counted in basic blocks, with gcc's -fsanitize-coverage=trace-pc.

SECURITY B3.
"""

from __future__ import annotations

import functools
import itertools
import json
import struct
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.build import BUILD, HERE
from tests.native import NATIVE
from tests.unit import blob_edit

LARGEST = 1044480  # bytes of a blob in a region of 1 MB
A_BYTE, AN_OP, A_PAIR, A_TILE, A_LOOK = 2, 100, 1, 100, 20
SHAPES = [(1, 1), (1, 4000), (8, 8), (64, 500), (65, 64), (300, 30), (1000, 4), (3000, 1)]


@functools.cache
def program() -> Path:
    """steps.c around the checker; skips where the compiler cannot count."""
    folder = BUILD / "steps"
    folder.mkdir(parents=True, exist_ok=True)
    patterns = ("blob*.c", "engine*.c", "stage.c", "crc32.c", "kernels/*/*.c")
    sources = [path for pattern in patterns for path in sorted(NATIVE.glob(pattern))]
    objects = []
    for source in [*sources, HERE / "steps.c"]:
        traced = source.parent == NATIVE
        flags = ["-fsanitize-coverage=trace-pc"] if traced else []
        objects.append(str(folder / f"{source.parent.name}_{source.stem}.o"))
        command = ["cc", "-std=gnu11", "-O1", f"-I{NATIVE}", *flags, "-c", str(source)]
        done = subprocess.run(
            [*command, "-o", objects[-1]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"the compiler has no -fsanitize-coverage: {done.stderr[:80]}")
    subprocess.run(["cc", *objects, "-o", str(folder / "steps")], check=True)
    return folder / "steps"


def chain(ops: int, tiles: int) -> bytes:
    """A sound blob of RESHAPE after RESHAPE, each in so many tiles of one byte."""
    size = -(-tiles // 16) * 16
    at = [128]
    for entries, each in ((ops + 1, 32), (ops, 124), (ops * tiles, 12), (1, 24), (4, 1)):
        at.append(at[-1] + entries * each)
    total = -(-at[-1] // 16) * 16
    image = bytearray(total)
    struct.pack_into(
        "<4sBBHIIIIBBHIIIHHIIIIIIIIHH", image, 0, b"RLUM", 1, 0, 128, total, total, 0, 0, 0, 1, 0,
        2 * size, 0, size, ops + 1, ops, ops * tiles, 1, *at[:5], 4, 0, ops,
    )  # fmt: skip
    image[108:110] = b"\1\1"
    for n in range(ops + 1):
        row = (n % 2 * size, 0, tiles, 1, 1, tiles, 1, 0, 0, 0, 0)
        struct.pack_into("<IIIHHHBBiII", image, at[0] + 32 * n, *row)
    for n in range(ops):
        base = at[1] + 124 * n
        before = n - 1 if n else 0xFFFF
        struct.pack_into("<BBHHHHH", image, base, 10, 0, before, n, 0xFFFF, n + 1, 0xFFFF)
        struct.pack_into("<II", image, base + 12, tiles, 1)
        struct.pack_into("<ii", image, base + 40, -128, 127)
    for n, tile in itertools.product(range(ops), range(tiles)):
        struct.pack_into("<HHII", image, at[2] + 12 * (n * tiles + tile), n, 0, tile, 1)
    struct.pack_into("<I", image, at[3], ops * tiles)
    return blob_edit.sealed(bytes(image))


def steps(blobs: list[bytes], folder: Path) -> list[int]:
    """Basic blocks of the check of each; all must be accepted."""
    paths = []
    for number, blob in enumerate(blobs):
        paths.append(str(folder / f"{number}.rlm"))
        Path(paths[-1]).write_bytes(blob)
    done = subprocess.run([str(program()), *paths], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["status"] for row in rows} == {0}
    return [row["steps"] for row in rows]


def bound(size: int, ops: int, tiles: int) -> int:
    """Basic blocks that a blob's check may take."""
    passes = -(-ops // 64)
    return (1000 + A_BYTE * size + AN_OP * ops + A_PAIR * ops * ops
            + A_TILE * tiles + A_LOOK * passes * tiles)  # fmt: skip


def test_the_check_of_any_blob_stays_within_the_bound(tmp_path: Path) -> None:
    blobs = [chain(ops, tiles) for ops, tiles in SHAPES]
    for (ops, tiles), blob, counted in zip(SHAPES, blobs, steps(blobs, tmp_path), strict=True):
        assert counted <= bound(len(blob), ops, ops * tiles), (ops, tiles)
        # A bound that is far off guards nothing.
        assert counted > bound(len(blob), ops, ops * tiles) // 3, (ops, tiles)


@pytest.mark.heavy
def test_the_worst_blob_of_a_megabyte(tmp_path: Path) -> None:
    worst = [chain(ops, tiles) for ops, tiles in ((4095, 8), (2000, 30), (3000, 16), (64, 1000))]
    assert all(len(blob) <= LARGEST for blob in worst)
    assert max(steps(worst, tmp_path)) < 60_000_000
