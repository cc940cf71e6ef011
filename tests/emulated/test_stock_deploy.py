"""`relume deploy` to the emulated Pico with MicroPython's own firmware, its power cut once."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relume import ui
from relume.blob.pack import with_test
from relume.cli import main
from relume.link.selftest import known_input
from relume_boards.virtual.spec import open_emulated

from tests.emulated.test_native_module import MODULE, STOCK, net
from tests.native import accepted

pytestmark = [pytest.mark.emulated, pytest.mark.heavy]


def test_a_deploy_goes_on_after_a_power_cut_and_the_board_computes_what_the_host_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not MODULE.is_file() or not STOCK.is_file():
        pytest.skip("make natmod stock has not been run")
    made = net()
    checked = accepted(made.blob)
    output = checked.run(known_input(len(made.input)))[checked.header.output]
    path = tmp_path / "net.rlm"
    path.write_bytes(with_test(made.blob, zlib.crc32(output)))
    (tmp_path / "net.txt").write_text("\n".join(f"class {n}" for n in range(16)))
    board = open_emulated(f"emu:RPI_PICO?firmware={STOCK}&xip=0&pace=0")
    cut: list[int] = []

    @contextlib.contextmanager
    def cutter(title: str, total: int) -> Iterator[Any]:
        def done(count: int) -> None:
            if count > 20_000 and not cut:
                cut.append(count)
                board._ask(lambda: board.pico.power_off("pulled"))

        yield done

    monkeypatch.setattr(ui, "progress", cutter)
    board.wait_until(lambda record: record.end > 1, 60)  # its prompt is there
    given, answer = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(given, np.frombuffer(made.input, np.int8))
    try:
        assert main(["deploy", str(path), "-p", board.url, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        run = ["run", str(path), "-p", board.url, "--input", str(given), "-o", str(answer)]
        assert main(run) == 0
    finally:
        board.stop()
    assert np.load(answer).view(np.int8).tobytes() == made.output
    assert facts["module"] == "armv6m" and facts["micropython"].startswith("1.")
    assert facts["resets"] >= 1 and cut
    assert facts["bytes"] <= facts["sent"] <= facts["bytes"] + 2048
    assert facts["output_crc"] == facts["expected_crc"] == f"{zlib.crc32(output):08x}"
    assert facts["heap"] < MODULE.stat().st_size + 30_000
