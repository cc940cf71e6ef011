"""`relume bench` prints what the shipped code costs, and fails when a byte differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from relume.bench.image import CC
from relume.bench.layers import LAYERS
from relume.bench.rows import Subject
from relume.cli import main

from tests.shared import model_file

TABLE = Path(__file__).with_name("cycles.json")

if shutil.which(CC) is None:
    pytest.skip(f"{CC} is not installed", allow_module_level=True)


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["bench", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize("core", ["m0plus", "m4"])
def test_a_model_row_has_cycles_bytes_and_exactness(
    core: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(model_file("kws"))
    code, out, _ = bench(capsys, "models", file, "--core", core, "--json")
    made = json.loads(out)
    (row,) = made["rows"]
    assert code == 0 and made["core"] == core
    assert row["name"] == "kws" and row["exact"] is True
    assert row["cycles"] < 4 * row["macs"]
    assert row["cycles_xip"] >= row["cycles"] and row["xip_bytes"] > 20_000
    assert row["sram_bytes"] >= 8_000


def test_a_wrong_byte_is_told_and_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = bytearray()

    def tensors(self: Subject) -> dict[int, bytes]:
        from relume.bench.runner import Runner, tensors_of

        made = tensors_of(Runner(self.machine, self.file), self.data)
        broken[:] = made[self.graph.output]
        broken[0] ^= 1
        return {**made, self.graph.output: bytes(broken)}

    monkeypatch.setattr(Subject, "tensors", property(tensors))
    code, out, _ = bench(capsys, "models", str(model_file("kws")))
    assert code == 1 and "NO" in out


@pytest.mark.parametrize("core", ["m0plus", "m4"])
def test_kernels_need_no_file_and_cost_what_the_real_layers_cost(
    core: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = bench(capsys, "kernels", "--core", core, "--json")
    made = json.loads(out)
    assert code == 0 and made["core"] == core
    assert [row["name"] for row in made["rows"]] == [
        name + twin for name in LAYERS for twin in ("", "_random")
    ]
    known = json.loads(TABLE.read_text())[core]
    for row in made["rows"]:
        assert row["exact"] is True
        assert row["cycles_per_mac"] == pytest.approx(row["cycles"] / row["macs"], abs=1e-4)
        assert row["cycles_xip"] > row["cycles"] and row["xip_bytes"] > 1000
        assert row["sram_bytes"] > 700
        assert row["cycles"] == pytest.approx(known[row["name"]], rel=0.1)


def test_the_table_says_what_was_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = bench(capsys, "kernels")
    assert code == 0 and "cycles/MAC" in out and "fc_640x128_random" in out
    assert "No silicon was measured" in out


def test_a_folder_without_the_models_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = bench(capsys, "kernels", "--from", str(tmp_path))
    assert code == 1 and err.startswith("relume: ") and "ic.tflite" in err
    assert err.count("\n") == 1
