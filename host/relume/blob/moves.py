"""GATHER and CONCATENATION of a blob: every place that they read lies in their inputs (SPEC 2.4).

The same as native_modules/relume/blob_move.c proves on the board.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def gather_fault(
    p: Sequence[int], maps: npt.NDArray[np.uint32], source: int, out: int
) -> str | None:
    """What is wrong with a GATHER. maps: its words; source, out: bytes of the tensors."""
    base, *inner, _, _, _, mapped = p
    axes = [out]
    for n in reversed(inner):
        if n < 1 or axes[0] % n:
            return "axes do not divide the output"
        axes = [axes[0] // n, n, *axes[1:]]
    if mapped & ~7 or maps.size != sum(axes[a] for a in range(3) if mapped >> a & 1):
        return "its maps have another size"
    reach = [base, inner[2]]
    for axis in (2, 1, 0):
        if mapped >> axis & 1:
            places, maps = maps[: axes[axis]].astype(np.int64), maps[axes[axis] :]
            if axis == 0 and np.any(np.diff(places) < 0):
                return "the map of axis 0 falls"
            reach.append(int(places.max()))
        else:
            reach.append((axes[axis] - 1) * p[4 + axis])
    return "reads outside its input" if min(reach) < 0 or sum(reach) > source else None


def concatenation_fault(p: Sequence[int], first: int, second: int, out: int) -> str | None:
    """What is wrong with a CONCATENATION of tensors of `first` and `second` bytes."""
    run0, run1 = p[:2]
    if run0 < 1 or run1 < 1 or first % run0 or second % run1:
        return "runs do not divide the inputs"
    if first // run0 != second // run1 or first + second != out:
        return "its inputs do not make its output"
    return None
