"""Blobs made by the host package from a net, and their comparison with the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.dead import without_dead_channels
from relume.model.graph import Graph
from relume.model.reference import run_reference
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Tile

__all__ = ["Packed", "packed", "random_input", "random_tiles", "run_reference"]


@dataclass(frozen=True)
class Packed:
    """A net as a graph and as a blob."""

    graph: Graph
    blob: bytes

    @property
    def input_size(self) -> int:
        """Bytes of the input tensor."""
        return self.graph.tensors[self.graph.input].size

    def mismatches(self, tensors: Mapping[int, bytes], wanted: Mapping[int, bytes]) -> list[str]:
        """Tensors that differ from the oracle's; fails when one of the net's is missing."""
        bad = []
        for number, want in wanted.items():
            mine = tensors[self.graph.tensor_of[number]]
            left = self.graph.kept.get(self.graph.tensor_of[number])
            if left is not None:
                mine, want = left.restored(mine), left.masked(want)
            if mine != want:
                a, b = np.frombuffer(mine, np.int8), np.frombuffer(want, np.int8)
                writer = next(
                    op for op in self.graph.ops if op.output == self.graph.tensor_of[number]
                )
                bad.append(f"{writer.kind.name} {writer.name}: {np.count_nonzero(a != b)} bytes")
        return bad


def packed(
    model: bytes, seed: int | None = None, core: str = "portable", lean: bool = False
) -> Packed:
    """The blob that the planner makes with a large capacitor; seed: with tiles cut at random.

    core: whose kernels and layouts (portable, m0plus, m4). lean: without dead channels.
    """
    graph = read_tflite(model)
    if lean:
        graph = without_dead_channels(graph)
    board = replace(load_board("RPI_PICO"), core=core)
    plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8), "flash", apart=True)
    if seed is not None:
        tiles = random_tiles(graph, seed)
        whole = replace(plan.segments[0], start=0, end=len(tiles))
        plan = replace(plan, tiles=tiles, segments=(whole,))
    return Packed(graph, pack(plan))


def random_tiles(graph: Graph, seed: int) -> tuple[Tile, ...]:
    """Every op cut into tiles of random sizes, at most about 12 an op."""
    random = np.random.default_rng(seed)
    tiles = []
    for number, op in enumerate(graph.ops):
        units, first = graph.units(op), 0
        largest = max(1, units // int(random.integers(1, 7)))
        while first < units:
            count = min(int(random.integers(1, largest + 1)), units - first)
            tiles.append(Tile(number, first, count))
            first += count
    return tuple(tiles)


def random_input(size: int, seed: int) -> bytes:
    """Bytes that cover the whole range of int8."""
    return np.random.default_rng(seed).integers(-128, 128, size, dtype=np.int8).tobytes()
