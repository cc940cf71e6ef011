"""How often an op that reads its constants bit by bit waits for flash, the cache being too small.

ADD and MUL read one byte of a constant operand for each element, GATHER one entry of each map
for each run or line. Bytes that follow each other share a fill of 4: m of them meet at most
m / 4 + 1.5 fills, wherever they begin, and a tile begins and ends in the middle of a run.
"""

from __future__ import annotations

from relume.model.graph import PAIR_KINDS, Graph, Kind, Op

FILL = 4  # bytes of a fill that the bounds are for
PARTS = 2  # runs that a tile meets beyond its length divided by theirs
ENDS = 1.5  # fills of a run beyond a quarter of its bytes


def fills_by_unit(graph: Graph, op: Op) -> tuple[float, float] | None:
    """Fills (once a tile, of a unit) at most; None where a unit may read all constants."""
    if op.weights is None:
        return None
    if op.kind in PAIR_KINDS:
        return _of_operand(graph, op)
    if op.kind is Kind.GATHER:
        _, _, n2, run = op.p[:4]
        return 3.0 * PARTS, 1 / run + 2 / (run * n2)  # axis 2 for each run, 0 and 1 for each line
    return None


def _of_operand(graph: Graph, op: Op) -> tuple[float, float]:
    assert op.weights is not None
    out, operand = graph.tensors[op.output].shape, op.weights.shape
    if operand[2] != out[2]:
        return float(PARTS), 1 / out[2]  # one byte for each pixel
    run = 1
    for axis in (2, 1, 0):
        if operand[axis] != out[axis]:
            break
        run *= out[axis]
    return ENDS * PARTS, min(1.0, 0.25 + ENDS / run)
