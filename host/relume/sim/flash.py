"""Raw flash as the NVM of a simulated plan: pages and erases at their typical times.

A commit programs all live bytes and a record, and on average erases a 15th of a sector for each
of its pages (relume.plan.wear). Plans count with the longest times, and with an erase that has a
charge of its own; so a charge holds many commits, and the share comes to the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relume.board.profile import BoardProfile
from relume.plan.costs import PAGE_DATA, RING_PAGES
from relume.sim.supply import FloatArray
from relume.sim.work import Work


def as_typical(board: BoardProfile) -> BoardProfile:
    """The board with its flash at the datasheet's typical times."""
    assert board.flash is not None
    flash = board.flash
    typical = replace(flash, program_ms=flash.program_typical_ms, erase_ms=flash.erase_typical_ms)
    return replace(board, flash=typical)


def commit_s(work: Work) -> FloatArray:
    """At each boundary: a commit of what is live, and its share of an erase."""
    costs, live, nothing = work.costs, work.live_bytes, np.zeros_like(work.live_bytes)
    erases = (np.ceil(live / PAGE_DATA) + 1.0) / RING_PAGES
    return work.seconds(costs.commit_uj(nothing, nothing, live) + erases * costs.erase_uj())


def start_s(work: Work) -> FloatArray:
    """At each boundary: boot, checks, the log searched, what is live read, constants fetched."""
    costs = work.costs
    fixed = costs.boot_uj + costs.resume_uj(work.n_tiles)
    return work.seconds(fixed + costs.restore_uj(work.live_bytes, work.live_ranges)) + work.stage_s
