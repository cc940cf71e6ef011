"""Small planned models for the virtual board: blobs with several segments, and their outputs."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.board.profile import Boot, load_board
from relume.errors import RelumeError
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import make_plan
from relume.power.capacitor import E6, Budget

from tests.native import accepted
from tests.shared import model_file, model_input


@dataclass(frozen=True)
class Net:
    """A blob, one input and the output that the engine gives on the host."""

    blob: bytes
    input: bytes
    output: bytes
    tiles: int
    segments: int


def _plan(tflite: bytes, nvm: str, core: str | None = None) -> bytes:
    """The blob for the smallest E6 capacitor that the planner accepts, for a board that boots in
    no time: as many segments."""
    pico = load_board("RPI_PICO")
    swift = replace(pico.store, step=1e3, resume=1e3)
    board = replace(pico, boot=Boot(0.01, 0.01), store=swift, core=core or pico.core)
    graph = read_tflite(tflite)
    reason = ""
    for power in range(-8, 0):
        for step in E6:
            try:
                budget = Budget(step * 10.0**power, 5.0, 1.8)
                return pack(make_plan(graph, board, budget, nvm))
            except RelumeError as error:
                reason = str(error)
    raise AssertionError(f"no capacitor below 0.7 F runs this net: {reason}")


@functools.cache
def keyword_net() -> Net:
    """A real network of some milliseconds; skips the test, by name, when it is absent."""
    data = model_input("kws")
    return _made(_plan(model_file("kws").read_bytes(), "fram"), data)


def _made(blob: bytes, data: bytes | None, seed: int = 0) -> Net:
    checked = accepted(blob)
    header = checked.header
    if data is None:
        size = header.tensor(blob, header.input)[1]
        data = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()
    output = checked.run(data)[header.output]
    segments = int.from_bytes(blob[48:52], "little")
    return Net(blob, data, output, header.n_tiles, segments)


@functools.cache
def net(seed: int = 5, nvm: str = "fram") -> Net:
    """A random net; skips the test when the host's int8 tools are not installed."""
    return planned(seed, nvm)


def planned(seed: int, nvm: str = "fram", core: str | None = None) -> Net:
    """net(), for the kernels of another core too."""
    pytest.importorskip("ai_edge_litert")
    from tests.kernels.netgen import NetGenerator

    return _made(_plan(NetGenerator(seed).generate(), nvm, core), None, seed)
