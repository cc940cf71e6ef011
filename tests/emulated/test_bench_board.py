"""`relume bench -p emu:`: the firmware's own count agrees with the one under unicorn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from relume.bench.image import CC
from relume.bench.on_board import PLUGGED
from relume.board.profile import load_board
from relume.cli import main
from relume.model.dead import without_dead_channels
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import make_plan
from relume.plan.xip import copy_cycles

from tests.emulated.test_board_firmware import firmware
from tests.unit.tflite_nets import small_net

pytestmark = pytest.mark.emulated

TICK = 125  # core cycles: the port's clock counts microseconds
TRIAL = 5_000  # the first burst of a start is compared with what the cache reads


def test_cycles_on_the_emulated_pico_are_those_of_the_kernels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware()
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    file = tmp_path / "small.tflite"
    file.write_bytes(small_net())
    rows = []
    for where in ([], ["-p", "emu:RPI_PICO?xip=0"]):
        assert main(["bench", "models", str(file), "--json", *where]) == 0
        made = json.loads(capsys.readouterr().out)
        rows.append(made["rows"][0])
    assert made["measured"] == {
        "board": "RPI_PICO", "firmware": "0.1.0", "emulated": True, "hz": 125_000_000
    }  # fmt: skip
    plan = make_plan(without_dead_channels(read_tflite(file)), load_board("RPI_PICO"), PLUGGED)
    copied = sum(copy_cycles(load_board("RPI_PICO").xip, one.size) for one in plan.stages.values())
    assert rows[1]["exact"]
    counted = rows[0]["cycles"] + copied
    assert 0.95 * counted <= rows[1]["cycles"] <= 1.05 * counted + TRIAL + 4 * TICK
