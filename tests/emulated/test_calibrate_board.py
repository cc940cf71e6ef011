"""`relume calibrate` on the emulated Pico, and a plan with the profile that it writes.

Without the XIP model, whose samples blur one op into the next.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from relume.board.profile import load_board
from relume.cli import main
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite

from tests.emulated.test_board_firmware import firmware
from tests.unit.tflite_nets import small_net

pytestmark = pytest.mark.emulated


def test_calibrate_plan_with_the_profile_and_run_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware()
    net, profile, blob = (tmp_path / name for name in ("net.tflite", "mine.toml", "net.rlm"))
    net.write_bytes(small_net())
    options = ["--model", str(net), "-o", str(profile), "--volts", "5.0", "--json"]
    assert main(["calibrate", "-p", "emu:RPI_PICO?seed=3&xip=0", *options]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["inputs"] == 2 and len(made["ops"]) == len(read_tflite(net).ops)
    # The board's own rows are worst cases: nothing that runs is above them.
    assert all(op["measured"] > 0 and op["counted"] <= op["worst"] for op in made["ops"])
    assert all(row["factor"] == 1 and not row["typical"] for row in made["rows"])
    assert abs(made["volts_error"]) < 1 / 32
    own, mine = load_board("RPI_PICO"), load_board(str(profile))
    assert (mine.cycles, mine.fast_cycles) == (own.cycles, own.fast_cycles)
    assert mine.measured is not None and mine.measured.where == "emulated board"

    plan = ["plan", str(net), "--board", str(profile), "--cap", "470uF", "-o", str(blob)]
    assert main(plan) == 0
    capsys.readouterr()
    tensor = read_tflite(net).tensors[read_tflite(net).input]
    data = np.random.default_rng(2).integers(-128, 128, tensor.shape, dtype=np.int8)
    np.save(tmp_path / "x.npy", data)
    port = "emu:RPI_PICO?cap=470uF&power=3mW&seed=4"
    run = ["run", str(blob), "-p", port, "--input", str(tmp_path / "x.npy"), "--json"]
    assert main(run) == 0
    output = json.loads(capsys.readouterr().out)["output"]
    assert bytes(v & 0xFF for v in output) == reference_output(net.read_bytes(), data.tobytes())


def test_lowered_rows_are_the_measurement_and_the_margin_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware()
    net, profile = tmp_path / "net.tflite", tmp_path / "mine.toml"
    net.write_bytes(small_net())
    options = ["--model", str(net), "-o", str(profile), "--lower", "--margin", "0", "--json"]
    assert main(["calibrate", "-p", "emu:RPI_PICO?seed=3&xip=0", *options]) == 0
    made = json.loads(capsys.readouterr().out)
    lowered = [row["name"] for row in made["rows"] if row["typical"]]
    mine = load_board(str(profile))
    assert all(op["measured"] >= 5000 for op in made["ops"])
    assert lowered and mine.measured is not None and list(mine.measured.typical) == lowered
    assert "a worst case over data and shapes they are not" in profile.read_text()
