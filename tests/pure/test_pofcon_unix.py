"""The power-fail comparator's reading as MicroPython runs it, on the unix port."""

from __future__ import annotations

import pytest

from tests.native import ROOT
from tests.pure.test_pofcon import planned
from tests.unix.firmware import Machine

pytestmark = pytest.mark.unix

# The supply falls when `left` tiles have been computed, and is back after two looks.
SOURCE = """
import sys, json
sys.path.insert(0, {folder!r})
import relume_pure
from relume_pure import warning
class Registers:
    on = event = 0
    looks = 2
    def low(self):
        return run._tile >= left and self.looks > 0
    def __getitem__(self, at):
        return self.event if at == 0x40000108 else self.on
    def __setitem__(self, at, value):
        if at == 0x40000108:
            self.event = value
        else:
            self.on = value
            if value & 1 and self.low():
                self.event = 1
def asleep(us):
    registers.event |= registers.low()
    registers.looks -= us == 1000 and run._tile >= left
registers, left = Registers(), {left}
warning.mem32, warning.sleep_us = registers, asleep
compute = relume_pure.Session._compute
def watched(self, end):
    compute(self, end)
    if registers.on & 1 and registers.low():
        registers.event = 1
relume_pure.Session._compute = watched
run = relume_pure.Session({blob!r}, bytearray(65536))
run.warning = warning.PowerFail(run.blob)
run.open()
run.begin(1, {input!r})
ends = []
while run.step() != relume_pure.DONE:
    ends.append(run.tile)
print(json.dumps([list(run.output()), ends, run.commits, registers.on & 1, registers.looks]))
"""


@pytest.mark.parametrize("left", [1, 7, 29, 99])
def test_it_commits_where_the_supply_falls_and_goes_on_when_it_is_back(
    machine: Machine, left: int
) -> None:
    net = planned(8)
    source = SOURCE.format(
        folder=str(ROOT / "firmware"), left=left, blob=net.blob, input=net.input
    )
    output, ends, commits, on, looks = machine.value(source)
    assert bytes(output) == net.output and not on
    assert ends == ([left] if left < net.tiles else [])
    assert commits == 2 + len(ends) and looks == (0 if ends else 2)
