"""What the fuzzers have counted, kept over runs: build/fuzz/report.json and a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
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
    ways: dict[str, int] = field(default_factory=dict)  # guided, mutants: executions
    findings: list[str] = field(default_factory=list)

    def add(self, sources: str, way: str, executions: int, seconds: float) -> None:
        """One more run; other sources begin anew."""
        if sources != self.sources:
            self.sources, self.executions, self.seconds, self.edges = sources, 0, 0.0, 0
            self.findings, self.ways = [], {}
        self.ways[way] = self.ways.get(way, 0) + executions
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
    known = {one.name for one in fields(Count)}
    rows = json.loads(file.read_text(encoding="utf-8")).items()
    return {name: Count(**{k: v for k, v in row.items() if k in known}) for name, row in rows}


def save(counts: dict[str, Count], file: Path = FILE) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    rows = {name: asdict(count) for name, count in counts.items()}
    partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def table(counts: dict[str, Count]) -> str:
    """For people."""
    lines = [f"{'target':8}{'executions':>15}{'guided':>13}{'ever':>15}{'minutes':>9}{'edges':>7}"
             f"{'corpus':>8}  findings"]  # fmt: skip
    for name, c in sorted(counts.items()):
        found = ", ".join(c.findings) or "none"
        lines.append(
            f"{name:8}{c.executions:15,}{c.ways.get('guided', 0):13,}{c.ever:15,}"
            f"{c.seconds / 60:9.1f}{c.edges:7}{c.corpus:8}  {found}"
        )
    done, ever, seconds = (sum(getattr(c, what) for c in counts.values())
                           for what in ("executions", "ever", "seconds"))  # fmt: skip
    lines.append(f"{'all':8}{done:15,}{'':13}{ever:15,}{seconds / 60:9.1f}")
    return "\n".join(lines)
