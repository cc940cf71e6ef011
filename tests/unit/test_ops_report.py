"""check and plan tell of each op which kernel computes it, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relume.board.profile import load_board
from relume.cli import main
from relume.model.dead import without_dead_channels
from relume.model.graph import Graph, Tensor
from relume.report.ops import found, summary

from tests.unit.test_dead_channels import ONE, conv, net
from tests.unit.tflite_nets import small_net

BOARD = load_board("RPI_PICO")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_net())
    return path


def lines(out: str, kind: str) -> list[str]:
    return [line for line in out.splitlines() if kind in line]


def test_check_ops_has_a_line_an_op_with_kernel_and_reason(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(file), "--ops"]) == 0
    out = capsys.readouterr().out
    assert any("m0plus" in line and "dense" in line for line in lines(out, "CONV_2D"))
    assert any("no Cortex-M0+ kernel" in line for line in lines(out, "SOFTMAX"))
    assert max(map(len, out.splitlines())) <= 132
    assert main(["check", str(file)]) == 0
    assert "no Cortex-M0+ kernel" not in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_json_tells_the_same(
    verb: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = [] if verb == "check" else ["-o", str(tmp_path / "x.rlm")]
    assert main([verb, str(file), "--json", *target]) == 0
    made: Any = json.loads(capsys.readouterr().out)
    rows = made["kernels" if verb == "check" else "ops"]
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["SOFTMAX"]["kernel"] == "portable" and by_kind["SOFTMAX"]["nonzero"] is None
    assert by_kind["CONV_2D"]["kernel"] == "m0plus" and by_kind["CONV_2D"]["bound"]
    assert 0.9 < by_kind["FULLY_CONNECTED"]["nonzero"] <= 1


def test_plan_ops_prints_the_table(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(file), "--ops", "-o", str(tmp_path / "x.rlm")]) == 0
    out = capsys.readouterr().out
    assert "how, or why not" in out and "3 of 3 ops" not in out
    assert "ops in kernels of the core" in out


def test_dead_channels_and_weights_are_counted() -> None:
    whole = net(ONE, (0, 1, 2, 3, 5))
    rows = found(whole, without_dead_channels(whole), BOARD, "fram")
    assert [(row.dead, row.gone, row.channels) for row in rows] == [(5, 4, 8), (0, 0, 4)]
    assert rows[0].nonzero == pytest.approx(3 / 8)
    assert "4 dead channels taken out" in summary(rows)


def test_a_failed_proof_is_the_reason() -> None:
    """300 weights of 127 can add up to more than 2^23."""
    op = conv(0, ONE, np.full((4, 1, 1, 300), 127, np.int8))
    tensors = (Tensor("x", (2, 2, 300), 1.0, -128), Tensor("y", (2, 2, 4), 1.0, -128))
    graph = Graph("wide", tensors, (op,), 0, 1)
    rows = found(graph, graph, BOARD, "fram")
    assert rows[0].kernel == "portable" and "24 bits" in rows[0].how
    assert rows[0].bound == ""
