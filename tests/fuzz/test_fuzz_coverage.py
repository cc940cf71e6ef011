"""How much of the checker, the frame decoder and the stores the fuzz targets reach.

What they do not take in stores are refusals by the NVM, which their chips do not make: those are
unit and power cut tests' (tests/powercut, `--refuse`).

SECURITY B1, F1.
"""

from __future__ import annotations

import pytest

from tests.fuzz import coverage
from tests.kernels.coverage import Covered

LEAST = {"blob": 0.94, "frame": 0.97, "store": 0.7, "kv": 0.7, "slots": 0.8}  # of the branches


def share(files: list[Covered], prefix: str) -> float:
    pairs = [one.branches for one in files if one.file.startswith(prefix)]
    return sum(hit for hit, _ in pairs) / sum(total for _, total in pairs)


@pytest.mark.heavy
def test_the_targets_reach_nearly_every_branch() -> None:
    files = coverage.measure()
    shares = {prefix: share(files, prefix) for prefix in LEAST}
    assert all(shares[prefix] >= least for prefix, least in LEAST.items()), shares
