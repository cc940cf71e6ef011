"""A blob's tiles with constants in SRAM, on the core under unicorn: copies take their time in the
background, and whoever reads flash meanwhile is told on."""

from __future__ import annotations

import struct
from pathlib import Path

import unicorn as uc
from relume.bench.image import build
from relume.bench.machine import STOP, XIP, XIP_SIZE, Machine
from relume.bench.runner import ARENA, BLOB_STRUCT, Runner
from relume.blob.pack import pack
from relume.plan.types import Plan
from relume.plan.xip import burst_cycles, fills_cycles
from unicorn import arm_const as reg

ROOT = Path(__file__).parents[2]
BEGIN, END, STAGE = STOP - 64, STOP - 48, BLOB_STRUCT + 0x80
RETURN = struct.pack("<H", 0x4770)  # bx lr


class StagedMachine:
    """Runs all tiles of a plan by rl_stage_tile, as a session does.

    cycles: of the core, and waiting for copies and for the flash cache. read: addresses of flash
    that were read while a copy was under way. longest: cycles from a copy's begin to its end.
    """

    def __init__(self, plan: Plan, *, deaf: bool = False) -> None:
        """deaf: copies go on whoever waits for their end."""
        self.plan = plan
        self.blob = pack(plan)
        self.machine = Machine(build(ROOT, plan.core), plan.core)
        self.runner = Runner(self.machine, self.blob)
        self.read: list[int] = []
        self.longest = 0
        self._deaf = deaf
        self._ready: int | None = None
        self._begun = 0

    def _on_begin(self, core: uc.Uc, _address: int, _size: int, _data: object) -> None:
        to, source, size = map(
            core.reg_read, (reg.UC_ARM_REG_R0, reg.UC_ARM_REG_R1, reg.UC_ARM_REG_R2)
        )
        core.mem_write(to, bytes(core.mem_read(source, size)))
        self._begun = self.machine.now
        self._ready = self._begun + round(burst_cycles(self.machine.xip, size))

    def _on_end(self, _core: uc.Uc, _address: int, _size: int, _data: object) -> None:
        if self._ready is not None and not self._deaf:
            self.machine.wait_until(self._ready)
            self.longest = max(self.longest, self.machine.now - self._begun)
            self._ready = None

    def _on_read(self, _uc: uc.Uc, _kind: int, address: int, _n: int, _v: int, _d: object) -> None:
        if self._ready is not None:
            self.read.append(address)

    def run(self, data: bytes) -> tuple[bytes, int]:
        """(output, cycles) of an inference; the flash cache is empty at first."""
        machine, runner = self.machine, self.runner
        for stub in (BEGIN, END):
            machine.write(stub, RETURN)
        machine.write(STAGE, struct.pack("<III", BEGIN | 1, END | 1, 0))
        runner.put(runner.blob.input, data)
        machine.cache.clear()
        hooks = [
            machine.uc.hook_add(uc.UC_HOOK_CODE, self._on_begin, begin=BEGIN, end=BEGIN),
            machine.uc.hook_add(uc.UC_HOOK_CODE, self._on_end, begin=END, end=END),
            machine.uc.hook_add(
                uc.UC_HOOK_MEM_READ, self._on_read, begin=XIP, end=XIP + XIP_SIZE - 1
            ),
        ]
        cycles = 0
        (tiles,) = struct.unpack_from("<I", self.blob, 60)
        for number in range(len(self.plan.tiles)):
            tile = XIP + tiles + 12 * number
            _, one = machine.call("rl_stage_tile", STAGE, BLOB_STRUCT, ARENA, tile, xip=True)
            cycles += one.cycles + round(fills_cycles(machine.xip, one.xip_fills))
        for hook in hooks:
            machine.uc.hook_del(hook)
        return runner.get(runner.blob.output), cycles
