"""Mistakes put into checker, decoder, store and slots one by one: the fuzz targets find each.

SECURITY B1, B2, B5, S3, F1.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz import build, seeds
from tests.fuzz.faults import FAULTS, Fault
from tests.fuzz.test_fuzz import corpus, programs
from tests.native import NATIVE

ROUNDS, SEEDS = 20_000, 12
QUICK = ("frame_crc", "input_end", "key_size")


def faulty(fault: Fault) -> Path:
    """The fault's target with the fault in it."""
    text = (NATIVE / fault.source).read_text(encoding="utf-8")
    assert text.count(fault.right) == 1, f"{fault.name}: {fault.source} has changed"
    programs()
    compiler = build.alone()
    assert compiler is not None
    folder = build.BUILD / "faulty" / fault.name
    text = text.replace(fault.right, fault.wrong)
    return build.faulty(compiler, fault.target, fault.source, text, folder)


def finds(fault: Fault) -> str:
    """What brings the faulty program down: "corpus", "mutants of seed n"; "" if nothing does."""
    program = str(faulty(fault))
    sound = build.BUILD / "sound" / fault.target
    given = [*map(str, seeds.write(fault.target, programs()[fault.target], sound, rounds=3))]
    kept = map(str, corpus(fault.target))
    if subprocess.run([program, *given, *kept], capture_output=True, check=False).returncode:
        return "corpus"
    for seed in range(SEEDS):
        command = [program, "mutate", str(ROUNDS), str(seed), *given]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return f"mutants of seed {seed}"
    return ""


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.name in QUICK], ids=lambda f: f.name)
def test_a_mistake_is_found(fault: Fault) -> None:
    assert finds(fault)


def test_every_mistake_still_fits_its_source() -> None:
    assert len(FAULTS) >= 25 and len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        text = (NATIVE / fault.source).read_text(encoding="utf-8")
        assert text.count(fault.right) == 1, f"{fault.name}: {fault.source} has changed"


@pytest.mark.heavy
def test_all_mistakes_are_found() -> None:
    found = {fault.name: finds(fault) for fault in FAULTS}
    assert all(found.values()), [name for name, how in found.items() if not how]
