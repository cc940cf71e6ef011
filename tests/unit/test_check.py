"""relume check and relume plan tell what fits, in a table and in JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from relume.blob.reader import read_blob
from relume.cli import main

from tests.shared import model_file
from tests.unit.tflite_nets import add_op, changed, small_net


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_net())
    return path


@pytest.fixture
def bad_net(tmp_path: Path) -> Path:
    def change(model: Any) -> None:
        add_op(model, "COS")
        add_op(model, "SIN")

    path = tmp_path / "bad.tflite"
    path.write_bytes(changed(small_net(), change))
    return path


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_check_tells_sizes_and_the_smallest_capacitor(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(net), "--json"]) == 0
    facts = _json(capsys)
    assert facts["fits"] and facts["board"] == "RPI_PICO" and facts["problems"] == []
    kinds = [op["kind"] for op in facts["ops"]]
    assert kinds == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert facts["ops"][0]["macs"] == 4 * 4 * 9 * 4 and facts["ops"][0]["weight_bytes"] == 36
    assert facts["ops"][1]["note"] == "same bytes as its input" and facts["ops"][1]["cycles"] == 0
    for part in ("flash", "sram", "store"):
        assert 0 < facts[part]["need"] <= facts[part]["room"]
    smallest = facts["smallest_cap_f"]
    assert main(["check", str(net), "--cap", f"{smallest * 1e6:.0f}uF"]) == 0
    assert "verdict fits" in capsys.readouterr().out


def test_check_with_too_small_a_capacitor_says_which_would_do(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(net), "--cap", "22uF"]) == 1
    out = capsys.readouterr().out
    assert "use at least" in out and "E6" in out and "verdict does not fit" in out
    assert main(["check", str(net), "--cap", "22uF", "--json"]) == 1
    facts = _json(capsys)
    assert not facts["fits"] and facts["sram"] is not None and facts["smallest_cap_f"] > 2.2e-5


def test_check_lists_every_unsupported_layer_by_name_and_reason(
    bad_net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(bad_net)]) == 1
    out = capsys.readouterr().out
    assert "op 4, layer extra, COS: no kernel" in out
    assert "op 5, layer extra, SIN: no kernel" in out
    assert "does not fit (2 reasons)" in out
    assert main(["check", str(bad_net), "--json"]) == 1
    facts = _json(capsys)
    assert len(facts["problems"]) == 2 and facts["flash"] is None and facts["cap_f"] is None


def test_plan_writes_a_blob_and_tells_the_plan(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.rlm"
    assert main(["plan", str(net), "-o", str(target), "--cap", "4.7mF", "--json"]) == 0
    facts = _json(capsys)
    blob = read_blob(target)
    assert facts["blob_bytes"] == blob.size and facts["tiles"] == len(blob.tiles)
    assert len(facts["segments"]) == len(blob.segments)
    assert facts["segments"][-1]["to"] == "t8"
    assert blob.cap_f == pytest.approx(4.7e-3) and blob.name == "small"
    assert main(["plan", str(net), "-o", str(target)]) == 0
    out = capsys.readouterr().out
    assert "smallest" in out and "worst ms" in out and str(target) in out


def test_plan_without_capacitor_takes_the_smallest(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.rlm"
    assert main(["plan", str(net), "-o", str(target), "--json"]) == 0
    facts = _json(capsys)
    assert facts["cap_f"] == facts["smallest_cap_f"] == pytest.approx(read_blob(target).cap_f)


def test_a_refused_plan_leaves_the_old_blob_alone(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.rlm"
    target.write_bytes(b"old")
    assert main(["plan", str(net), "-o", str(target), "--cap", "10uF"]) == 1
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.rlm", "small.tflite"]
    assert capsys.readouterr().err.startswith("relume: small: ")


def test_a_charge_that_takes_no_input_over_the_line_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the capacitor that is named it does."""
    model = str(model_file("kws"))
    assert main(["check", model]) == 0
    assert "serial  an input over the serial line takes 220 uF" in capsys.readouterr().out
    assert main(["check", model, "--cap", "220uF", "--json"]) == 0
    assert _json(capsys)["serial_cap_f"] is None
    target = ["-o", str(tmp_path / "kws.rlm")]
    assert main(["plan", model, "--cap", "150uF", *target]) == 0
    assert "more than a charge: 220 uF, or a program" in capsys.readouterr().out
    assert main(["plan", model, "--cap", "220uF", *target]) == 0
    assert "more than a charge" not in capsys.readouterr().out


def test_long_plans_lose_their_middle_and_say_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "ic.rlm"
    small = ["--cap", "330uF"]
    assert main(["plan", str(model_file("ic")), "-o", str(target), *small]) == 0
    blob = read_blob(target)
    assert len(blob.segments) > 20
    assert f"{len(blob.segments) - 20} more segments" in capsys.readouterr().out


def test_layer_names_lose_the_part_that_all_share() -> None:
    from relume.report.tables import short_names

    assert short_names(["m/a/Relu", "m/b", "Identity"])["m/a/Relu"] == "a/Relu"
    assert short_names(["m/a", "n/b"]) == {"m/a": "m/a", "n/b": "n/b"}


def test_check_is_quick_and_needs_no_tensorflow(net: Path) -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = None; from relume.cli import main;"
        f"code = main(['check', {str(net)!r}, '--json']);"
        "assert 'scipy' not in sys.modules; sys.exit(code)"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - began < 5
