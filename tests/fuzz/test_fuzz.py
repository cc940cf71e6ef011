"""Hostile bytes, under ASan and UBSan: nothing that a fuzz target is given does harm.

Each target runs the committed corpus, sound inputs made anew, and mutants of both. What guides the
mutants for hours is `make fuzz`.

SECURITY B1, B2, B4, B5, S2, S3, K3, K4, F1, F2, F3, H1.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import build, host, report, seeds

MUTANTS = {"blob": 1500, "store": 1500, "kv": 800, "slots": 300, "link": 500,
           "frame": 60_000, "request": 50_000}  # fmt: skip
# How deep sound inputs and mutants of them must get, so that the promises are put to the test.
DEPTH = {
    "blob": {"accepted": 150, "portable": 40, "m0plus": 40, "m4": 40, "behind": 100, "done": 150},
    "store": {"resumed": 100, "damaged": 50, "empty": 50, "done": 500},
    "kv": {"opened": 300, "damaged": 50, "spoilt": 5, "commits": 1000, "full": 1},
    "slots": {"found": 500, "begun": 200, "resumed": 50, "deployed": 100, "refused": 50},
    "link": {"replies": 5000, "committed": 500, "outputs": 100, "cuts": 100},
    "frame": {"ready": 15_000, "escapes": 300, "wrong_crc": 8_000, "too_long": 500},
    "request": {"replies": 40_000, "refused": 20_000, "begun": 1500, "outputs": 1500},
}


@functools.cache
def programs() -> dict[str, Path]:
    """Every target standing alone; skips when there is no C compiler."""
    compiler = build.alone()
    if compiler is None:
        pytest.skip("cc is not installed")
    return build.programs(compiler)


def run(target: str, *arguments: str, last: Path | None = None) -> dict[str, int]:
    """What a run counted; a broken promise or a sanitizer's report fails the test."""
    command = [str(programs()[target]), *arguments]

    def ran(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300,
                              env={**os.environ, **more})  # fmt: skip

    done = ran()
    if done.returncode != 0 and last is not None:
        done = ran(RELUME_FUZZ_LAST=str(last))  # the same mutants, each written down first
    assert done.returncode == 0, f"{last or arguments[:1]}: " + done.stderr[-3000:]
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def corpus(target: str) -> list[Path]:
    """Inputs that a fuzzer found worth keeping."""
    return sorted((build.HERE / "corpus" / target).glob("*.bin"))


@functools.cache
def sound(target: str) -> list[Path]:
    """Inputs made by today's planner and layouts."""
    folder = build.BUILD / "sound" / target
    return seeds.write(target, programs()[target], folder, rounds=3)


@pytest.mark.parametrize("target", build.TARGETS)
def test_the_corpus_does_no_harm(target: str) -> None:
    assert len(corpus(target)) >= 20
    assert run(target, *map(str, corpus(target)))["runs"] == len(corpus(target))


@pytest.mark.parametrize("target", build.TARGETS)
def test_mutants_of_sound_inputs_get_deep_and_do_no_harm(target: str, tmp_path: Path) -> None:
    paths = [*map(str, sound(target))]
    counts = run(target, *paths)
    rounds = str(MUTANTS[target])
    for key, n in run(target, "mutate", rounds, "1", *paths, last=tmp_path / "last").items():
        counts[key] += n
    assert all(counts[key] >= least for key, least in DEPTH[target].items()), counts


def test_frames_of_the_wire_corpus_come_out() -> None:
    paths = [path for path in corpus("link") if not path.name.startswith("found-")]
    assert len(paths) == 9
    assert run("link", *map(str, paths))["ready"] == 4


@pytest.mark.parametrize("kind", build.KINDS)
def test_pure_noise_is_an_empty_store(kind: str, tmp_path: Path) -> None:
    paths = []
    for seed in range(20):
        path = tmp_path / f"{seed}.bin"
        how = bytes([build.KINDS.index(kind), seed])
        path.write_bytes(how + random.Random(seed).randbytes(257 * 90 if seed % 2 else 1024))
        paths.append(str(path))
    counts = run("store", *paths)
    assert counts["empty"] == 20 and counts["damaged"] == 0


@pytest.mark.parametrize("kind", host.READERS)
def test_hostile_files_and_replies_end_in_a_result_or_one_line(kind: str, tmp_path: Path) -> None:
    counts = host.attacks(kind, range(150 if kind == "tflite" else 400), tmp_path)
    assert counts[True] > 0 and (counts[False] > 100 or kind == "reply")


def test_what_was_counted_of_a_target_holds_for_the_files_that_it_is_made_of() -> None:
    frame, store = ({path.name for path in build.concerned(name)} for name in ("frame", "store"))
    assert {"frame.c", "crc32.c", "cobs.c", "frame.h"} <= frame and "session.c" not in frame
    assert {"session.c", "store.c", "nvm_fram.c", "images.c", "model_open.c"} <= store


def test_counts_of_other_sources_begin_anew_and_are_kept() -> None:
    count = report.Count()
    count.add("a", "guided", 10, 1.0)
    count.add("a", "mutants", 5, 1.0)
    assert (count.executions, count.ever, count.ways) == (15, 15, {"guided": 10, "mutants": 5})
    count.findings = ["blob-crash"]
    count.add("b", "mutants", 7, 1.0)
    assert (count.executions, count.ever, count.findings) == (7, 22, [])
    assert count.ways == {"mutants": 7}


def test_a_report_is_read_back(tmp_path: Path) -> None:
    counts = {"blob": report.Count("a", 3, 1.5, 9, 100, 4, {"guided": 3}, ["blob-1"])}
    report.save(counts, tmp_path / "report.json")
    assert report.load(tmp_path / "report.json") == counts
    assert "blob-1" in report.table(counts)
