"""Replays one cut: python -m tests.powercut.replay ID."""

from __future__ import annotations

import sys

from tests.powercut import harness
from tests.powercut.cases import SECONDS, parse
from tests.powercut.thumb import cases as thumb


def replay(text: str) -> tuple[int, str]:
    """(0, the counts) when the cut is survived, else (1, why and the id). Errors: ValueError."""
    if text.startswith("thumb/"):
        return thumb.replay(text)
    if text.startswith("pico/"):
        from tests.emulated import cutting  # needs the tools of the emulated board

        return cutting.replay(text)
    case, cut = parse(text)
    arguments = case.command
    if cut and not case.chained:
        arguments += ["--replay", cut]
    program = harness.program()
    outcome = harness.run(program, case.blob(), case.kind, *arguments, seconds=SECONDS)
    return outcome.code, outcome.text


def main(arguments: list[str]) -> int:
    """Prints what came of each id; the exit code is 1 when one failed, 2 for a bad id."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    worst = 0
    for text in arguments:
        try:
            code, said = replay(text)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        print(said.strip())
        worst = max(worst, code)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
