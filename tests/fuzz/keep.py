"""Brings tests/fuzz/corpus up to what campaigns found: `python -m tests.fuzz.keep [TARGET...]`.

Of what adds coverage the smallest inputs are kept, a few dozen of each target: they are run by
every `make test`. Needs clang.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import build

FILES, BYTES = 80, 100_000  # of a target
LONGEST = 4000


def merged(program: Path, folders: list[Path], to: Path) -> list[Path]:
    """Inputs that together cover all that the folders do, small ones first."""
    command = [str(program), "-merge=1", f"-max_len={LONGEST}", str(to), *map(str, folders)]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(to.iterdir(), key=lambda path: (path.stat().st_size, path.name))


def keep(target: str, program: Path) -> int:
    """Writes the target's corpus anew but for files with names of their own; their number."""
    corpus = build.HERE / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    given = [corpus, build.BUILD / "seeds" / target, build.BUILD / "corpus" / target]
    with tempfile.TemporaryDirectory() as folder:
        chosen, left = [], BYTES
        for path in merged(program, [p for p in given if p.is_dir()], Path(folder))[:FILES]:
            data = path.read_bytes()
            left -= len(data)
            if left >= 0:
                chosen.append(data)
    for old in corpus.glob("found-*.bin"):
        old.unlink()
    for data in chosen:
        name = hashlib.sha256(data).hexdigest()[:12]
        (corpus / f"found-{name}.bin").write_bytes(data)
    return len(chosen)


def main() -> int:
    compiler = build.clang()
    if compiler is None:
        print("clang with libFuzzer is needed: apt install clang libclang-rt-dev")
        return 1
    names = tuple(sys.argv[1:]) or tuple(build.TARGETS)
    for target, program in build.programs(compiler, names).items():
        print(f"{target}: {keep(target, program)} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
