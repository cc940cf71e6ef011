"""Mistakes in the parts of the NVM, in the scheduling of several models and in the table of slots:
the tests of several models find each.

SECURITY F3, F6.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fuzz.build import sources
from tests.native import NATIVE, ROOT

BUILD = ROOT / "build" / "powercut" / "many"
FLAGS = ("-std=c99", "-O1", "-fPIC", f"-I{NATIVE}")
MODELS, SLOTS = "test_many_models.py", "test_many_slots.py"
RUN = """
import ctypes, sys
import pytest
from tests import native
library = ctypes.CDLL(sys.argv[1])
native.librelume = lambda: library
sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


@dataclass(frozen=True)
class Fault:
    """In `source`, the text `right` (there once) becomes `wrong`; `tests` find it."""

    name: str
    tests: str
    source: str
    right: str
    wrong: str


FAULTS = tuple(
    Fault(*row)
    for row in (
        ("inside_a_part", SLOTS, "slots_room.c", "at - parts[i].at < parts[i].size", "0"),
        ("others_forgotten", SLOTS, "slots_room.c", "if (!rl_slots_same(slot, &slots->draft)",
         "if (rl_slots_same(slot, &slots->draft)"),
        ("another_part_kept", SLOTS, "slots_room.c",
         "if (table->slot[i].meta_crc == header->meta_crc) {", "if (i == 0) {"),
        ("gap_too_small", SLOTS, "slots_room.c", "if (size >= need && (found",
         "if (size > 0 && (found"),
        ("last_comes_first", MODELS, "early_models.c",
         "|| rl_record_first(&m->store.newest,", "|| !rl_record_first(&m->store.newest,"),
        ("of_another_model", MODELS, "early_models.c",
         "&& m->store.newest.model == m->slot.meta_crc",
         "&& m->store.newest.model != m->slot.meta_crc"),
        ("a_look_is_an_attempt", MODELS, "early_link.c",
         "return !m->open && rl_early_stands(m) == RL_STATE_RUNNING;", "return m == NULL;"),
        ("model_not_looked_at", MODELS, "early_link.c", "m->slot.meta_crc == get(body + at)",
         "i == models->active"),
        ("memory_used_twice", MODELS, "early_models.c", "e->used += aligned(need);",
         "e->used += 0;"),
        ("all_first", MODELS, "store.c", "return a->priority > b->priority;",
         "return a->priority < b->priority;"),
    )
)  # fmt: skip
QUICK = ("others_forgotten", "gap_too_small")


def text_of(fault: Fault) -> str:
    text = (NATIVE / fault.source).read_text(encoding="utf-8")
    assert text.count(fault.right) == 1, f"{fault.name}: {fault.source} has changed"
    return text.replace(fault.right, fault.wrong)


@functools.cache
def objects() -> dict[str, Path]:
    """The shipping C, compiled one by one."""
    BUILD.mkdir(parents=True, exist_ok=True)
    made = {}
    for path in sources():
        place = path.relative_to(NATIVE)
        made[str(place)] = target = BUILD / ("_".join(place.parts) + ".o")
        subprocess.run(["cc", *FLAGS, "-c", str(path), "-o", str(target)], check=True)
    return made


def library(name: str, source: str | None = None, text: str = "") -> Path:
    """librelume.so, one source replaced."""
    parts = dict(objects())
    if source is not None:
        path = BUILD / f"{name}.c"
        path.write_text(text, encoding="utf-8")
        parts[source] = BUILD / f"{name}.o"
        subprocess.run(["cc", *FLAGS, "-c", str(path), "-o", str(parts[source])], check=True)
    target = BUILD / f"{name}.so"
    subprocess.run(["cc", "-shared", *map(str, parts.values()), "-o", str(target)], check=True)
    return target


def passes(path: Path, tests: str) -> bool:
    """The tests get past this library. A crash and a hang are findings too."""
    command = [sys.executable, "-c", RUN, str(path), str(ROOT / "tests" / "powercut" / tests)]
    try:
        done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def found(fault: Fault) -> bool:
    return not passes(library(fault.name, fault.source, text_of(fault)), fault.tests)


def test_the_sources_as_they_are_pass() -> None:
    assert passes(library("sound"), SLOTS)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.name in QUICK], ids=lambda f: f.name)
def test_a_mistake_is_found(fault: Fault) -> None:
    assert found(fault)


def test_every_mistake_still_fits_its_source() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(text_of(fault) for fault in FAULTS)


@pytest.mark.heavy
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_each_mistake_is_found(fault: Fault) -> None:
    assert found(fault)


@pytest.mark.heavy
def test_the_sources_as_they_are_pass_with_several_models() -> None:
    assert passes(library("sound"), MODELS)
