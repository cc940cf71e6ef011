"""The rows of `relume bench -p PORT`: the same layers and models, run by a board.

Each is planned for the board that answers, deployed, given its input and run as any inference is,
commits and all; the firmware counts the cycles of every op's tiles (TIMES, SPEC 6). Flash reads
are in them. `exact` compares with BUILTIN_REF, so ai-edge-litert must be installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relume.bench.layers import seeded_layers
from relume.bench.oracle import layer_reference, reference
from relume.bench.rows import Row, input_of, random_bytes
from relume.blob.pack import pack
from relume.blob.reader import read_blob
from relume.board.profile import load_board
from relume.errors import LinkError, ModelError
from relume.model.dead import without_dead_channels
from relume.model.graph import Graph
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan

if TYPE_CHECKING:
    from relume.link.client import Board

PLUGGED = Budget(1.0, 5.0, 1.8)  # farad: no charge ends while a board on USB runs


@dataclass(frozen=True)
class Measured:
    """Who ran the rows. hz: of its core; step: cycles between two ticks of what it counts with."""

    board: str
    firmware: str
    emulated: bool
    hz: int

    @property
    def text(self) -> str:
        """One line for a person."""
        kind = "the emulated board" if self.emulated else "the board"
        clock = "a timer of 1 us" if self.board != "unix" else "the machine's clock, in ns"
        return (
            f"measured on {kind} {self.board} (firmware {self.firmware}) at {self.hz / 1e6:g} MHz "
            f"with {clock}, flash reads and interrupts included; exact: against TFLite's "
            "BUILTIN_REF"
        )


def rows_on(board: Board, files: list[Path] | None) -> tuple[Measured, list[Row]]:
    """Runs the seeded layers, or the files, on a board. Errors: LinkError, ModelError."""
    hello = board.connect()
    target = "RPI_PICO" if hello.board == "unix" else hello.board
    rows: list[Row] = []
    hz = 0
    for graph, cases in _subjects(files):
        plan = make_plan(without_dead_channels(graph), load_board(target), PLUGGED)
        blob = read_blob(pack(plan))
        kept = blob.name in [slot.name for slot in board.models()]
        model = blob.meta_crc
        board.deploy(blob)
        board.clear(model)
        for name, data, wanted in cases:
            board.times(model)
            result = board.run(data, blob=blob, model=model)
            times = board.times(model)
            if result.brownouts:
                raise LinkError(f"{board.port.text}: the power was cut; bench wants USB power")
            hz = times.hz
            rows.append(
                Row(
                    name,
                    sum(graph.macs(op) for op in plan.graph.ops),
                    sum(times.cycles),
                    None,
                    result.output == wanted,
                    plan.arena_size + plan.scratch_size,
                    None,
                    True,
                )
            )
            board.clear(model)
        if not kept:
            board.remove(blob.name)
    return Measured(hello.board, hello.firmware, board.port.emulated is not None, hz), rows


Case = tuple[str, bytes, bytes]


def _subjects(files: list[Path] | None) -> Iterator[tuple[Graph, list[Case]]]:
    """Graphs with (name, input, output that BUILTIN_REF gives) of each row."""
    if files is None:
        for layer in seeded_layers():
            noise = random_bytes(len(layer.data))
            inputs = {layer.name: layer.data, f"{layer.name}_random": noise}
            yield (
                layer.graph,
                [(n, data, _known(layer_reference(layer, data))) for n, data in inputs.items()],
            )
        return
    for path in files:
        graph = read_tflite(path)
        data = input_of(path, graph)
        yield graph, [(path.stem, data, _known(reference(path.read_bytes(), data)))]


def _known(wanted: bytes | None) -> bytes:
    if wanted is None:
        raise ModelError("bench -p compares with the reference: pip install ai-edge-litert==1.2.0")
    return wanted
