"""What a tile of the Cortex-M4 kernels costs, from its shape (SPEC 2.7.2), in cycles.

No branch of these kernels depends on the data: a tile's cycles are how often each of their loops
runs, times its price. The prices were fitted from above to the Thumb code's cycles in 12,000 tiles
of all kinds, whose loops were counted exactly: no tile costs more, the median one 2 to 5 % less.
Here the loops are bounded for any tile of `count` units, wherever it begins: a unit's share of
whole rows, and once a tile what its ends add. Windows at an edge of the input are taken to be at
one everywhere. The rows of [cycles.m4] in board.toml add a margin.
"""

from __future__ import annotations

from dataclasses import dataclass

from relume.blob.layouts.m4_depthwise import AS_CONV, TAPS
from relume.blob.layouts.m4_requant import SHORT
from relume.blob.layouts.packed import Packed
from relume.model.graph import Graph, Kind, Op, Window
from relume.plan.m0plus_work import Work

Counts = dict[str, float]
Shape = tuple[int, int, int]

PRICES = {
    # ADD: an output; a tile with its last three bytes one by one
    "add": 9.0, "add_tile": 290.0,
    # FULLY_CONNECTED: four terms of eight channels, what eight outputs take besides
    "dense_step": 38.1, "dense_block": 87.5, "dense_full": 25.1, "dense_call": 173.8,
    "dense_widen": 6.0, "dense_copy": 7.2, "dense_row": 81.5, "dense_tile": 302.6,
    # CONV_2D: a term of two pixels and four channels, what these eight outputs take besides
    "conv_step": 7.6, "conv_block": 81.3, "conv_full": 26.2, "conv_call": 74.7,
    "conv_call_block": 16.8, "conv_group": 135.4, "conv_tile": 280.6,
    "column": 2.15, "column_row": 12.9, "column_edge": 68.4, "column_call": 133.6,
    "column_fill": 15.1, "point": 1.7, "point_call": 45.2,
    "inside": 1.56, "inside_row": 2.4, "inside_window": 26.5, "inside_run": 130.1,
    "gather": 3.56, "gather_row": 126.4, "gather_tap": 43.6, "gather_window": 171.8,
    "scatter": 1.95, "scatter_live": 7.3, "scatter_pixel": 42.1,
    # DEPTHWISE_CONV_2D 3 x 3: a pair of columns of a band, stride 1, or a column, stride 2
    "plane_one": 77.3, "plane_odd": 47.7, "plane_one_full": 11.8, "plane_two": 30.4,
    "plane_two_full": 4.1, "plane_band": 38.6, "plane_call": 66.3, "plane_strip": 442.2,
    "plane_area": 113.8, "plane_tile": 264.1, "weave": 4.45,
    # any other filter: a tap of four channels, what four outputs take besides
    "tap": 14.1, "tap_row": 6.0, "tap_block": 66.0, "tap_pixel": 126.5, "tap_tile": 269.5,
    "tap_gather": 1.45, "tap_gather_row": 112.7, "tap_gather_tap": 31.3,
    "tap_gather_odd": 14.9, "tap_gather_window": 14.1, "tap_repeat": 5.82, "tap_source": 5.2,
}  # fmt: skip


@dataclass(frozen=True)
class Loops:
    """How often loops run at most: for a unit, once a tile, for a rectangle of it beyond the
    first. fewer: of `unit` what units away from the input's edges do not have."""

    unit: Counts
    tile: Counts
    area: Counts | None = None
    row: int = 1
    fewer: Counts | None = None


def m4_work(graph: Graph, op: Op, fast: Packed) -> Work:
    """Work of an op laid out by relume.blob.layouts.m4."""
    loops = _loops(graph, op, fast)
    parts = (loops.unit, loops.tile, loops.area, loops.fewer)
    unit, tile, area, fewer = (_price(counts or {}) for counts in parts)
    inside = _share_inside(op.window, graph.tensors[op.inputs[0]].shape, graph, op)
    return Work(unit, tile, 0.0, area=area, row=loops.row, typical_unit=unit - inside * fewer)


def _price(counts: Counts) -> float:
    return sum(PRICES[name] * count for name, count in counts.items())


def _times(counts: Counts, factor: float) -> Counts:
    return {name: count * factor for name, count in counts.items()}


def _sum(*parts: Counts) -> Counts:
    names = {name for part in parts for name in part}
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def _loops(graph: Graph, op: Op, fast: Packed) -> Loops:
    out, source = graph.tensors[op.output].shape, graph.tensors[op.inputs[0]].shape
    if op.kind is Kind.ADD:
        return Loops({"add": 1.0}, {"add_tile": 1.0})
    if op.kind is Kind.FULLY_CONNECTED:
        return _dense(graph.macs_per_unit(op), fast, out)
    if op.kind is Kind.CONV_2D or fast.kernel == AS_CONV:
        return _conv(op.window, fast, source, out)
    if fast.kernel == TAPS:
        return _taps(op, source, out)
    return _planes(op.window, fast, out)


# ---------------------------------------------------------------------- dense


def _dense(terms: int, fast: Packed, out: Shape) -> Loops:
    """Blocks of eight channels; a tile may begin and end inside one. n channels of a row meet at
    most n / 8 + 1.75 blocks and three calls, and no more than a whole row does."""
    channels, rows = out[2], out[0] * out[1]
    words, blocks = -(-terms // 4), -(-channels // 8)
    full = float(fast.p[0] != SHORT)
    one = {"dense_step": words, "dense_block": 1.0, "dense_full": full}
    row = {"dense_widen": words, "dense_copy": terms if terms % 4 else 0.0, "dense_row": 1.0}
    call, tile = {"dense_call": 1.0}, {"dense_tile": 1.0}
    if rows == 1 and blocks == 1:
        return Loops({}, _sum(one, row, call, tile))
    if rows == 1:
        return Loops(_times(one, 1 / 8), _sum(_times(one, 1.75), row, _times(call, 3.0), tile))
    whole = _sum(_times(one, blocks), row, _times(call, 2.0))
    ends = _sum(_times(one, 2 * min(1.75, blocks)), _times(row, 2.0), _times(call, 6.0), tile)
    return Loops(_times(whole, 1 / channels), ends)


# ----------------------------------------------------------------------- conv


def _conv(window: Window, fast: Packed, source: Shape, out: Shape) -> Loops:
    """Groups of pairs of pixels times blocks of four channels, and widening their windows."""
    tail, group, columns, live = fast.p[:4]
    depth, (_, width, channels) = source[2], out
    terms = window.kh * (window.kw * depth if columns else -(-window.kw * depth // 4) * 4)
    blocks, full = -(-(live or channels) // 4), float(tail != SHORT)
    pair: Counts = {"conv_step": terms * blocks, "conv_block": blocks, "conv_full": full * blocks}
    call: Counts = {"conv_call": 1.0, "conv_call_block": blocks}
    point = not columns and _is_point(window, source, out)
    call |= {"point_call": float(point)}
    groups = {"conv_group": 1.0}
    most = 2 * group
    if columns:
        some = -(-width // most)
        unit = _sum(_times(pair, -(-width // 2)), _times(call, some + width % 2))
        unit = _times(_sum(unit, _times(groups, some)), 1 / width)
        tile = _sum(pair, _times(call, 4.0), _times(groups, 2.0))
        more = _columns(window, source, out, some)
    else:
        unit = _sum(_times(pair, 0.5), _times(_sum(call, groups), 1 / most))
        tile = _sum(_times(pair, 0.5), _times(call, 2.0), groups)
        more = _windows(window, source, out, terms, most)
    if point:
        more = Loops({"point": terms}, {"point": terms})
    scatter = {"scatter": channels, "scatter_live": live, "scatter_pixel": 1.0} if live else {}
    unit = _sum(unit, more.unit, scatter)
    return Loops(unit, _sum(tile, more.tile, {"conv_tile": 1.0}), fewer=more.fewer)


def _is_point(window: Window, source: Shape, out: Shape) -> bool:
    one = (window.kh, window.kw, window.sh, window.sw) == (1, 1, 1, 1)
    return one and source[2] % 4 == 0 and source[1] == out[1]


def _columns(window: Window, source: Shape, out: Shape, groups: int) -> Loops:
    """A column is widened once a group; row by row where it or its group's rows are outside."""
    width, depth = out[1], source[2]
    edge = float(_is_padded(window, source, out) or width % 2)
    inner: Counts = {"column": window.kh * depth, "column_row": window.kh}
    outer: Counts = {"column_edge": edge * window.kh}
    row = width + width % 2 + groups * (window.kw - 1)
    call = {"column_call": 1.0 + 2.0 * edge}
    unit = _sum(_times(_sum(inner, outer), row / width), _times(call, groups / width))
    tile = _sum(_times(_sum(inner, outer), 2 * window.kw), _times(call, 2.0))
    return Loops(unit, tile | {"column_fill": depth}, fewer=_times(outer, row / width))


def _windows(window: Window, source: Shape, out: Shape, terms: int, most: int) -> Loops:
    """Each window by itself: gathered tap by tap, or in pairs where none leaves the input. Of
    these one a row may be left over, and is gathered with its neighbour."""
    dilated = window.dil_h > 1 or window.dil_w > 1
    taps = window.kh * window.kw * float(window.dil_w > 1)
    gather: Counts = {
        "gather": terms, "gather_row": window.kh, "gather_tap": taps, "gather_window": 1.0,
    }  # fmt: skip
    inside: Counts = {"inside": terms, "inside_row": window.kh, "inside_window": 1.0}
    runs = {"inside_run": 1.0}
    if _is_padded(window, source, out) or dilated:
        fewer = {} if dilated else {"gather_row": float(window.kh), "gather_window": 0.5}
        return Loops(gather, gather, fewer=fewer)
    unit = _sum(inside, _times(gather, 2 / out[1]), _times(runs, 1 / out[1] + 1 / most))
    return Loops(unit, _sum(_times(gather, 4.0), _times(runs, 3.0)))


# ------------------------------------------------------------------ depthwise


def _planes(window: Window, fast: Packed, out: Shape) -> Loops:
    """3 x 3: pairs of rows are woven for four channels, then each channel runs over its bands;
    p[1] bands of two output rows (stride 1) or one make a strip."""
    _, width, channels = out
    one = window.sh == 1
    most = fast.p[1] * (2 if one else 1)
    full = sum(fast.weights[at + 1] & 1 for at in range(36, len(fast.weights), 40))
    woven: Counts = {"weave": ((width - 1) * window.sw + 3) * channels}
    if one:
        pairs = width / 2
        band: Counts = {"plane_one": pairs * channels, "plane_one_full": -(-width // 2) * full}
        odd = PRICES["plane_odd"] - PRICES["plane_one"] / 2
        band |= {"plane_band": channels + channels * odd / PRICES["plane_band"]}
    else:
        band = {"plane_two": width * channels, "plane_two_full": width * full}
        band |= {"plane_band": channels}
    strip: Counts = {"plane_call": channels, "plane_strip": channels / 4}
    rate, rest = (0.5, 0.5) if one else (1.0, 0.0)
    row = _sum(_times(band, rate), _times(woven, rate + 1 / most), _times(strip, 1 / most))
    area = _sum(_times(band, rest), _times(woven, 1 + rest), _times(strip, 2.0))
    area |= {"plane_area": 1.0}
    return Loops(_times(row, 1 / width), area | {"plane_tile": 1.0}, area, width)


def _taps(op: Op, source: Shape, out: Shape) -> Loops:
    """Any filter: a window inside the input is read in place, others are gathered."""
    window, channels = op.window, out[2]
    taps, blocks = window.kh * window.kw, -(-channels // 4)
    repeated, odd = op.depth_mult > 1, channels % 4 > 0
    unit: Counts = {
        "tap": taps * blocks, "tap_row": window.kh * blocks, "tap_block": blocks,
        "tap_pixel": 1.0,
    }  # fmt: skip
    one_by_one = float(repeated or odd or window.dil_w > 1)
    gather: Counts = {
        "tap_gather": taps * blocks * 4, "tap_gather_row": window.kh, "tap_gather_window": 1.0,
        "tap_gather_tap": taps * one_by_one, "tap_gather_odd": taps * float(odd),
    }  # fmt: skip
    if repeated:
        gather |= {"tap_repeat": taps * channels, "tap_source": taps * source[2]}
    in_place = not (repeated or odd)
    if in_place and not _is_padded(window, source, out):
        return Loops(unit, {"tap_tile": 1.0})
    return Loops(_sum(unit, gather), {"tap_tile": 1.0}, fewer=gather if in_place else None)


# ---------------------------------------------------------------------- edges


def _is_padded(window: Window, source: Shape, out: Shape) -> bool:
    """Some window leaves the input."""
    down = (out[0] - 1) * window.sh - window.pad_top + (window.kh - 1) * window.dil_h
    right = (out[1] - 1) * window.sw - window.pad_left + (window.kw - 1) * window.dil_w
    before = window.pad_top > 0 or window.pad_left > 0
    return before or down >= source[0] or right >= source[1]


def _share_inside(window: Window, source: Shape, graph: Graph, op: Op) -> float:
    """Share of an op's windows that are inside the input."""
    if window.kh == 0:
        return 1.0
    out = graph.tensors[op.output].shape
    rows = sum(
        y * window.sh - window.pad_top >= 0
        and y * window.sh - window.pad_top + (window.kh - 1) * window.dil_h < source[0]
        for y in range(out[0])
    )
    columns = sum(
        x * window.sw - window.pad_left >= 0
        and x * window.sw - window.pad_left + (window.kw - 1) * window.dil_w < source[1]
        for x in range(out[1])
    )
    return rows * columns / (out[0] * out[1])
