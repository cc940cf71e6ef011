"""Faults of a blob: every number has its text, and the checker knows every one."""

from __future__ import annotations

import re
from typing import Any

from tests import native

LIST = (native.NATIVE / "blob_faults.h").read_text()
FAULTS = re.findall(r'FAULT\((\w+),[\s\\\\]*"([^"]+)"\)', LIST)


def test_every_number_has_its_text() -> None:
    got = [native.fault_text(number) for number in range(1, len(FAULTS) + 1)]
    assert got == [text for _, text in FAULTS] and len(got) > 100


def test_no_fault_has_no_text() -> None:
    assert native.fault_text(0) == ""


def test_numbers_past_the_list_are_unknown() -> None:
    for number in (len(FAULTS) + 1, 255, 2**32 - 1):
        assert native.fault_text(number) == "unknown fault"


def test_every_fault_is_one_that_is_found() -> None:
    files = [*native.NATIVE.glob("blob*.c"), *native.NATIVE.glob("slots*.c")]
    source = "".join(path.read_text() for path in files)
    used = set(re.findall(r"RL_FAULT_(\w+)", source))
    used |= set(re.findall(r"(\w+)\);", source))
    used |= set(re.findall(r"RANGE\w*\((\w+),", source))
    assert [name for name, _ in FAULTS if name not in used] == []


def test_the_python_engine_has_the_same_texts() -> None:
    source = (native.ROOT / "firmware" / "relume_pure" / "faults.py").read_text()
    scope: dict[str, Any] = {}
    exec(source, scope)
    got = [scope["text"](number) for number in range(1, len(FAULTS) + 1)]
    assert got == [text for _, text in FAULTS]
    assert scope["text"](len(FAULTS) + 1) == scope["text"](0) == "unknown fault"
