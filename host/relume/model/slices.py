"""STRIDED_SLICE's begin, end, strides and masks as an index of numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import Any

Part = slice | int | EllipsisType | None


def strided_index(
    options: Mapping[str, Any], begin: Sequence[int], end: Sequence[int], strides: Sequence[int]
) -> tuple[Part, ...]:
    """One part for each range. ValueError: the ranges make no sense or are not supported."""
    if not len(begin) == len(end) == len(strides) or 0 in strides:
        raise ValueError(f"begin {list(begin)}, end {list(end)}, strides {list(strides)}")
    if options["offset"]:
        raise ValueError("ends that count from the begin (offset)")
    parts: list[Part] = []
    for number, (first, last, stride) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << number
        if options["ellipsis_mask"] & bit:
            parts.append(...)
        elif options["new_axis_mask"] & bit:
            parts.append(None)
        elif options["shrink_axis_mask"] & bit:
            parts.append(0 if options["begin_mask"] & bit else first)
        else:
            low = None if options["begin_mask"] & bit else first
            parts.append(slice(low, None if options["end_mask"] & bit else last, stride))
    if parts.count(...) > 1:
        raise ValueError("more than one ellipsis")
    return tuple(parts)
