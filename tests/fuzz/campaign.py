"""Fuzzes every target in turn: `python -m tests.fuzz.campaign MINUTES [TARGET...]`.

With clang the C targets are guided by coverage, else their own mutations run. What was reached is
kept in build/fuzz/corpus, so a later run goes on from there; what was counted in
build/fuzz/report.json; what broke a promise in build/fuzz/findings. Exit code 1: a finding.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import build, host, report, seeds

SLICE_S = 120.0  # of one target, before the next has its turn
ROUNDS = 2000  # mutants of one process without guidance
LONGEST = 20_000  # bytes of an input
INSTALL = "no clang with libFuzzer: apt install clang libclang-rt-dev. Without guidance for now."


class Campaign:
    """The programs, where the inputs are, what is counted."""

    def __init__(self, names: list[str]) -> None:
        compiler = build.clang() or build.alone()
        if compiler is None:
            raise SystemExit("no C compiler is installed: apt install gcc, or clang")
        if not compiler.guided:
            print(INSTALL)
        self.guided = compiler.guided
        self.names = names
        native = tuple(name for name in names if name in build.TARGETS)
        self.programs = build.programs(compiler, native) if native else {}
        single = build.programs(build.alone() or compiler, native) if native else {}
        for name in native:
            if not self.folder("seeds", name).is_dir():
                seeds.write(name, single[name], self.folder("seeds", name), rounds=12)
        self.counts = report.load()
        files = [*build.sources(), *(build.HERE / "targets").glob("*.[ch]")]
        self.native = report.fingerprint(files)
        self.python = report.fingerprint((build.ROOT / "host").rglob("*.py"))
        self.round = int(time.time()) & 0xFFFFFF

    def folder(self, what: str, name: str) -> Path:
        return build.BUILD / what / name

    def run(self, minutes: float) -> None:
        """Targets take turns until the time is over."""
        end = time.monotonic() + 60 * minutes
        share = max(5.0, min(SLICE_S, 60 * minutes / len(self.names)))
        while time.monotonic() < end - 1:
            for name in self.names:
                left = end - time.monotonic()
                if left > 1:
                    self.slice(name, min(share, left))

    def slice(self, name: str, seconds: float) -> None:
        """One turn of a target."""
        began = time.monotonic()
        self.round += 1
        count = self.counts.setdefault(name, report.Count())
        if name == "host":
            done, finding = host.campaign(self.round, seconds, build.BUILD / "findings")
            count.add(self.python, done, time.monotonic() - began)
            count.findings += [finding] if finding else []
        else:
            run = self._guided if self.guided else self._alone
            done, edges = run(name, seconds)
            count.add(self.native, done, time.monotonic() - began)
            count.edges, count.guided = max(edges, count.edges), self.guided
            count.findings = sorted(p.name for p in self._findings(name))
        if self.folder("corpus", name).is_dir():
            count.corpus = sum(1 for _ in self.folder("corpus", name).iterdir())
        report.save(self.counts)
        print(f"{name}: {done:,} executions", flush=True)

    def _findings(self, name: str) -> list[Path]:
        return list((build.BUILD / "findings").glob(f"{name}-*"))

    def _guided(self, name: str, seconds: float) -> tuple[int, int]:
        """libFuzzer: (executions, edges)."""
        corpus = self.folder("corpus", name)
        corpus.mkdir(parents=True, exist_ok=True)
        findings = build.BUILD / "findings"
        findings.mkdir(exist_ok=True)
        given = [self.folder("seeds", name), build.HERE / "corpus" / name]
        command = [str(self.programs[name]), str(corpus), *(str(p) for p in given if p.is_dir())]
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

    def _alone(self, name: str, seconds: float) -> tuple[int, int]:
        """Mutants of the seeds, ROUNDS a process: (executions, 0)."""
        end, done = time.monotonic() + seconds, 0
        given = [*self.folder("seeds", name).iterdir(),
                 *(build.HERE / "corpus" / name).glob("*.bin")]  # fmt: skip
        last = build.BUILD / f"last-{name}"
        while time.monotonic() < end:
            self.round += 1
            run = subprocess.run(
                [str(self.programs[name]), "mutate", str(ROUNDS), str(self.round),
                 *map(str, given)],
                env={**os.environ, "RELUME_FUZZ_LAST": str(last)},
                capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
            done += ROUNDS
            if run.returncode != 0:
                print(run.stderr[-4000:])
                (build.BUILD / "findings").mkdir(exist_ok=True)
                shutil.copy(last, build.BUILD / "findings" / f"{name}-{self.round:x}")
        return done, 0


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
