"""Cycles of the portable kernels of GATHER and CONCATENATION, per byte of the output.

Counted on the Cortex-M0+ code: what a line of runs, a run, a single byte by step or map and a
copied byte cost. [cycles.portable] of board.toml multiplies this by its margin and adds the price
of a tile.
"""

from __future__ import annotations

from relume.model.graph import Graph, Op

LINE = 90.0
RUN = 40.0
STEPPED, MAPPED = 6.6, 10.0  # a byte that is a run of its own
COPY = 30.0
COPIED, COPIED_APART = 1.4, 5.2  # a byte by words; a byte by bytes
WORDS, TAIL = 9.0, 14.0  # words behind the last four; bytes behind the last word


def gather_work(graph: Graph, op: Op) -> float:
    """Cycles per byte of the output of a GATHER."""
    base, _, n2, run, *steps, maps = op.p
    if run == 1:
        byte = MAPPED if maps & 4 else STEPPED
        return byte + LINE / n2
    entries = [] if op.weights is None else op.weights.view("<i4").tolist()
    alike = all(place % 4 == 0 for place in (base, run, *steps, *entries))
    return (RUN + copy_cycles(run, alike) + LINE / n2) / run


def concatenation_work(op: Op) -> float:
    """Cycles per byte of the output of a CONCATENATION."""
    alike = op.p[0] % 4 == 0 and op.p[1] % 4 == 0
    rounds = RUN + sum(copy_cycles(run, alike) for run in op.p[:2])
    return rounds / sum(op.p[:2])


def copy_cycles(run: int, alike: bool) -> float:
    """A run; alike: both ends lie alike modulo 4, whatever tile it is cut into."""
    if alike:
        return COPY + COPIED * run + WORDS
    return COPY + COPIED_APART * run + TAIL
