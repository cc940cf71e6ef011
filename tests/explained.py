"""Markdown lists of what may stay: each entry below a heading that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


def listed(path: Path, entry: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Each line that is an entry, and the heading above it."""
    why = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            why = line[3:]
        elif found := entry.match(line):
            yield found, why
