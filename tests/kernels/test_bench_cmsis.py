"""`relume bench kernels --cmsis` runs the user's checkout; here one that we wrote ourselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from relume.bench.cmsis import NEEDED
from relume.bench.image import CC
from relume.cli import main

if shutil.which(CC) is None:
    pytest.skip(f"{CC} is not installed", allow_module_level=True)

FAKE = Path(__file__).with_name("fake_cmsis")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FAKE, tmp_path / "checkout"))


def failed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["bench", "kernels", "--cmsis", str(checkout)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("relume: bench: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize("core", ["m0plus", "m4"])
def test_every_layer_has_its_cycles_and_the_ratio_beside_ours(
    core: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["bench", "kernels", "--core", core, "--json", "--cmsis", str(FAKE)])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert code == 0 and len(rows) == 8
    for row in rows:
        assert row["exact"] and row["cmsis_exact"]
        assert row["ratio"] == pytest.approx(row["cmsis_cycles"] / row["cycles"], abs=1e-3)
        assert row["ratio"] > 1.5  # the stand-in is the plainest of loops


def test_bytes_that_differ_are_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = checkout / "Source/NNSupportFunctions/fake_byte_s8.c"
    file.write_text(file.read_text().replace("- (x < 0)", ""))
    dense = checkout / NEEDED[4]
    dense.write_text(dense.read_text().replace("y[o] = ", "y[o] = (int8_t)~"))
    assert main(["bench", "kernels", "--cmsis", str(checkout)]) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("fc_640x128 ")]
    assert line.split()[-1] == "NO" and " yes " in line


@pytest.mark.parametrize("name", NEEDED)
def test_a_checkout_without_a_file_is_one_line(
    name: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / name).unlink()
    assert f"no {name}" in failed(checkout, capsys)


def test_a_checkout_that_does_not_compile_is_one_line(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / NEEDED[2]).write_text("#error broken\n")
    assert "#error broken" in failed(checkout, capsys)


def test_a_missing_compiler_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relume.bench.image.shutil.which", lambda name: None)
    assert f"{CC} is not installed" in failed(FAKE, capsys)
