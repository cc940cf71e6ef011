"""relume.Store on the emulated board, in its FRAM and in its flash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from relume_boards.virtual import open_emulated
from relume_boards.virtual.emulated import EmulatedBoard

from tests.emulated.test_board_firmware import firmware, mpremote

COUNT = """
import relume, _relume
s = relume.Store({nvm})
n = int(s.get('n', b'0')) + 1
s['n'] = b'%d' % n
s['pad'] = b'p' * (n * 90)
s.commit()
print(n, len(s['pad']), *s.stats()['wear'])
"""


@pytest.fixture
def powered(tmp_path: Path) -> Iterator[EmulatedBoard]:
    """A board that is plugged in."""
    firmware()
    spec = f"emu:RPI_PICO?cap=680uF&power=20mW&plugged=1&hold=0&state={tmp_path}"
    with open_emulated(spec) as board:
        yield board


def test_what_was_committed_survives_turning_off(powered: EmulatedBoard, tmp_path: Path) -> None:
    for nvm in ("_relume.FRAM()", "_relume.Flash()"):
        for n in (1, 2, 3):
            answer = mpremote(powered.url, "exec", COUNT.format(nvm=nvm)).split()
            assert answer[:2] == [str(n), str(90 * n)]
        assert (int(answer[3]) > 0) == ("Flash" in nvm)
    powered.stop()
    with open_emulated(f"emu:RPI_PICO?plugged=1&hold=0&state={tmp_path}") as again:
        for nvm in ("_relume.FRAM()", "_relume.Flash()"):
            assert mpremote(again.url, "exec", COUNT.format(nvm=nvm)).split()[0] == "4"
