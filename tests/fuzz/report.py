"""What the fuzzers have counted, kept over runs: build/fuzz/report.json and a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.native import ROOT

FILE = ROOT / "build" / "fuzz" / "report.json"


@dataclass
class Count:
    """One target. executions, seconds: for these sources; ever: for any."""

    sources: str = ""
    executions: int = 0
    seconds: float = 0.0
    ever: int = 0
    edges: int = 0
    corpus: int = 0
    guided: bool = False
    findings: list[str] = field(default_factory=list)

    def add(self, sources: str, executions: int, seconds: float) -> None:
        """One more run; other sources begin anew."""
        if sources != self.sources:
            self.sources, self.executions, self.seconds, self.edges = sources, 0, 0.0, 0
            self.findings = []
        self.executions += executions
        self.ever += executions
        self.seconds += seconds


def fingerprint(paths: Iterable[Path]) -> str:
    """Changes when one of the files does."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:12]


def load(file: Path = FILE) -> dict[str, Count]:
    """Target -> what was counted; nothing yet: empty."""
    if not file.is_file():
        return {}
    return {name: Count(**row) for name, row in json.loads(file.read_text()).items()}


def save(counts: dict[str, Count], file: Path = FILE) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    rows = {name: asdict(count) for name, count in counts.items()}
    partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def table(counts: dict[str, Count]) -> str:
    """For people."""
    head = f"{'target':8}{'executions':>14}{'ever':>14}{'minutes':>9}{'edges':>7}{'corpus':>8}"
    lines = [head + "  guided  findings"]
    for name, c in sorted(counts.items()):
        found = ", ".join(c.findings) or "none"
        lines.append(
            f"{name:8}{c.executions:14,}{c.ever:14,}{c.seconds / 60:9.1f}{c.edges:7}"
            f"{c.corpus:8}  {'yes' if c.guided else 'no':6}  {found}"
        )
    return "\n".join(lines)
