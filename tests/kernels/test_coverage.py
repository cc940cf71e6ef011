"""The kernels' cases take nearly every branch of every kernel (gcov)."""

from __future__ import annotations

import shutil

import pytest

from tests.kernels import coverage

FOLDERS = {"portable": 0.95, "m0plus": 0.95, "m4": 0.95}
FILE_OF_M4 = 0.95


@pytest.mark.heavy
def test_cases_take_nearly_every_branch() -> None:
    if shutil.which("gcov") is None:
        pytest.skip("gcov is not installed")
    files = coverage.measure()
    found = coverage.folders(files)
    assert set(found) == set(FOLDERS)
    assert {name: share for name, share in found.items() if share < FOLDERS[name]} == {}
    low = [one for one in files if one.file.startswith("m4/") and one.share < FILE_OF_M4]
    assert low == []
