"""Copies that go on behind the kernel, on the Thumb code that ships: nothing reads flash
meanwhile, and they do not take longer than interrupts may wait.

SECURITY B4.
"""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest
from relume.bench.image import CC
from relume.board.profile import load_board
from relume.model.graph import Graph
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Plan

from tests import native
from tests.kernels import m0plus_ops
from tests.kernels.staged_machine import StagedMachine
from tests.shared import model_file

pytestmark = pytest.mark.skipif(shutil.which(CC) is None, reason=f"{CC} is not installed")
LONGEST = 50_000  # cycles, 0.4 ms of interrupts off


def planned(graph: Graph, staging: bool = True) -> Plan:
    return make_plan(graph, load_board("RPI_PICO"), Budget(1.0, 5.0, 1.8), staging=staging)


@functools.cache
def dense(inputs: int, channels: int, seed: int) -> Graph:
    return m0plus_ops.dense_of(np.random.default_rng(seed), inputs, channels)


@pytest.mark.parametrize(
    ("inputs", "channels", "seed"), [(640, 128, 7), (128, 320, 0), (128, 320, 1), (254, 93, 0)]
)
def test_flash_is_left_alone_while_a_part_comes(inputs: int, channels: int, seed: int) -> None:
    plan = planned(dense(inputs, channels, seed))
    assert plan.stages[0].chunk
    machine = StagedMachine(plan)
    data = m0plus_ops.inputs(inputs, np.random.default_rng(seed))[0]
    made, _ = machine.run(data)
    (wanted,) = native.run_program(native.runners()[0], [(machine.blob, data)])
    assert made == wanted.data
    assert machine.read == []
    assert 0 < machine.longest <= LONGEST


def test_the_anomaly_detector_waits_for_flash_half_as_long() -> None:
    graph = read_tflite(model_file("ad"))
    data = m0plus_ops.inputs(640, np.random.default_rng(1))[0]
    cycles = []
    for staging in (False, True):
        machine = StagedMachine(planned(graph, staging))
        cycles.append(machine.run(data)[1])
    assert cycles[1] < 0.5 * cycles[0]
    assert machine.read == []


def test_a_kernel_that_reads_flash_behind_a_copy_is_told_on() -> None:
    graph = dense(128, 320, 0)
    machine = StagedMachine(planned(graph), deaf=True)
    machine.run(m0plus_ops.inputs(128, np.random.default_rng(0))[0])
    assert machine.read
