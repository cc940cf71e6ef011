"""Tries mutants: python -m tests.powercut.mutation.run [--shard i/n] [--seconds N] [SOURCE ...].

Verdicts are kept as all counts are (tests/powercut/tally.py), so a run that is stopped goes on
where it was. Prints the survivors that survivors.md does not explain; if there are any, the exit
code is 1.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from tests.explained import listed
from tests.powercut.mutation.mutants import SOURCES, Mutant, mutants
from tests.powercut.mutation.suite import EQUIVALENT, INVALID, KILLED, SURVIVED, verdict
from tests.powercut.tally import Tally, source

LIST = Path(__file__).parent.parent / "survivors.md"
_ENTRY = re.compile(r"^- (\w+\.c \w*: `.*` -> `.*`(?: \[\d+\])?)$")


def explained() -> dict[str, str]:
    """Survivor -> the heading that says why it is harmless."""
    return {entry[1]: why for entry, why in listed(LIST, _ENTRY)}


def tally(name: str) -> Tally:
    """The verdicts on one source's mutants."""
    return Tally("mutation", of=f"{name.removesuffix('.c')}-{source(f'mutation {name}')}")


def _against_suite(name: str) -> str:
    """Survivors are noted with the suite: a better one tries them again."""
    return f"{name} @{source('mutation suite')}"


def known(done: dict[str, dict[str, int]], mutant: Mutant) -> str:
    """Its verdict, '' if it has none."""
    counts = done.get(mutant.name) or done.get(_against_suite(mutant.name)) or {"": 1}
    return next(iter(counts))


def judge(mutant: Mutant) -> str:
    """Its verdict; tried if that is not known."""
    kept = tally(mutant.source)
    said = known(kept.done(), mutant)
    if not said:
        said = verdict(mutant)
        name = _against_suite(mutant.name) if said == SURVIVED else mutant.name
        kept.add(name, {said: 1})
    return said


def total() -> dict[str, int]:
    """Mutants of all sources, how many have each verdict so far, and how many of the survivors
    are explained."""
    found = dict.fromkeys(("mutants", KILLED, EQUIVALENT, INVALID, SURVIVED, "explained"), 0)
    listed = explained()
    for name in SOURCES:
        done = tally(name).done()
        for mutant in mutants(name):
            said = known(done, mutant)
            found["mutants"] += 1
            found["explained"] += said == SURVIVED and mutant.name in listed
            if said:
                found[said] += 1
    return found


def main(arguments: list[str]) -> int:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description="mutation tests of the store and the session")
    parser.add_argument("--shard", default="1/1", help="part i of n, as 1/4")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("sources", nargs="*", default=list(SOURCES))
    given = parser.parse_args(arguments)
    part, parts = (int(text) for text in given.shard.split("/"))
    end, listed, new = time.monotonic() + given.seconds, explained(), 0
    chosen = [mutant for name in given.sources for mutant in mutants(name)]
    for mutant in chosen[part - 1 :: parts]:
        if time.monotonic() > end:
            break
        if judge(mutant) == SURVIVED and mutant.name not in listed:
            new += 1
            print(f"survived: {mutant.name}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in total().items()))
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
