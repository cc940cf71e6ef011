"""Runs the engine's Thumb code under unicorn and counts cycles block by block.

Memory: code and arena in SRAM, the blob in flash (XIP). A read of four bytes of the
blob is one fetch if the cache (`relume.plan.xip`, RP2040) does not hold them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import capstone as cs
import unicorn as uc
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as reg

from relume.bench.costs import BlockCost, block_cost
from relume.board.profile import load_board
from relume.errors import RelumeError
from relume.plan.xip import LineCache

CODE, CODE_SIZE = 0x2000_0000, 0x0004_0000
SRAM, SRAM_SIZE = 0x2010_0000, 0x0020_0000
XIP, XIP_SIZE = 0x1000_0000, 0x0100_0000
STACK = SRAM + SRAM_SIZE - 16
STOP = CODE + CODE_SIZE - 16
FLASH_BOARD = "RPI_PICO"  # whose flash cache is modelled, for every core
_ARGS = (reg.UC_ARM_REG_R0, reg.UC_ARM_REG_R1, reg.UC_ARM_REG_R2, reg.UC_ARM_REG_R3)
_CPU = {"m0plus": reg.UC_CPU_ARM_CORTEX_M0, "m4": reg.UC_CPU_ARM_CORTEX_M4}


@dataclass(frozen=True)
class Count:
    """What one call cost: core cycles, instructions, and fetches of four bytes from flash."""

    cycles: int
    instructions: int
    xip_fills: int


class Machine:
    """A core with the engine loaded; `call` runs one C function of it."""

    def __init__(self, elf: Path, core: str) -> None:
        # UC_MODE_MCLASS would force a Cortex-M33 whatever the model says.
        self.uc = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(_CPU[core])
        self.core = core
        for base, size in ((CODE, CODE_SIZE), (SRAM, SRAM_SIZE), (XIP, XIP_SIZE)):
            self.uc.mem_map(base, size)
        self.symbols = self._load(elf)
        self.decoder = cs.Cs(cs.CS_ARCH_ARM, cs.CS_MODE_THUMB | cs.CS_MODE_MCLASS)
        self.decoder.detail = True
        self._blocks: dict[tuple[int, int], tuple[BlockCost, int]] = {}
        self.xip = load_board(FLASH_BOARD).xip
        self.cache = LineCache(self.xip)
        self._reset_count()

    def _load(self, elf: Path) -> dict[str, int]:
        with elf.open("rb") as file:
            image = ELFFile(file)
            for segment in image.iter_segments("PT_LOAD"):
                self.uc.mem_write(segment["p_paddr"], segment.data())
            table = image.get_section_by_name(".symtab")
            return {s.name: int(s["st_value"]) for s in table.iter_symbols() if s.name}

    def _reset_count(self) -> None:
        self._cycles, self._instructions = 0, 0
        self._end, self._taken = 0, 0

    def _on_block(self, machine: uc.Uc, address: int, size: int, _: object) -> None:
        known = self._blocks.get((address, size))
        if known is None:
            known = self._decode(machine, address, size)
        cost, end = known
        if self._end != address:
            self._cycles += self._taken
        self._cycles += cost.cycles
        self._instructions += cost.instructions
        self._taken, self._end = cost.taken, end

    def _decode(self, machine: uc.Uc, address: int, size: int) -> tuple[BlockCost, int]:
        code = bytes(machine.mem_read(address, size))
        cost = block_cost(self.core, list(self.decoder.disasm(code, address)))
        self._blocks[address, size] = (cost, address + size)
        return cost, address + size

    def _on_flash_read(self, _uc: uc.Uc, _kind: int, address: int, _n: int, _v: int,
                       _data: object) -> None:
        self.cache.read(address)

    def call(
        self, name: str, *args: int, count: bool = True, xip: bool = False
    ) -> tuple[int, Count]:
        """Calls `name`; returns r0 and what it cost (zeros when not counting)."""
        if name not in self.symbols:
            raise RelumeError(f"bench: the image has no function {name}")
        for register, value in zip(_ARGS, args, strict=False):
            self.uc.reg_write(register, value)
        rest = b"".join(struct.pack("<I", value) for value in args[4:])
        stack = STACK - 64
        self.uc.mem_write(stack, rest + bytes(4))
        self.uc.reg_write(reg.UC_ARM_REG_SP, stack)
        self.uc.reg_write(reg.UC_ARM_REG_LR, STOP | 1)
        self._reset_count()
        before = self.cache.misses
        hooks = []
        self.uc.ctl_flush_tb()
        if count:
            hooks.append(self.uc.hook_add(uc.UC_HOOK_BLOCK, self._on_block))
        if xip:
            hooks.append(self.uc.hook_add(uc.UC_HOOK_MEM_READ, self._on_flash_read,
                                          begin=XIP, end=XIP + XIP_SIZE - 1))
        try:
            self.uc.emu_start(self.symbols[name] | 1, STOP)
        except uc.UcError as error:
            pc = self.uc.reg_read(reg.UC_ARM_REG_PC)
            raise RelumeError(f"bench: {name} faulted at 0x{pc:08x}: {error}") from error
        finally:
            for hook in hooks:
                self.uc.hook_del(hook)
        counted = Count(self._cycles, self._instructions, self.cache.misses - before)
        return int(self.uc.reg_read(reg.UC_ARM_REG_R0)), counted

    @property
    def now(self) -> int:
        """Cycles of the call that runs."""
        return self._cycles

    def wait_until(self, cycles: int) -> None:
        """The call that runs waits until it has taken so many cycles."""
        self._cycles = max(self._cycles, cycles)

    def write(self, address: int, data: bytes) -> None:
        self.uc.mem_write(address, data)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.uc.mem_read(address, size))
