"""Hostile bytes, under ASan and UBSan: no frame and no store content does harm."""

from __future__ import annotations

import functools
import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.native import NATIVE, ROOT
from tests.powercut import harness

HERE = ROOT / "tests" / "fuzz"
CORPUS = HERE / "corpus"
KINDS = ("fram", "flash", "file")


@functools.cache
def program() -> Path:
    """fuzz.c around the shipping sources."""
    parts = {**harness.objects(harness.SANITIZED)}
    # The session runs the engine itself here, not the reference of the power cut tests.
    for name in ("cuts.c", "life.c", "broken.c", "reference.c", "powercut.c", "session_step.c"):
        del parts[name]
    folder = ROOT / "build" / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [HERE / "fuzz.c", NATIVE / "session_step.c", NATIVE / "frame.c"]
    include = [f"-I{NATIVE}", f"-I{harness.HERE}"]
    command = ["cc", *harness.WARNINGS, *harness.SANITIZED, *include]
    command += [str(path) for path in (*sources, *parts.values())]
    command += ["-o", str(folder / "fuzz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "fuzz"


def fuzz(*arguments: str) -> dict[str, int]:
    """What a run counted; a broken promise or a sanitizer's report fails the test."""
    done = subprocess.run(
        [str(program()), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_no_stream_of_frames_and_noise_does_harm() -> None:
    found = fuzz("frames", "4000", "1")
    assert found["ready"] > 1000 and found["escapes"] > 100


@pytest.mark.parametrize("kind", KINDS)
def test_no_content_of_the_store_does_harm(kind: str) -> None:
    for seed in (0, 6):
        found = fuzz("store", str(harness.blob_file(seed, kind)), "5000", str(seed))
        assert min(found["resumed"], found["damaged"], found["empty"]) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_pure_noise_is_an_empty_store(kind: str, tmp_path: Path) -> None:
    blob = harness.blob_file(0, kind)
    paths = []
    for seed in range(20):
        path = tmp_path / f"{seed}.bin"
        path.write_bytes(random.Random(seed).randbytes(6 * 4096 if kind == "flash" else 1024))
        paths.append(str(path))
    assert fuzz("file", str(blob), *paths)["empty"] == 20


def test_the_frame_corpus_does_no_harm() -> None:
    paths = sorted(CORPUS.glob("frames/*.bin"))
    assert len(paths) >= 6
    found = fuzz("file", "frames", *map(str, paths))
    assert (found["ready"], found["escapes"]) == (4, 1)
