"""Thousands of inferences, queued outputs and host visits in one program: the heap does not grow,
nor does what lies in the NVM.

SECURITY K6.
"""

from __future__ import annotations

import pytest

from tests.unix.firmware import Machine
from tests.unix.nets import net
from tests.unix.test_results import setup

pytestmark = pytest.mark.unix

LIFE = """
import gc, os
free, sizes, taken = [], [], 0
for number in range(1, {n} + 1):
    session.run(data, number)
    results.keep(session)
    if number % 7 == 0:          # the host comes by
        for i, output in list(results):
            taken += bytes(output) == expected
            results.drop(i)
    if number % ({n} // 10) == 0:
        gc.collect()
        free.append(gc.mem_free())
        sizes.append(os.stat("nvm")[6])
print(json.dumps([free, sizes, taken, len(results)]))
"""
SLACK = 512  # bytes of a heap that is collected conservatively


def life(machine: Machine, n: int, more: str = "") -> tuple[list[int], list[int], int, int]:
    """Free heap and size of the NVM's file at ten times; results taken, and left."""
    source = setup() + f"expected = {net().output!r}\n" + LIFE.replace("{n}", str(n))
    source = source.replace("    session.run", f"{more}    session.run")
    free, sizes, taken, left = machine.value(source)
    return free, sizes, taken, left


@pytest.mark.parametrize("n", [700, pytest.param(7000, marks=pytest.mark.heavy)])
def test_neither_heap_nor_nvm_grows(machine: Machine, n: int) -> None:
    free, sizes, taken, left = life(machine, n)
    assert (taken, left) == (n, 0)
    assert min(free[1:]) >= free[0] - SLACK
    assert len(set(sizes)) == 1


def test_a_program_that_hoards_is_noticed(machine: Machine) -> None:
    free, _, _, _ = life(machine, 700, "    hoard = globals().get('hoard', []) + [bytes(9)]\n")
    assert min(free[1:]) < free[0] - SLACK
