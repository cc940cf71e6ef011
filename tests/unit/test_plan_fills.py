"""Constants larger than the cache: what one unit reads is priced, never less than it fetches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.board.profile import Xip, load_board
from relume.model.graph import Graph, Kind, Op, Shape, Tensor
from relume.plan.costs import CostModel
from relume.plan.fills import fills_by_unit
from relume.plan.xip import LineCache, bytes_cycles

SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40))
KEEPS = st.tuples(st.booleans(), st.booleans(), st.booleans())
XIP = Xip(8, 48, 64)


def pair(out: Shape, operand: Shape) -> Graph:
    tensors = (Tensor("a", out, 1.0, 0), Tensor("b", out, 1.0, 0))
    op = Op(Kind.ADD, "add", (0,), 1, p=(0,) * 8, weights=np.zeros(operand, np.int8))
    return Graph("net", tensors, (op,), 0, 1)


def gather(out: int, p: tuple[int, ...], maps: int) -> Graph:
    tensors = (Tensor("a", (1, 1, 60_000), 1.0, 0), Tensor("b", (1, 1, out), 1.0, 0))
    op = Op(Kind.GATHER, "gather", (0,), 1, p=p, weights=np.zeros(4 * maps, np.int8))
    return Graph("net", tensors, (op,), 0, 1)


def misses(addresses: list[int]) -> int:
    cache = LineCache(XIP)
    for address in addresses:
        cache.read(address)
    return cache.misses


def bound(graph: Graph, count: int) -> float:
    fills = fills_by_unit(graph, graph.ops[0])
    assert fills is not None
    return fills[0] + fills[1] * count


@settings(max_examples=300, derandomize=True, deadline=None)
@given(SIDES, KEEPS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_an_operand_is_never_fetched_more_often_than_priced(
    out: Shape, kept: tuple[bool, bool, bool], offset: int, random: object
) -> None:
    operand = tuple(n if keep else 1 for n, keep in zip(out, kept, strict=True))
    places = np.broadcast_to(np.arange(np.prod(operand)).reshape(operand), out).reshape(-1)
    first = random.randrange(places.size)  # type: ignore[attr-defined]
    count = random.randint(1, places.size - first)  # type: ignore[attr-defined]
    read = [offset + int(at) for at in places[first : first + count]]
    assert misses(read) <= bound(pair(out, operand), count)  # type: ignore[arg-type]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 5)),
    st.randoms(use_true_random=False),
)
def test_maps_are_never_fetched_more_often_than_priced(
    sides: tuple[int, int, int, int], random: object
) -> None:
    n0, n1, n2, run = sides
    size = n0 * n1 * n2 * run
    first = random.randrange(size)  # type: ignore[attr-defined]
    count = random.randint(1, size - first)  # type: ignore[attr-defined]
    read: list[int] = []
    for at in range(first, first + count):
        place, inside = divmod(at, run)
        line, k = divmod(place, n2)
        if at == first or (inside == 0 and k == 0):  # the maps of axes 0 and 1, for each line
            read += [4 * (n2 + n1 + line // n1), 4 * (n2 + line % n1)]
        if at == first or inside == 0:
            read.append(4 * k)
    graph = gather(size, (0, n1, n2, run, 0, 0, 0, 7), n0 + n1 + n2)
    assert misses(read) <= bound(graph, count)


@pytest.mark.parametrize("operand", [(64, 40, 8), (1, 40, 512), (1, 1, 20_480)])
def test_a_large_operand_costs_each_element_its_byte_and_no_more(operand: Shape) -> None:
    board = replace(load_board("RPI_PICO"), core="portable")
    out = (64, 40, 8) if operand[0] > 1 else (2, *operand[1:])
    graph = pair(out, operand)
    tile, unit = CostModel(graph, board, "fram").fetches(0)
    count = 1000
    whole = bytes_cycles(board.xip, graph.ops[0].constant_bytes)
    assert bytes_cycles(board.xip, count) <= tile + unit * count
    assert tile + unit * count < 1.1 * bytes_cycles(board.xip, count) + tile
    assert tile + unit * count < whole


def test_a_small_operand_is_fetched_once_a_tile() -> None:
    graph = pair((4, 4, 8), (1, 1, 8))
    costs = CostModel(graph, replace(load_board("RPI_PICO"), core="portable"), "fram")
    assert costs.fetches(0) == (bytes_cycles(load_board("RPI_PICO").xip, 8), 0.0)
