"""Weights that come to SRAM in parts (SPEC 2.8): which parts there can be, and what waiting for
them costs. Only the Cortex-M0+ layouts of CONV_2D and FULLY_CONNECTED have them.

A CONV_2D waits for each part, then computes its channels for a whole tile. FULLY_CONNECTED uses
each weight once, so the next part comes into the other half of the buffer while it computes.
"""

from __future__ import annotations

from collections.abc import Iterator

from relume.blob.format import CHUNK
from relume.blob.layouts.m0plus_conv import WIDTH, WITH_CORNER
from relume.blob.layouts.packed import Packed
from relume.board.profile import Xip
from relume.model.graph import Kind
from relume.plan.m0plus_work import takes_spans
from relume.plan.types import Stage
from relume.plan.xip import AHEAD_BYTES, BURST_BYTES, copy_cycles

MOST_CHUNK = 0xFFFF * CHUNK  # bytes that SPEC 2.3 can tell
EXACT_BYTES = 12  # a row of exact constants
PART_CYCLES = 300.0  # of the kernel and the port, for each copy
Shape = tuple[int, int, int]


def block_bytes(fast: Packed) -> int:
    """Weights of a block of channels (SPEC 2.7.1)."""
    return len(fast.weights) // _blocks(fast)


def _blocks(fast: Packed) -> int:
    return -(-fast.p[1] // WIDTH)


def part_bytes(fast: Packed) -> int:
    """What a part of FULLY_CONNECTED holds of a block of channels: weights, starts, table."""
    return block_bytes(fast) + 2 * (12 + (96 if fast.p[3] & WITH_CORNER else 64))


def buffers(kind: Kind, shape: Shape, fast: Packed, size: int) -> Iterator[Stage]:
    """Blocks of SRAM for weights in parts, and what of `size` bytes of constants is copied at
    once. shape: of the output."""
    blocks, step = _blocks(fast), block_bytes(fast)
    if kind is Kind.FULLY_CONNECTED:
        most = min(max(1, BURST_BYTES // step), blocks // 2)
        each = part_bytes(fast)
        chunks = [*(2 * held * each for held in range(most, 0, -1)), each]
        rest = [EXACT_BYTES * fast.p[2]]
    elif kind is Kind.CONV_2D and takes_spans(shape[2], fast.p[1]):
        held = {-(-blocks // parts) for parts in range(2, blocks + 1)}
        chunks = [each * step for each in sorted(held, reverse=True)]
        rest = [size - len(fast.weights), 0]
    else:
        return
    for more in rest:
        for chunk in (-(-chunk // CHUNK) * CHUNK for chunk in chunks):
            if chunk <= MOST_CHUNK and len(fast.weights) > BURST_BYTES:
                yield Stage(0, chunk + more, chunk)


def conv_waits(xip: Xip, fast: Packed, chunk: int) -> float:
    """Cycles that a tile of CONV_2D waits for its weights, all of them."""
    whole = len(fast.weights)
    sizes = [min(chunk, whole - at) for at in range(0, whole, chunk)]
    return sum(copy_cycles(xip, size) + PART_CYCLES for size in sizes)


def dense_waits(
    xip: Xip, fast: Packed, shape: Shape, chunk: int, unit: float
) -> tuple[float, float]:
    """Cycles (once a tile, of an output) that FULLY_CONNECTED waits for its weights; the kernel
    takes `unit` cycles an output. The first part of a row comes while nothing is computed."""
    rows, each = shape[0] * shape[1], part_bytes(fast)
    held = max(1, chunk // 2 // each)
    part, channels = held * block_bytes(fast), held * WIDTH
    weights = copy_cycles(xip, part)
    tables = copy_cycles(xip, held * each - part) + 2 * PART_CYCLES
    wait = weights
    if 2 * held * each <= chunk and part <= AHEAD_BYTES:
        wait = max(0.0, wait - unit * channels)
    channel = (wait + tables) / channels
    begun = weights + tables + 2 * (WIDTH - 1) * channel
    return begun * min(2, rows), channel + (begun / shape[2] if rows > 1 else 0.0)
