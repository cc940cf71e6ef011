"""What every core's fast kernels must be: byte for byte the portable ones, on clean memory."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from typing import Protocol

import pytest
from relume.bench.image import CC, build
from relume.bench.machine import Machine
from relume.model.graph import Graph

from tests import native
from tests.shared import ROOT


class Case(Protocol):
    """One op packed for a core and for the portable kernels, and inputs for it."""

    @property
    def graph(self) -> Graph: ...
    @property
    def fast(self) -> bytes: ...
    @property
    def portable(self) -> bytes: ...
    @property
    def inputs(self) -> Sequence[bytes]: ...


@functools.cache
def machine_of(core: str) -> Machine:
    """The core with the engine; skips without the cross compiler."""
    if shutil.which(CC) is None:
        pytest.skip(f"{CC} is not installed")
    return Machine(build(ROOT, core), core)


def wanted(case: Case) -> list[dict[int, bytes]]:
    """What the portable kernels make of each input."""
    checked = native.accepted(case.portable)
    return [checked.run(data) for data in case.inputs]


def check_twin(case: Case) -> None:
    """The C twin is exact and writes its own bytes only."""
    checked = native.accepted(case.fast)
    assert [checked.run(data, watch=True) for data in case.inputs] == wanted(case)


def check_sanitized(cases: Sequence[Case]) -> None:
    """The sanitizers find nothing in the twins, and the bytes are the portable kernels'."""
    feed = [(case.fast, data) for case in cases for data in case.inputs]
    for program in native.runners():
        outcomes = iter(native.run_program(program, feed))
        for case in cases:
            checked = native.accepted(case.portable)
            for tensors in wanted(case):
                outcome = next(outcomes)
                assert outcome.status == "RL_OK"
                assert outcome.data == native.finished(checked, tensors), case.graph.ops
