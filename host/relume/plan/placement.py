"""Places blocks in one linear memory: greedy best fit, largest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt


def place(
    sizes: Sequence[int], conflicts: Callable[[int], npt.NDArray[np.bool_]], align: int
) -> tuple[tuple[int, ...], int]:
    """(offsets, bytes in all). conflicts(i)[j]: blocks i and j must not share bytes."""
    offsets = np.full(len(sizes), -1, dtype=np.int64)
    rounded = np.array([-(-size // align) * align for size in sizes], dtype=np.int64)
    for block in sorted(range(len(sizes)), key=lambda number: (-sizes[number], number)):
        taken = np.flatnonzero(conflicts(block) & (offsets >= 0))
        spans = sorted((int(offsets[j]), int(offsets[j] + rounded[j])) for j in taken)
        offsets[block] = _best_gap(spans, int(rounded[block]))
    total = int((offsets + rounded).max(initial=0))
    return tuple(int(offset) for offset in offsets), total


def _best_gap(spans: list[tuple[int, int]], size: int) -> int:
    """Start of the smallest gap between spans that holds size, else the end of the last."""
    best: tuple[int, int] | None = None
    end = 0
    for first, stop in spans:
        gap = first - end
        if gap >= size and (best is None or gap < best[0]):
            best = (gap, end)
        end = max(end, stop)
    return end if best is None else best[1]
