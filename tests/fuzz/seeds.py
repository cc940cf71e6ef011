"""Sound inputs for the fuzz targets, made from today's planner and layouts."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan, smallest_capacitor

from tests.fuzz.build import KINDS
from tests.kernels import m0plus_depthwise_ops, m0plus_ops, m4_ops, move_nets, netgen, oracle
from tests.kernels.test_math_ops import one_pair, one_unary
from tests.kernels.test_staging_parts import in_parts
from tests.powercut.plans import random_blob
from tests.unit.golden import make_golden

SMALL = 6000  # bytes of a blob: a mutant of it is quick
OWN = 36  # inputs that a target thinks of itself
SCATTER = (9, 13)  # convolutions that leave channels out
RESEAL = 1  # flag of the blob target
CORES = ("portable", "m0plus", "m4")


def _laid_out(rounds: int) -> Iterator[bytes]:
    """One op with each layout of its own, and with its weights in parts."""
    for seed in (*range(rounds), *SCATTER):
        for kind in m0plus_ops.KINDS:
            parts = in_parts(m0plus_ops.case(kind, seed), 1, False)
            if parts is not None:
                yield parts.blob
        for kind in (Kind.CONV_2D, Kind.FULLY_CONNECTED):
            yield m0plus_ops.case(kind, seed).fast
        yield m0plus_depthwise_ops.case(seed).fast
        for kind in (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED, Kind.ADD):
            yield m4_ops.case(kind, seed).fast


def _moving() -> Iterator[bytes]:
    """Ops that move bytes, and those of two operands or a table."""
    for kind in move_nets.SINGLE:
        yield oracle.packed(move_nets.moving_net(kind, 1), 1).blob
    for kind in ("TANH", "LOGISTIC", "HARD_SWISH"):
        yield oracle.packed(one_unary(kind, 1)[0]).blob
    for kind in ("ADD", "MUL"):
        yield oracle.packed(one_pair(kind, 1, (1, 5, 3, 4), (3, 1))).blob
        yield oracle.packed(one_pair(kind, 2, (1, 3, 3, 4), (1, 3, 3, 4))).blob


def _planned(rounds: int) -> Iterator[bytes]:
    """Whole nets with several segments and constants in SRAM."""
    for seed, core in itertools.product(range(rounds // 2), CORES):
        graph = read_tflite(netgen.random_net(seed))
        board = replace(load_board("RPI_PICO"), core=core)
        cap = 1.05 * smallest_capacitor(graph, board, 5.0, 1.8)
        yield pack(make_plan(graph, board, Budget(cap, 5.0, 1.8)))


def blobs(rounds: int) -> list[bytes]:
    """Small sound blobs of every kind of op, for every core; rounds: random ones of a kind."""
    random = [random_blob(seed, nvm=KINDS[seed % 3]) for seed in range(12)]
    every = [make_golden.BLOB.read_bytes(), *random, *_moving(),
             *_laid_out(rounds), *_planned(rounds)]  # fmt: skip
    return [blob for blob in every if len(blob) <= SMALL]


def write(target: str, program: Path, folder: Path, rounds: int) -> list[Path]:
    """Files with inputs for a target in `folder`; program: the target, standing alone."""
    folder.mkdir(parents=True, exist_ok=True)
    if target == "blob":
        for number, blob in enumerate(blobs(rounds)):
            flags = bytes([RESEAL | number % 8 << 2])
            (folder / f"own-{number}.bin").write_bytes(flags + blob)
    else:
        subprocess.run([str(program), "seeds", str(folder), str(OWN)], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    return sorted(folder.glob("own-*.bin"))
