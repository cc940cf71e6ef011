"""Cycles per instruction of two cores.

Cortex-M0+: Arm DDI 0484C, table 3-1, with the single-cycle multiplier that the RP2040 has.
Cortex-M4: Arm DDI 0439D, table 3-1. A load takes 2 cycles, and 1 when it directly follows a load
whose result it does not use; stores go through the buffer in 1; a taken branch is counted as 2
(1 + a pipeline refill of 1 to 3). Zero wait states: code and data in SRAM. Flash is counted apart
(`relume.bench.machine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import capstone as cs

CORES = ("m0plus", "m4")
_LOADS = ("ldr", "ldrb", "ldrh", "ldrsb", "ldrsh")
_STORES = ("str", "strb", "strh")
_BARRIERS = ("dmb", "dsb", "isb", "mrs", "msr")


@dataclass(frozen=True)
class BlockCost:
    """Cycles of one straight run of instructions; `taken` is added if its branch was taken."""

    cycles: int
    taken: int
    instructions: int


def block_cost(core: str, instructions: Sequence[cs.CsInsn]) -> BlockCost:
    """Cost of a basic block; only its last instruction may branch."""
    cycles, taken = 0, 0
    before: cs.CsInsn | None = None
    for insn in instructions:
        cost, extra = (_m0plus(insn) if core == "m0plus" else _m4(insn, before))
        cycles, taken, before = cycles + cost, extra, insn
    return BlockCost(cycles, taken, len(instructions))


def _base(insn: cs.CsInsn) -> str:
    """Mnemonic without width suffix and flag-setting `s` of loads and stores."""
    return str(insn.mnemonic).split(".")[0]


def _registers(insn: cs.CsInsn) -> int:
    return sum(1 for part in insn.op_str.rsplit("{", 1)[-1].split(",") if part.strip())


def _branch(insn: cs.CsInsn, name: str) -> tuple[int, int] | None:
    """(cycles, extra when taken) of a branch, None for any other instruction."""
    if name in ("bl",):
        return 3, 0
    if name in ("bx", "blx", "b") or (name == "mov" and insn.op_str.startswith("pc")):
        return 2, 0
    if name in ("cbz", "cbnz") or (name[0] == "b" and insn.group(cs.arm.ARM_GRP_JUMP)):
        return 1, 1
    return None


def _m0plus(insn: cs.CsInsn) -> tuple[int, int]:
    name = _base(insn)
    branch = _branch(insn, name)
    if branch:
        return branch
    if name in _LOADS or name in _STORES:
        return 2, 0
    if name == "pop" and "pc" in insn.op_str:
        return 3 + _registers(insn), 0
    if name.startswith(("ldm", "stm")) or name in ("push", "pop"):
        return 1 + _registers(insn), 0
    if name == "add" and insn.op_str.startswith("pc"):
        return 2, 0
    return (3, 0) if name in _BARRIERS else (1, 0)


def _m4(insn: cs.CsInsn, before: cs.CsInsn | None) -> tuple[int, int]:
    name = _base(insn)
    branch = _branch(insn, name)
    if branch:
        return branch
    if name in ("tbb", "tbh"):
        return 4, 0
    if name in _LOADS:
        return (1 if _follows_load(insn, before) else 2), 0
    if name == "ldrd":
        return 3, 0
    if name in ("strd",):
        return 2, 0
    if name == "pop" and "pc" in insn.op_str:
        return 3 + _registers(insn), 0
    if name.startswith(("ldm", "stm", "vldm", "vstm")) or name in ("push", "pop", "vpush", "vpop"):
        return 1 + _registers(insn), 0
    if name in ("udiv", "sdiv"):
        return 12, 0
    return (3, 0) if name in _BARRIERS else (1, 0)


def _follows_load(insn: cs.CsInsn, before: cs.CsInsn | None) -> bool:
    """A load right after a load whose destination is not this one's address."""
    if before is None or _base(before) not in _LOADS:
        return False
    loaded = before.op_str.split(",")[0].strip()
    address = insn.op_str.split("[", 1)[-1].replace("]", " ").replace(",", " ").split()
    return loaded not in address
