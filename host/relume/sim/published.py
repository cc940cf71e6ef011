"""Constants and formulas of the published policies; docs/SIMULATE.md names the sources."""

from __future__ import annotations

import math

BFREE_BOOT_S = 0.118
BFREE_CHECKPOINT_S = 0.0746  # of a heap of 32 KB
BFREE_RESTORE_S = 0.0811
BFREE_HEAP = 32 * 1024
BFREE_PERIODS_S = (0.05, 0.1, 0.2, 0.4)  # TIME; published with 0.2
STATE_BYTES = 1024  # registers, stack and globals of a snapshot, beside the tensors
SONIC_INDEX, SONIC_VALUE = 2, 2
HAWAII_COUNTER, HAWAII_VERSION = 3, 1
NODPA_CARRY = 1 / 256  # share of commits that change more than the low byte
INAS_INDEX = 4
ALPACA_ENTRY, ALPACA_POINTER = 8, 2
STATEFUL_TABLE = 8
LAYER_INDEX = 2
CHINCHILLA_REGISTERS = 64
TINAS_MARGIN = 0.6


def hibernus_volts(snapshot_j: float, cap_f: float, min_v: float) -> float:
    """V_H at which a snapshot still fits above min_v: sqrt(2 E / C + V_min^2)."""
    return math.sqrt(2 * snapshot_j / cap_f + min_v**2)


def adc_ohm(volts: float) -> float:
    """What Mementos' look at the voltage draws, as a resistance."""
    return 3346.0 * volts + 1041.0


def adc_j(volts: float, seconds: float) -> float:
    """Energy of that look."""
    return volts**2 / adc_ohm(volts) * seconds


def sonic_stores(macs: int, outputs: int) -> int:
    """Stores of a layer: filter taps * outputs, the multiplications; one an output without any."""
    return max(macs, outputs)


def japari_outputs(outputs: int) -> int:
    """A batch carries one indicator more."""
    return outputs + 1


def stateful_reads(jobs: int) -> int:
    """Single values that the binary search over the jobs reads."""
    return math.ceil(math.log2(jobs)) if jobs > 1 else 0


def nodpa_record_bytes() -> float:
    """Mean bytes of a progress record: the low byte in place, a full one at each carry."""
    full = HAWAII_COUNTER + HAWAII_VERSION
    return (1 - NODPA_CARRY) + NODPA_CARRY * full


def inas_cycle_j(
    reboot: float, fetch: float, index_fetch: float, compute: float, backup: float, index: float
) -> float:
    """Epc of a power cycle, the sum of its parts."""
    return reboot + fetch + index_fetch + compute + backup + index
