"""What the checker accepts is safe to run, on every core, under ASan and UBSan.

Blobs of one op with each core's own layouts are changed field by field, checksums right. run_blob
gives every tile exactly the memory that its op asks for and stops when one writes elsewhere.

SECURITY B1.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from relume.model.graph import Kind

from tests import native
from tests.kernels import m0plus_ops, m4_ops
from tests.kernels.m0plus_depthwise_ops import case as m0plus_depthwise
from tests.unit import blob_edit

Random = np.random.Generator
VICTIMS, SMALL, ARENA = 6, 12_000, 1 << 15
CASES: dict[str, Callable[[int], bytes]] = {
    "m0plus conv": lambda seed: m0plus_ops.case(Kind.CONV_2D, seed).fast,
    "m0plus dense": lambda seed: m0plus_ops.case(Kind.FULLY_CONNECTED, seed).fast,
    "m0plus depthwise": lambda seed: m0plus_depthwise(seed).fast,
    "m4 conv": lambda seed: m4_ops.case(Kind.CONV_2D, seed).fast,
    "m4 depthwise": lambda seed: m4_ops.case(Kind.DEPTHWISE_CONV_2D, seed).fast,
    "m4 dense": lambda seed: m4_ops.case(Kind.FULLY_CONNECTED, seed).fast,
    "m4 add": lambda seed: m4_ops.case(Kind.ADD, seed).fast,
}
WINDOW = ("kh", "kw", "sh", "sw", "pad_top", "pad_left", "dil_h", "dil_w", "depth_mult")
PARAMETERS = tuple(f"p{i}" for i in range(7))
ARRAYS = ("off_w", "off_bias", "off_mult", "off_shift")


@functools.cache
def victims(name: str) -> tuple[bytes, ...]:
    """Small blobs of one kind and core; those with the fourth array (indices) come first."""
    small = [blob for blob in map(CASES[name], range(60)) if len(blob) < SMALL]
    small.sort(key=lambda blob: blob_edit.get(blob, f"{last(blob)}.off_shift") == 0)
    return (*small[: VICTIMS // 2], *small[-VICTIMS // 2 :])


def last(blob: bytes) -> str:
    """The op that has the core's kernel: all of them are last."""
    return f"op[{blob_edit.get(blob, 'header.n_ops') - 1}]"


def near(old: int, random: Random) -> int:
    """A value of the kind that an attacker tries."""
    return int(random.choice([
        0, 1, 2, 3, 4, 5, old + 1, old - 1, old * 2, old // 2, -1, 255, 0x7FFF, 1 << 16, 1 << 20,
        int(random.integers(0, 1 << 8)), int(random.integers(0, 1 << 31)),
    ]))  # fmt: skip


def field(blob: bytes, random: Random, names: tuple[str, ...]) -> bytes:
    """One field of the op."""
    path = f"{last(blob)}.{random.choice(names)}"
    value = near(blob_edit.get(blob, path), random)
    width = {"H": 16, "I": 32, "i": 31}[blob_edit.at(blob, path)[1]]
    value %= 1 << width
    return blob_edit.put(blob, {path: value})


def reshape(blob: bytes, random: Random) -> bytes:
    """New heights and widths that fit each other; sizes, places and units made to fit them."""
    op = last(blob)
    ends = [blob_edit.get(blob, f"{op}.{end}") for end in ("in0", "in1", "out")]
    sides, changes = _sides(blob, op, random)
    arena = 0
    for tensor in sorted(set(ends) - {0xFFFF}):
        h, w = sides[tensor == ends[2]]
        c = blob_edit.get(blob, f"tensor[{tensor}].c")
        changes |= {f"tensor[{tensor}].{key}": n for key, n in (("h", h), ("w", w))}
        changes |= {f"tensor[{tensor}].size": h * w * c, f"tensor[{tensor}].arena_off": arena}
        arena += -(-h * w * c // 16) * 16
    changes |= {"header.arena_size": arena, "header.nvm_size": ARENA}
    for tile in range(blob_edit.get(blob, "header.n_tiles")):
        if blob_edit.get(blob, f"tile[{tile}].scratch"):
            changes[f"tile[{tile}].scratch"] = arena // 16
    return blob_edit.put(blob, changes | tiles(blob, sides[1][0] * sides[1][1]))


def _sides(
    blob: bytes, op: str, random: Random
) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """Height and width of inputs and output, and the strides and padding that go with them."""
    inside = [int(n) for n in random.integers(1, 12, 2)]
    if Kind(blob_edit.get(blob, f"{op}.kind")) in (Kind.FULLY_CONNECTED, Kind.ADD):
        return [(inside[0], inside[1])] * 2, {}
    out, changes = [], {}
    strides = random.integers(1, 4, 2) if random.random() < 0.5 else [random.integers(1, 3)] * 2
    axes = zip(inside, strides, ("h", "w"), ("top", "left"), strict=True)
    for size, stride, axis, edge in axes:
        taps = blob_edit.get(blob, f"{op}.k{axis}")
        reach = (taps - 1) * blob_edit.get(blob, f"{op}.dil_{axis}")
        pad = int(random.integers(0, min(reach, 12) + 1))
        out.append(int(random.integers(1, (size + pad - 1) // int(stride) + 2)))
        changes |= {f"{op}.s{axis}": int(stride), f"{op}.pad_{edge}": pad}
    return [(inside[0], inside[1]), (out[0], out[1])], changes


def _cut(n: int, units: int) -> list[tuple[int, int]]:
    """n tiles of one unit but the last."""
    return [(i, 1 if i < n - 1 else max(0, units - i)) for i in range(n)]


def tiles(blob: bytes, pixels: int) -> dict[str, int]:
    """Units and tiles of ops whose outputs all have that many pixels."""
    changes = {}
    tiles_of = [
        blob_edit.get(blob, f"tile[{i}].op") for i in range(blob_edit.get(blob, "header.n_tiles"))
    ]
    for op in range(blob_edit.get(blob, "header.n_ops")):
        out = blob_edit.get(blob, f"op[{op}].out")
        size = pixels * blob_edit.get(blob, f"tensor[{out}].c")
        units = changes[f"op[{op}].units"] = size // blob_edit.get(blob, f"op[{op}].unit_bytes")
        own = [i for i, tile_op in enumerate(tiles_of) if tile_op == op]
        for tile, (first, count) in zip(own, _cut(len(own), units), strict=True):
            changes |= {f"tile[{tile}].first": first, f"tile[{tile}].count": count}
    return changes


def noise(blob: bytes, random: Random) -> bytes:
    """Bytes of one of the op's arrays."""
    image = bytearray(blob)
    start = blob_edit.get(blob, f"{last(blob)}.{random.choice(ARRAYS)}")
    if blob_edit.get(blob, "header.meta_size") <= start < len(image):
        start += int(random.integers(0, random.choice([8, 256])))
        end = min(len(image), start + int(random.integers(1, 9)))
        image[start:end] = random.integers(0, 256, max(0, end - start), dtype=np.uint8).tobytes()
    return blob_edit.sealed(bytes(image))


def roomy(blob: bytes) -> bytes:
    """Scratch memory for parameters that ask for much."""
    return blob_edit.put(blob, {"header.scratch_size": ARENA})


def moved(blob: bytes, random: Random) -> bytes:
    """Header, tensors or kernel: another core, a zero point, a place in the arena."""
    path, value = [
        ("header.core", int(random.integers(0, 3))),
        (f"{last(blob)}.kernel", int(random.integers(0, 3))),
        (f"{last(blob)}.kind", int(random.integers(0, 12))),
        ("tensor[0].zero_point", int(random.integers(-128, 128))),
        ("tensor[0].arena_off", 4 * int(random.integers(0, 64))),
        (f"{last(blob)}.w_size", near(64, random) % (1 << 31)),
    ][int(random.integers(0, 6))]
    return blob_edit.put(blob, {path: value})


def hostile(blob: bytes, random: Random) -> bytes:
    """Often another shape, then up to three changes such that the blob may still be accepted."""
    if random.random() < 0.7:
        blob = roomy(blob)
    reshaped = random.random() < 0.6
    if reshaped:
        blob = reshape(blob, random)
    for _ in range(int(random.integers(not reshaped, 4 - reshaped))):
        how = int(random.integers(0, 6))
        if how < 4:
            blob = field(blob, random, WINDOW if how < 1 else PARAMETERS)
        else:
            blob = (noise if how == 4 else moved)(blob, random)
    return blob


def attack(name: str, seed: int, each: int) -> Counter[str]:
    """Statuses of `each` hostile blobs of every victim; a sanitizer's report fails the test."""
    random = np.random.default_rng(seed)
    feed = [(hostile(blob, random), b"\x5a" * 64) for blob in victims(name) for _ in range(each)]
    program: Path = native.runners()[0]
    return Counter(outcome.status for outcome in native.run_program(program, feed))


@pytest.mark.parametrize("name", CASES)
def test_accepted_blob_runs_clean(name: str) -> None:
    count = attack(name, 0, 100)
    assert count["RL_OK"] > 50 and count.total() - count["RL_OK"] > 50, count
    assert count["RL_E_CRC"] == 0


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("name", CASES)
def test_many_accepted_blobs_run_clean(name: str, seed: int) -> None:
    assert attack(name, seed, 1500)["RL_OK"] > 500


FAULTS = [
    ("blob_m4.c", "place[i] < channels", "place[i] < channels + 4096u", "m4 conv"),
    ("blob_m0plus.c", "place[i] < channels", "place[i] < channels + 4096u", "m0plus conv"),
    ("kernels/m4/layout.c", "+ op->kw) * op->kh * c", "+ op->kw - 1u) * op->kh * c", "m4 conv"),
    ("kernels/m4/layout.c", "+ 1u) * row", "+ 0u) * row", "m4 depthwise"),
    ("kernels/m4/layout.c", "8u + 3u * terms", "8u + 2u * terms", "m4 dense"),
]


@pytest.mark.heavy
@pytest.mark.parametrize(("file", "right", "wrong", "name"), FAULTS)
def test_seeded_fault_is_found(
    file: str, right: str, wrong: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "native_modules" / "relume"
    shutil.copytree(native.NATIVE, folder)
    shutil.copytree(native.ROOT / "tests" / "kernels", tmp_path / "tests" / "kernels")
    source = folder / file
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))
    program = tmp_path / "build" / "host" / "run_blob_asan"
    subprocess.run(["make", "-s", "-C", str(folder), str(program)], check=True)
    monkeypatch.setattr(native, "runners", lambda: [program])
    with pytest.raises(AssertionError, match=r"Sanitizer|runtime error|wrote outside"):
        for seed in range(4):
            attack(name, seed, 300)
