"""An order of bytes -> the parameters of GATHER (SPEC 2.4), found in the order itself.

Every op that only moves bytes is one array of input places, one for each byte of the output. Here
that array becomes [n0][n1][n2][run]: runs of neighbouring bytes, for each axis a step or a map.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
MAX_MAP = 1 << 12  # entries of all maps of an op: 16 KB of flash
MAX_PIECES = 8


@dataclass(frozen=True, eq=False)
class Axis:
    """n places relative to the first, the least is 0: x * step, or map[x]. rises: none falls."""

    n: int
    step: int
    map: Places | None = None

    def places(self) -> Places:
        """[n]"""
        return np.arange(self.n) * self.step if self.map is None else self.map

    @property
    def entries(self) -> int:
        """Words of constants."""
        return 0 if self.map is None else self.n

    @property
    def rises(self) -> bool:
        """No place lies before the one in front of it."""
        return bool(np.all(np.diff(self.places()) >= 0))


UNIT_AXIS = Axis(1, 0)


@dataclass(frozen=True, eq=False)
class GatherForm:
    """Run (i, j, k) of the output is the run at base + axes[0][i] + axes[1][j] + axes[2][k]."""

    base: int
    run: int
    axes: tuple[Axis, Axis, Axis]

    def places(self) -> Places:
        """The order that this form stands for."""
        first, second, third = (axis.places() for axis in self.axes)
        whole = first[:, None, None] + second[:, None] + third
        return (self.base + whole[..., None] + np.arange(self.run)).reshape(-1)

    @property
    def p(self) -> tuple[int, ...]:
        """p0 to p7."""
        steps = [axis.step for axis in self.axes]
        maps = sum(1 << number for number, axis in enumerate(self.axes) if axis.entries)
        return (self.base, self.axes[1].n, self.axes[2].n, self.run, *steps, maps)

    @property
    def maps(self) -> npt.NDArray[np.int32]:
        """Maps of axes 2, 1 and 0, one behind the other."""
        maps = [axis.map for axis in reversed(self.axes) if axis.map is not None]
        return np.concatenate([np.zeros(0, np.int64), *maps]).astype(np.int32)


def gather_form(order: Places, row: int) -> GatherForm | None:
    """The form with the least maps; None: the maps would be longer than MAX_MAP.

    order: [bytes of the output] places in the input. row: bytes of an output row; one run of
    several rows is cut there, so that rows which are not needed any more are known.
    """
    run = _period(order, 1)
    if run == order.size and run % row == 0:
        run = row
    starts = order[::run]
    pieces = _pieces(starts)
    if pieces is not None and len(pieces) == 1:
        pieces = _cut(pieces[0], max(1, row // run))
    if pieces is None:
        return None
    built = [[_joined(group) for group in groups] for groups in _groupings(pieces)]
    fitting = [axes for axes in (_placed(axes, run) for axes in built) if axes is not None]
    if not fitting:
        return None
    axes = min(fitting, key=_cost)
    base = int(starts[0]) - sum(int(axis.places()[0]) for axis in axes)
    return GatherForm(base, run, axes)


def _cost(axes: tuple[Axis, Axis, Axis]) -> tuple[int, bool]:
    """Words of maps and lines of runs; rows that come to be dead one by one are better."""
    lines = axes[0].n * axes[1].n
    return sum(axis.entries for axis in axes) + lines, axes[0].n == 1


def _cut(axis: Axis, runs: int) -> list[Axis]:
    """One axis as rows of `runs` runs, where it is made of such."""
    if axis.map is None and 1 < runs < axis.n and axis.n % runs == 0:
        return [Axis(runs, axis.step), Axis(axis.n // runs, axis.step * runs)]
    return [axis]


def _period(values: Places, step: int | None) -> int:
    """Largest n so that values falls into pieces of n, each an arithmetic row; step None: any."""
    if values.size < 2:
        return 1
    wanted = int(values[1] - values[0]) if step is None else step
    breaks = np.flatnonzero(np.diff(values) != wanted) + 1
    return int(np.gcd.reduce(np.append(breaks, values.size)))


def _pieces(starts: Places) -> list[Axis] | None:
    """Axes, innermost first, whose sums are `starts` less a constant; None: too many."""
    pieces: list[Axis] = []
    while starts.size > 1:
        if len(pieces) == MAX_PIECES:
            return None
        n = _period(starts, None)
        step = int(starts[1] - starts[0])
        if n > 1 and step >= 0:
            pieces.append(Axis(n, step))
        else:
            n = n if n > 1 else _separable(starts)
            pieces.append(_mapped(starts[:n] - starts[0]))
        starts = starts[::n]
    return pieces


def _separable(starts: Places) -> int:
    """Least n > 1 so that all pieces of n differ from the first by a constant each."""
    for n in range(2, min(starts.size // 2, MAX_MAP) + 1):
        if starts.size % n == 0:
            table = starts.reshape(-1, n)
            apart = table - table[:, :1]
            if np.array_equal(apart[0], apart[1]) and not np.any(apart - apart[0]):
                return n
    return starts.size


def _mapped(places: Places) -> Axis:
    return Axis(places.size, 0, places - places.min())


def _groupings(pieces: list[Axis]) -> Iterator[list[list[Axis]]]:
    """Neighbouring pieces put together to at most three axes, innermost first, maps not too long.

    At least one grouping of no pieces, which is no axis.
    """
    for groups in range(min(1, len(pieces)), min(3, len(pieces)) + 1):
        for cuts in itertools.combinations(range(1, len(pieces)), max(0, groups - 1)):
            edges = [0, *cuts, len(pieces)]
            found = [pieces[a:b] for a, b in itertools.pairwise(edges) if a < b]
            if sum(map(_entries, found)) <= MAX_MAP:
                yield found


def _entries(group: Sequence[Axis]) -> int:
    return group[0].entries if len(group) == 1 else math.prod(piece.n for piece in group)


def _joined(pieces: Sequence[Axis]) -> Axis:
    if len(pieces) == 1:
        return pieces[0]
    places = np.zeros(1, np.int64)
    for piece in pieces:
        places = (piece.places()[:, None] + places).reshape(-1)
    return _mapped(places)


def _placed(axes: list[Axis], run: int) -> tuple[Axis, Axis, Axis] | None:
    """Axes 0 to 2; axis 0 must rise. Single bytes want axis 2, which is the fastest."""
    outer = axes[::-1]
    if len(outer) == 1 and run == 1:
        return UNIT_AXIS, UNIT_AXIS, outer[0]
    if outer and not outer[0].rises:
        outer = [UNIT_AXIS, *outer]
    if len(outer) > 3:
        return None
    if len(outer) == 2:
        return outer[0], UNIT_AXIS, outer[1]
    filled = [*outer, UNIT_AXIS, UNIT_AXIS, UNIT_AXIS]
    return filled[0], filled[1], filled[2]
