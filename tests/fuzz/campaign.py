"""Fuzzes every target in turn: `python -m tests.fuzz.campaign MINUTES [TARGET...]`.

With clang a part of each C target's turn is guided by coverage. What is reached is kept in
build/fuzz/corpus, so a later run goes on from there, and for the rest of the turn the target's own
mutants of it run, some ten times as fast. What was counted is in build/fuzz/report.json, what
broke a promise in build/fuzz/findings. Everything runs under sanitizers. Exit code 1: a finding.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import build, host, report, seeds

SLICE_S = 60.0  # of one target, before the next has its turn
TURNS = {"frame": 10, "request": 4}  # slices of a turn: what is quick goes far
GUIDED = 0.25  # of a slice
PROCESS_S = 4.0  # of mutants in one process, roughly
FILES = 400  # inputs of such a process
LONGEST = 20_000  # bytes of an input
OPTIONS = {"ASAN_OPTIONS": "quarantine_size_mb=1"}  # fewer fresh pages
INSTALL = "no clang with libFuzzer: apt install clang libclang-rt-dev. Without guidance for now."


class Campaign:
    """The programs, where the inputs are, what is counted."""

    def __init__(self, names: list[str]) -> None:
        alone, clang = build.alone(), build.clang()
        if alone is None:
            raise SystemExit("no C compiler is installed: apt install gcc")
        if clang is None:
            print(INSTALL)
        self.names = names
        native = tuple(name for name in names if name in build.TARGETS)
        single = build.programs(alone, native) if native else {}
        self.programs = {"mutants": single}
        if clang is not None and native:
            self.programs["guided"] = build.programs(clang, native)
        self.rounds = dict.fromkeys(native, 2000)
        self.dice = random.Random()
        for name in native:
            if not self.folder("seeds", name).is_dir():
                seeds.write(name, single[name], self.folder("seeds", name), rounds=12)
        self.counts = report.load()
        self.native = {name: report.fingerprint(build.concerned(name)) for name in native}
        self.python = report.fingerprint((build.ROOT / "host").rglob("*.py"))
        self.round = int(time.time()) & 0xFFFFFF

    def folder(self, what: str, name: str) -> Path:
        return build.BUILD / what / name

    def run(self, minutes: float) -> None:
        """Targets take turns until the time is over."""
        end = time.monotonic() + 60 * minutes
        turns = sum(TURNS.get(name, 1) for name in self.names)
        share = max(5.0, min(SLICE_S, 60 * minutes / turns))
        while time.monotonic() < end - 1:
            for name in [one for one in self.names for _ in range(TURNS.get(one, 1))]:
                left = end - time.monotonic()
                if left > 1:
                    self.slice(name, min(share, left))

    def slice(self, name: str, seconds: float) -> None:
        """One turn of a target."""
        self.round += 1
        count = self.counts.setdefault(name, report.Count())
        if name == "host":
            began = time.monotonic()
            done, finding = host.campaign(self.round, seconds, build.BUILD / "findings")
            count.add(self.python, "mutants", done, time.monotonic() - began)
            count.findings += [finding] if finding else []
        else:
            if "guided" in self.programs:
                self._count(name, "guided", self._guided, GUIDED * seconds)
                seconds *= 1 - GUIDED
            self._count(name, "mutants", self._mutants, seconds)
            count.findings = sorted(p.name for p in self._findings(name))
        if self.folder("corpus", name).is_dir():
            count.corpus = sum(1 for _ in self.folder("corpus", name).iterdir())
        report.save(self.counts)
        print(f"{name}: {count.executions:,} executions of these sources", flush=True)

    def _count(
        self, name: str, way: str, run: Callable[[str, float], tuple[int, int]], seconds: float
    ) -> None:
        began = time.monotonic()
        done, edges = run(name, seconds)
        count = self.counts[name]
        count.add(self.native[name], way, done, time.monotonic() - began)
        count.edges = max(edges, count.edges)

    def _findings(self, name: str) -> list[Path]:
        return list((build.BUILD / "findings").glob(f"{name}-*"))

    def _guided(self, name: str, seconds: float) -> tuple[int, int]:
        """libFuzzer: (executions, edges)."""
        corpus = self.folder("corpus", name)
        corpus.mkdir(parents=True, exist_ok=True)
        findings = build.BUILD / "findings"
        findings.mkdir(exist_ok=True)
        given = [self.folder("seeds", name), build.HERE / "corpus" / name]
        command = [str(self.programs["guided"][name]), str(corpus)]
        command += [str(path) for path in given if path.is_dir()]
        command += [f"-max_total_time={int(seconds) or 1}", "-print_final_stats=1", "-timeout=20",
                    f"-max_len={LONGEST}", "-use_value_profile=1", "-reload=0",
                    f"-artifact_prefix={findings}/{name}-", f"-seed={self.round}"]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True,
                                   stdout=subprocess.DEVNULL, errors="replace")  # fmt: skip
        try:
            _, text = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
        if process.returncode != 0:
            print(text[-4000:])
        executed = re.search(r"number_of_executed_units: (\d+)", text)
        edges = re.findall(r"cov: (\d+)", text)
        return int(executed[1]) if executed else 0, int(edges[-1]) if edges else 0

    def _mutants(self, name: str, seconds: float) -> tuple[int, int]:
        """Mutants of seeds and of what was reached, without guidance: (executions, 0)."""
        end, done = time.monotonic() + seconds, 0
        folders = [self.folder("seeds", name), build.HERE / "corpus" / name,
                   self.folder("corpus", name)]  # fmt: skip
        given = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
        while time.monotonic() < end:
            self.round += 1
            began, rounds = time.monotonic(), self.rounds[name]
            some = sorted(self.dice.sample(given, min(FILES, len(given))))
            command = [str(self.programs["mutants"][name]), "mutate", str(rounds),
                       str(self.round), *map(str, some)]  # fmt: skip
            run = _ran(command)
            if run.returncode != 0:
                print(run.stderr[-4000:])
                self._again(name, command)
                return done, 0
            done += rounds
            took = time.monotonic() - began
            self.rounds[name] = int(rounds * min(8.0, max(0.25, PROCESS_S / took)))
        return done, 0

    def _again(self, name: str, command: list[str]) -> None:
        """The same mutants: each is written down before it runs, so the last is the finding."""
        last = build.BUILD / f"last-{name}"
        again = _ran(command, RELUME_FUZZ_LAST=str(last))
        (build.BUILD / "findings").mkdir(exist_ok=True)
        finding = build.BUILD / "findings" / f"{name}-{self.round:x}"
        if again.returncode != 0:
            shutil.copy(last, finding)
        else:  # it needs what came before
            finding.with_suffix(".txt").write_text(" ".join(command), encoding="utf-8")


def _ran(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={**os.environ, **OPTIONS, **environment}, check=False,
                          capture_output=True, text=True, errors="replace")  # fmt: skip


def main() -> int:
    names = sys.argv[2:] or [*build.TARGETS, "host"]
    unknown = set(names) - {*build.TARGETS, "host"}
    if len(sys.argv) < 2 or unknown:
        print(f"MINUTES [{' '.join([*build.TARGETS, 'host'])}]")
        return 2
    campaign = Campaign(names)
    try:
        campaign.run(float(sys.argv[1]))
    except KeyboardInterrupt:
        print("stopped; the next run goes on from here")
    print(report.table(campaign.counts))
    return int(any(campaign.counts[name].findings for name in names if name in campaign.counts))


if __name__ == "__main__":
    sys.exit(main())
