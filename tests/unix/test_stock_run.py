"""relume run on a board with MicroPython's own firmware: the unix port as that board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from relume.errors import LinkError
from relume.link import stock_run

from tests.native import ROOT, accepted
from tests.unix.nets import Net, planned
from tests.unix.prompt import UnixBoard

pytestmark = pytest.mark.unix


def placed(folder: Path) -> tuple[Net, list[bytes], list[bytes]]:
    """A net on the board; inputs and their outputs."""
    made = planned(8, core="portable")
    (folder / "net.rlm").write_bytes(made.blob)
    (folder / "lib").mkdir()
    (folder / "lib/relume").symlink_to(ROOT / "firmware/relume")
    checked, rng = accepted(made.blob), np.random.default_rng(4)
    items = [rng.bytes(len(made.input)) for _ in range(3)]
    return made, items, [checked.run(item)[checked.header.output] for item in items]


def test_every_output_is_the_engine_s(tmp_path: Path) -> None:
    _, items, outputs = placed(tmp_path)
    board = UnixBoard(tmp_path)
    results = stock_run.run(board, str(tmp_path / "net.rlm"), items, 10)
    board.off()
    assert [result.output for result in results] == outputs
    assert all(result.commits for result in results)


def test_a_reset_begins_the_sample_again(tmp_path: Path) -> None:
    _, items, outputs = placed(tmp_path)
    for cut in range(1, 9):
        board = UnixBoard(tmp_path, [cut, 2, 10**6])
        results = stock_run.run(board, str(tmp_path / "net.rlm"), items, 10)
        board.off()
        assert [result.output for result in results] == outputs, cut


def test_a_board_that_never_gets_to_the_end_is_given_up(tmp_path: Path) -> None:
    _, items, _ = placed(tmp_path)
    board = UnixBoard(tmp_path, [4, *([2] * 40)])
    with pytest.raises(LinkError, match=r"sample 1 does not end .*power to its end"):
        stock_run.run(board, str(tmp_path / "net.rlm"), items, 10)
    board.off()
