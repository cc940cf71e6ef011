"""Tiny nets with random plans, packed for the shipped Cortex-M0+ kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from relume.blob.pack import pack
from relume.plan.arena import GRAIN
from relume.plan.scratch import op_scratch

from tests import native
from tests.powercut import plans
from tests.powercut.thumb import elf
from tests.powercut.thumb.board import FLASH, KINDS, Subject

HOME, SECTORS = 256, 3  # SPEC 4.2, 4.3


def subject(
    seed: int, kind: str, changed: Mapping[str, str] | None = None, **options: int
) -> tuple[Subject, bytes]:
    """A net on the smallest NVM that its plan fits, and the output of the portable kernels.

    kind: fram, flash, or dma for an FRAM that is written in the background."""
    plan = plans.random_plan(seed, nvm="flash" if kind == "flash" else "fram", **options)
    portable = native.accepted(pack(plan))
    header = portable.header
    _, size = header.tensor(portable.blob, header.input)
    data = np.random.default_rng([seed, 2]).integers(0, 256, size, dtype=np.uint8).tobytes()
    expected = portable.run(data)[header.output]
    most = max(op_scratch(plan.graph, elf.CORE, op) for op in plan.graph.ops)
    scratch = -(-most // GRAIN) * GRAIN
    blob = pack(replace(plan, core=elf.CORE, scratch_size=scratch, scratch_off=()))
    flash = KINDS[kind] == FLASH
    room = SECTORS * 4096 if flash else -(-(HOME + plan.nvm_size) // 64) * 64
    return Subject(elf.build(changed), blob, data, KINDS[kind], room, kind == "dma"), expected
