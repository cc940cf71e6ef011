"""What was found about every op: which kernel computes it and why, what its weights are like.

`found` collects it for JSON, `table` lays it out for a terminal, one line an op.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from relume.blob.layouts.packed import Packed
from relume.blob.layouts.select import M0PLUS, M4, PORTABLE, choose
from relume.model.graph import WEIGHT_KINDS, Graph, Kind, Op
from relume.model.ranges import ranges
from relume.report.tables import count, short_names

if TYPE_CHECKING:
    from rich.table import Table

    from relume.board.profile import BoardProfile

LANE_MAX, BYTE_MAX = 65535, 255
COLUMNS = (
    ("op", True, 3),
    ("kind", False, 17),
    ("layer", False, 16),
    ("kernel", False, 8),
    ("how, or why not", False, 40),
    ("lanes", False, 8),
    ("dead", True, 7),
    ("nonzero", True, 7),
    ("cycles", True, 10),
)


@dataclass(frozen=True)
class OpFound:
    """One op of the plan. how: the kernel's way, or why the portable kernel has to do it.

    channels: outputs in the file; dead: those that are constant for every input; gone: those that
    are out of the tensor. nonzero: share of the file's weights, None without weights. bound: what
    the kernel's lanes are proven with (`_bound`). cycles: of the whole op, worst case.
    """

    op: int
    kind: str
    layer: str
    kernel: str
    how: str
    channels: int
    dead: int
    gone: int
    nonzero: float | None
    bound: str
    macs: int
    cycles: int


def found(whole: Graph, graph: Graph, board: BoardProfile, nvm: str) -> tuple[OpFound, ...]:
    """Facts of every op of `graph`, which is `whole` without dead channels."""
    from relume.plan.costs import CostModel

    constant = [one.constant for one in ranges(whole)]
    costs = CostModel(graph, board, nvm).ops
    rows = []
    for before, op, cost in zip(whole.ops, graph.ops, costs, strict=True):
        chosen = choose(board.core, graph, op)
        fast = isinstance(chosen, Packed)
        channels = whole.tensors[op.output].shape[2]
        rows.append(
            OpFound(
                op.number,
                op.kind.name,
                op.name,
                board.core if fast else PORTABLE,
                chosen.note if isinstance(chosen, Packed) else chosen.reason,
                channels,
                int(constant[op.output].sum()),
                channels - graph.tensors[op.output].shape[2],
                None if before.weights is None else float((before.weights != 0).mean()),
                _bound(board.core, op) if fast else "",
                graph.macs(op),
                round(cost.worst(graph.units(op))),
            )
        )
    return tuple(rows)


def _bound(core: str, op: Op) -> str:
    """What the weights allow the lanes of a proven kernel, whatever the input is.

    Bits of the largest sum, of the 24 that the lanes of CONV_2D and FULLY_CONNECTED have on both
    cores. Cortex-M0+ depthwise: u <= n, the largest input of a plane (byte + 128) that the
    fastest way takes, in the median channel.
    """
    if op.weights is None or op.kind not in WEIGHT_KINDS:
        return ""
    weights = op.weights.astype(np.int64)
    if op.kind is not Kind.DEPTHWISE_CONV_2D:
        return _sums(weights, op) if core in (M0PLUS, M4) else ""
    if core != M0PLUS:
        return ""
    total = np.abs(weights).reshape(-1, weights.shape[-1]).sum(axis=0)
    tops = np.minimum(BYTE_MAX, LANE_MAX // np.maximum(1, total))
    return f"u <= {int(np.median(tops))}"


def _sums(weights: np.ndarray[tuple[int, ...], np.dtype[np.int64]], op: Op) -> str:
    """Bits of the largest |sum|, sign included."""
    flat = weights.reshape(len(weights), -1)
    most = np.abs(flat).sum(axis=1) * 128
    if op.bias is not None:
        most = most + np.abs(op.bias.astype(np.int64))
    return f"{int(most.max()).bit_length() + 1} bits"


def table(title: str, rows: tuple[OpFound, ...]) -> Table:
    """One line an op; what does not fit the terminal ends in dots."""
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for heading, numbers, width in COLUMNS:
        made.add_column(
            heading,
            justify="right" if numbers else "left",
            header_style="bold",
            no_wrap=True,
            overflow="ellipsis",
            max_width=width,
            min_width=None if heading in ("layer", "how, or why not") else width,
        )
    short = short_names(row.layer for row in rows)
    for row in rows:
        made.add_row(*(Text(cell) for cell in _cells(row, short[row.layer])))
    return made


def _cells(row: OpFound, layer: str) -> tuple[str, ...]:
    return (
        str(row.op),
        row.kind,
        layer,
        row.kernel,
        row.how,
        row.bound,
        f"{row.dead}/{row.channels}" if row.dead else "",
        "" if row.nonzero is None else f"{100 * row.nonzero:.0f} %",
        count(row.cycles),
    )


def summary(rows: tuple[OpFound, ...]) -> str:
    """One line: how much runs in which kernel, and what is out of the tensors."""
    total = sum(row.cycles for row in rows) or 1
    slow = [row for row in rows if row.kernel == PORTABLE]
    share = 100 * sum(row.cycles for row in slow) / total
    gone = sum(row.gone for row in rows)
    text = f"{len(rows) - len(slow)} of {len(rows)} ops in kernels of the core, {share:.0f} % of "
    text += "the cycles in portable ones"
    return text + (f"; {gone} dead channels taken out" if gone else "")
