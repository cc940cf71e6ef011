"""Boards that read a voltage, and plans of one tile a segment for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from relume.blob.pack import pack
from relume.plan.types import OpPace, Pace, Plan

from tests.powercut.plans import random_plan
from tests.powercut.session import _CYCLES, _READING, _REST, FRAM, RL_DONE, RL_OK, Board, Memory
from tests.powercut.test_live import tile_by_tile

RL_RAN, RL_RESTED = 4, 5
FULL_MV, MARGIN = 5000, 5


class Supplied(Board):
    """A board whose supply reads what `volts` says before a tile."""

    def __init__(
        self, plan: Plan, volts: Callable[[int], int], memory: Memory | None = None
    ) -> None:
        super().__init__(memory or Memory(256 + plan.nvm_size, FRAM), pack(plan))
        self.rests: list[int] = []
        self._keep = _READING(lambda ctx: volts(self.session.tile)), _REST(self._rest)
        self.session.millivolts = self._keep[0]
        assert self.open() == RL_OK

    def _rest(self, ctx: int, ms: int) -> None:
        self.rests.append(ms)

    def rest_with_hook(self, cycles: int = 1) -> None:
        """The board can sleep; a millisecond asleep takes the energy of so many cycles."""
        self.session.rest = self._keep[1]
        self.session.rest_cycles = cycles

    def clock(self, cycles: Callable[[], int]) -> None:
        """The core's cycles."""
        self._clock = _CYCLES(lambda ctx: cycles())
        self.session.cycles = self._clock

    def start(self) -> None:
        """Inference 1 of some input."""
        assert self.begin(1, bytes(self.checked.header.tensor(
            self.checked.blob, self.checked.header.input)[1])) == RL_OK  # fmt: skip


def cycles_of(reading: int, mv2: int, voff_mv: int = 2000, margin: int = MARGIN) -> int:
    """What is left by a reading, SPEC 2.9."""
    mv = min(reading, 0xFFFF)
    mv -= mv >> margin
    return 0 if mv <= voff_mv else min((mv * mv - voff_mv**2) * mv2 >> 16, 0xFFFFFFFE)


def millivolts_for(cycles: int, pace: Pace, margin: int = MARGIN) -> int:
    """The least reading by which so many cycles are left. margin 99: by the reading as it is."""
    readings = range(2000, 60_000)
    return next(mv for mv in readings if cycles_of(mv, pace.mv2, margin=margin) >= cycles)


def paced(seed: int, **figures: int) -> Plan:
    """A plan of one tile a segment, with homes apart; 1000 cycles a tile."""
    plan = tile_by_tile(random_plan(seed))
    pace = Pace(64, 100, 2, 10, 1, (OpPace(1000, 0, 0),) * len(plan.graph.ops))
    return dataclasses.replace(plan, pace=dataclasses.replace(pace, **figures))


def steps(board: Board) -> list[int]:
    """Statuses of all steps to the end."""
    found = [board.step()]
    while found[-1] != RL_DONE:
        found.append(board.step())
        assert len(found) < 1000
    return found


class Charging(Supplied):
    """A board whose capacitor gains so many square millivolts a millisecond asleep."""

    def __init__(
        self, plan: Plan, gain: float, start_mv: float = 2000, memory: Memory | None = None
    ) -> None:
        self.mv2 = float(start_mv**2)
        self.gain = gain
        self.on_reading: Callable[[], object] = lambda: None
        super().__init__(plan, self._volts, memory)

    def _volts(self, tile: int) -> int:
        self.on_reading()
        return int(max(self.mv2, 1.0) ** 0.5)

    def _rest(self, ctx: int, ms: int) -> None:
        super()._rest(ctx, ms)
        self.mv2 += ms * self.gain
