"""The host-independent C on other machines: 32-bit pointers (i386 as it is, ARM under qemu-user),
and big-endian where bytes have an order of their own (frames, CRC).

Blobs and records are read in place, so they are for little-endian machines, and a compiler for
another one says so.

SECURITY B1, F1.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from relume.model.graph import Kind

from tests import native
from tests.fuzz import build
from tests.fuzz.test_fuzz import corpus, programs, sound
from tests.fuzz.test_hostile_blobs import hostile
from tests.kernels import m4_ops
from tests.native import NATIVE, ROOT
from tests.powercut.plans import random_blob
from tests.unit import blob_edit
from tests.unit.golden import make_golden

BUILD = ROOT / "build" / "machines"
ARM = ("arm-linux-gnueabihf-gcc", "qemu-arm")
I386 = ("i686-linux-gnu-gcc",)
BIG = ("s390x-linux-gnu-gcc", "qemu-s390x")
PACKAGES: dict[tuple[str, ...], str] = {
    I386: "gcc-i686-linux-gnu libc6-dev-i386-cross",
    ARM: "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user",
    BIG: "gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user",
}
FLAGS = ("-std=gnu11", "-static", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}")
M0PLUS = 1
CASES: tuple[Callable[[int], bytes], ...] = (
    lambda seed: m4_ops.case(Kind.CONV_2D, seed).fast,
    lambda seed: m4_ops.case(Kind.DEPTHWISE_CONV_2D, seed).fast,
    lambda seed: m4_ops.case(Kind.FULLY_CONNECTED, seed).fast,
    lambda seed: m4_ops.case(Kind.ADD, seed).fast,
)


def machine(which: tuple[str, ...]) -> tuple[str, ...]:
    """Compiler and emulator; skips by name when they are not installed."""
    if not all(map(shutil.which, which)):
        pytest.skip(f"needs {' and '.join(which)}: apt install {PACKAGES[which]}")
    return which


@functools.cache
def runner() -> list[str]:
    """run_blob for 32-bit ARM, the assembly for Cortex-M4 in it."""
    compiler, emulator = machine(ARM)
    BUILD.mkdir(parents=True, exist_ok=True)
    patterns = ("blob*.c", "engine*.c", "stage.c", "crc32.c", "kernels/*/*.c", "kernels/m4/*.S")
    sources = [str(path) for pattern in patterns for path in sorted(NATIVE.glob(pattern))]
    program = str(BUILD / "run_blob_arm")
    sources.append(str(ROOT / "tests/kernels/run_blob.c"))
    command = [compiler, *FLAGS, "-mcpu=cortex-a15", "-O1", *sources, "-o", program]
    subprocess.run(command, check=True)
    return [emulator, program]


def outcomes(feed: list[tuple[bytes, bytes]]) -> list[native.Outcome]:
    """What the ARM program says of the cases."""
    script = BUILD / "run_blob_arm.sh"
    script.write_text("#!/bin/sh\nexec " + " ".join(runner()) + ' "$@"\n')
    script.chmod(0o755)
    return native.run_program(script, feed)


def test_32_bit_pointers_change_no_byte_and_no_verdict() -> None:
    random = np.random.default_rng(1)
    sound = [make_golden.BLOB.read_bytes(), *(random_blob(seed) for seed in range(6))]
    sound += [case(seed) for case in CASES for seed in range(3)]
    victims = [blob for blob in sound[7:] if len(blob) < 6000]
    blobs = [*sound, *(hostile(blob, random) for blob in victims for _ in range(20))]
    # This machine has the kernels of its own core, as a microcontroller has.
    blobs = [blob for blob in blobs if blob_edit.get(blob, "header.core") != M0PLUS]
    feed = [(blob, random.integers(0, 256, 64, np.uint8).tobytes()) for blob in blobs]
    runner()
    here = native.run_program(native.runners()[0], feed)
    there = outcomes(feed)
    assert [one.status for one in there] == [one.status for one in here]
    assert [one.offset for one in there] == [one.offset for one in here]
    assert [one.data for one in there[: len(sound)]] == [one.data for one in here[: len(sound)]]
    assert sum(one.status == "RL_OK" for one in there[len(sound) :]) > 20


@pytest.mark.parametrize("target", build.TARGETS)
def test_32_bit_programs_do_what_64_bit_ones_do(target: str) -> None:
    """Checker, engine, store, session, slots, keys and values, frames and the service before the
    interpreter, on sound and on hostile bytes."""
    (command,) = machine(I386)
    trap = "-fsanitize-undefined-trap-on-error"
    compiler = build.Compiler(command, False, "undefined", ("-static", trap))
    narrow = build.programs(compiler, (target,), folder=build.BUILD / "i386")[target]
    files = [*map(str, corpus(target)), *map(str, sound(target))]
    run = [subprocess.run([str(program), *files], capture_output=True, text=True, check=False)
           for program in (programs()[target], narrow)]  # fmt: skip
    assert [one.returncode for one in run] == [0, 0], run[1].stderr[-2000:]
    assert json.loads(run[0].stdout) == json.loads(run[1].stdout)


def test_frames_are_the_same_bytes_on_a_big_endian_machine() -> None:
    compiler, emulator = machine(BIG)
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "tests/fuzz/wire.c", NATIVE / "frame.c", NATIVE / "crc32.c"]
    printed = []
    for command, run in (([compiler], [emulator]), (["cc"], [])):
        program = str(BUILD / f"wire-{command[0]}")
        flags = [flag for flag in FLAGS if run or flag != "-static"]
        subprocess.run([*command, *flags, "-O2", *map(str, sources), "-o", program], check=True)
        for arguments in (["flips", "0"], ["noise", "300000", "5"], ["print", "40", "9"]):
            done = subprocess.run(
                [*run, program, *arguments], capture_output=True, text=True, check=True
            )
            printed.append(done.stdout)
    assert printed[:3] == printed[3:]
    assert json.loads(printed[0])["delivered"] == 0 and len(printed[2].splitlines()) == 41


@pytest.mark.parametrize("header", ["blob.h", "store.h", "kv.h"])
def test_what_is_read_in_place_is_refused_by_a_compiler_for_big_endian(
    header: str, tmp_path: Path
) -> None:
    compiler, _ = machine(BIG)
    (tmp_path / "main.c").write_text(f'#include "{header}"\nint main(void) {{ return 0; }}\n')
    command = [compiler, "-std=c99", f"-I{NATIVE}", "-fsyntax-only", str(tmp_path / "main.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "little-endian" in done.stderr
