"""Lowering of the ops that only change the order of bytes: one GATHER for each output.

Each op is what numpy makes of an array that holds, for every byte of the input, its place: the
result is the order of the output. model/gather_form.py finds the parameters in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from relume.model.gather_form import Places, gather_form
from relume.model.graph import Kind, Op
from relume.model.lower_common import (
    Lowerings,
    Site,
    Unsupported,
    activation_tensor,
    folded,
    loose_tensor,
)
from relume.model.slices import strided_index
from relume.model.tflite_file import RawTensor

MAX_BYTES = 1 << 22
MAX_AXES = 8


def _axis(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    if not -rank <= axis < rank:
        raise Unsupported(f"axis {axis} of {rank}")
    return axis % rank


def _places(tensor: RawTensor) -> Places:
    """A tensor of its bytes' places."""
    folded(tensor.shape)
    if len(tensor.shape) > MAX_AXES or tensor.elements > MAX_BYTES:
        shape = list(tensor.shape)
        raise Unsupported(f"shape {shape}: at most {MAX_AXES} axes and {MAX_BYTES} bytes")
    return np.arange(tensor.elements, dtype=np.int64).reshape(tensor.shape)


def _gather(site: Site, place: int, number: int, order: Places) -> Op:
    """The op that writes output `number` in `order`, places in input `place`."""
    source, raw = loose_tensor(site, place), site.raw.tensors[site.op.outputs[number]]
    out = activation_tensor(raw, folded)
    if (source.scale, source.zero_point) != (out.scale, out.zero_point):
        raise Unsupported("quantization differs between input and output")
    if order.shape != raw.shape:
        raise Unsupported(f"output {raw.shape} instead of {order.shape} (damaged file)")
    name = site.raw.tensors[site.op.outputs[number]].name
    inputs, output = (site.op.inputs[place],), site.op.outputs[number]
    flat = order.reshape(-1)
    if flat.size == source.size and np.array_equal(flat, np.arange(flat.size)):
        return Op(Kind.RESHAPE, name, inputs, output, site.op.number)
    form = gather_form(flat, out.shape[1] * out.shape[2])
    if form is None:
        raise Unsupported("bytes change places with too little order")
    maps = np.frombuffer(form.maps.astype("<i4").tobytes(), np.int8) if form.maps.size else None
    return Op(Kind.GATHER, name, inputs, output, site.op.number, weights=maps, p=form.p)


def _one(order_of: Callable[[Site, Places], Places]) -> Callable[[Site], list[Op]]:
    """Lowering of an op that moves input 0 to its only output."""

    def lower(site: Site) -> list[Op]:
        site.output()
        loose_tensor(site, 0)
        return [_gather(site, 0, 0, order_of(site, _places(site.tensor(0))))]

    return lower


# ------------------------------------------------------------------- one output


def _slice(site: Site, places: Places) -> Places:
    begin, size = site.integers(1, "begin"), site.integers(2, "size")
    if len(begin) != places.ndim or len(size) != places.ndim:
        raise Unsupported(f"begin {begin}, size {size} for {places.ndim} axes")
    parts = []
    for first, count, axis in zip(begin, size, places.shape, strict=True):
        count = axis - first if count == -1 else count
        if first < 0 or count < 1 or first + count > axis:
            raise Unsupported(f"begin {begin}, size {size} leave the input")
        parts.append(slice(first, first + count))
    return places[tuple(parts)]


def _strided_slice(site: Site, places: Places) -> Places:
    lists = (site.integers(1, "begin"), site.integers(2, "end"), site.integers(3, "strides"))
    try:
        return np.asarray(places[strided_index(site.op.options, *lists)])
    except (ValueError, IndexError) as error:
        raise Unsupported(f"ranges: {error}") from error


def _transpose(site: Site, places: Places) -> Places:
    order = site.integers(1, "permutation")
    axes = [_axis(axis, places.ndim) for axis in order]
    if sorted(axes) != list(range(places.ndim)):
        raise Unsupported(f"permutation {order} of {places.ndim} axes")
    return places.transpose(axes)


def _reverse(site: Site, places: Places) -> Places:
    return np.flip(places, tuple(_axis(axis, places.ndim) for axis in site.integers(1, "axes")))


def _tile(site: Site, places: Places) -> Places:
    times = site.integers(1, "multiples")
    whole = math.prod(times) * places.size
    if len(times) != places.ndim or min(times, default=1) < 1 or whole > MAX_BYTES:
        raise Unsupported(f"multiples {times}")
    return np.tile(places, times)


def _take(site: Site, places: Places) -> Places:
    if site.op.options["batch_dims"]:
        raise Unsupported("batch_dims other than 0")
    axis = _axis(int(site.op.options["axis"]), places.ndim)
    constant = site.constant(1, {"INT32": "<i4", "INT64": "<i8"}, "indices")
    indices = constant.astype(np.int64)
    if indices.size and not 0 <= indices.min() <= indices.max() < places.shape[axis]:
        raise Unsupported("an index outside the input")
    if indices.size * places.size // places.shape[axis] > MAX_BYTES:
        raise Unsupported(f"{indices.size} indices")
    return np.take(places, indices, axis)


def _mirror_pad(site: Site, places: Places) -> Places:
    pairs = np.array(site.integers(1, "paddings"), np.int64)
    symmetric = bool(site.op.options["mode"])
    if pairs.size != 2 * places.ndim:
        raise Unsupported(f"{pairs.size} paddings for {places.ndim} axes")
    pairs = pairs.reshape(-1, 2)
    most = np.array(places.shape) - (0 if symmetric else 1)
    if pairs.min(initial=0) < 0 or np.any(pairs > most[:, None]):
        raise Unsupported(f"paddings {pairs.tolist()} do not fit the input")
    if math.prod(int(n) for n in np.array(places.shape) + pairs.sum(axis=1)) > MAX_BYTES:
        raise Unsupported(f"paddings {pairs.tolist()}")
    return np.pad(places, pairs, mode="symmetric" if symmetric else "reflect")


def _nearest(site: Site, before: int, after: int) -> Places:
    """Source of each row or column: TFLite's GetNearestNeighbor, in float32 as there."""
    corners, half = site.op.options["align_corners"], site.op.options["half_pixel_centers"]
    one = np.float32(1)
    if corners and after > 1:
        scale = one * np.float32(before - 1) / np.float32(after - 1)
    else:
        scale = one * np.float32(before) / np.float32(after)
    at = (np.arange(after, dtype=np.float32) + np.float32(0.5 if half else 0.0)) * scale
    nearest = np.floor(at + np.float32(0.5)) if corners else np.floor(at)
    clipped: Places = np.clip(nearest.astype(np.int64), 0, before - 1)
    return clipped


def _resize(site: Site, places: Places) -> Places:
    size = site.integers(1, "size")
    if places.ndim != 4 or len(size) != 2 or min(size) < 1:
        raise Unsupported(f"size {size} for {places.ndim} axes")
    if math.prod(size) * places.shape[3] > MAX_BYTES:
        raise Unsupported(f"size {size}")
    rows = _nearest(site, places.shape[1], size[0])
    columns = _nearest(site, places.shape[2], size[1])
    return places.take(rows, 1).take(columns, 2)


def _depth_to_space(site: Site, places: Places) -> Places:
    block = int(site.op.options["block"])
    if places.ndim != 4 or block < 1 or places.shape[3] % (block * block):
        raise Unsupported(f"block size {block} for shape {list(places.shape)}")
    n, h, w, c = places.shape
    deep = places.reshape(n, h, w, block, block, c // (block * block))
    return deep.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * block, w * block, -1)


def _space_to_depth(site: Site, places: Places) -> Places:
    block = int(site.op.options["block"])
    if places.ndim != 4 or block < 1 or places.shape[1] % block or places.shape[2] % block:
        raise Unsupported(f"block size {block} for shape {list(places.shape)}")
    n, h, w, c = places.shape
    wide = places.reshape(n, h // block, block, w // block, block, c)
    return wide.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // block, w // block, -1)


# ----------------------------------------------------------------- many outputs


def _parts(site: Site, place: int, axis: int, sizes: list[int], drop: bool = False) -> list[Op]:
    """One op for each output: sizes[i] entries of an axis; drop: the axis goes (one entry)."""
    loose_tensor(site, place)
    places = _places(site.tensor(place))
    axis = _axis(axis, places.ndim)
    if len(sizes) != len(site.op.outputs) or sum(sizes) != places.shape[axis] or min(sizes) < 1:
        raise Unsupported(f"parts {sizes[:8]} of {places.shape[axis]} (damaged file)")
    ops, first = [], 0
    for number, size in enumerate(sizes):
        part = places.take(np.arange(first, first + size), axis)
        ops.append(_gather(site, place, number, part.squeeze(axis) if drop else part))
        first += size
    return ops


def _split(site: Site) -> list[Op]:
    axes, count = site.integers(0, "axis"), len(site.op.outputs)
    shape = site.tensor(1).shape
    if len(axes) != 1 or not count:
        raise Unsupported(f"axis {axes}, {count} outputs")
    return _parts(site, 1, axes[0], [shape[_axis(axes[0], len(shape))] // count] * count)


def _split_v(site: Site) -> list[Op]:
    sizes, axes = site.integers(1, "sizes"), site.integers(2, "axis")
    shape = site.tensor(0).shape
    if len(axes) != 1 or sizes.count(-1) > 1:
        raise Unsupported(f"axis {axes}, sizes {sizes[:8]}")
    rest = shape[_axis(axes[0], len(shape))] - sum(size for size in sizes if size != -1)
    return _parts(site, 0, axes[0], [rest if size == -1 else size for size in sizes])


def _unpack(site: Site) -> list[Op]:
    count = len(site.op.outputs)
    return _parts(site, 0, int(site.op.options["axis"]), [1] * count, drop=True)


LOWERINGS: Lowerings = {
    "SLICE": _one(_slice),
    "STRIDED_SLICE": _one(_strided_slice),
    "TRANSPOSE": _one(_transpose),
    "REVERSE_V2": _one(_reverse),
    "TILE": _one(_tile),
    "GATHER": _one(_take),
    "MIRROR_PAD": _one(_mirror_pad),
    "RESIZE_NEAREST_NEIGHBOR": _one(_resize),
    "DEPTH_TO_SPACE": _one(_depth_to_space),
    "SPACE_TO_DEPTH": _one(_space_to_depth),
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
}
