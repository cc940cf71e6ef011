"""How fast inferences wear raw flash out.

Commits are written page after page around a ring of sectors, and a sector is erased again when the
ring comes round to it (SPEC 4.3). So an inference erases a 15th of a sector for each page that it
commits, and all sectors wear alike. Brown-outs add the commits that were cut.
"""

from __future__ import annotations

from dataclasses import dataclass

from relume.board.profile import BoardProfile
from relume.plan.costs import PAGE, PAGE_DATA, RECORD_BYTES, RING_PAGES, SECTOR
from relume.plan.planner import ring_bytes
from relume.plan.types import Plan

YEAR_S = 365.25 * 24 * 3600


@dataclass(frozen=True)
class Wear:
    """pages: programmed by an inference. erases: sectors erased by it, on average.

    inferences: that the ring endures.
    """

    pages: int
    erases: float
    inferences: float

    def years(self, period_s: float) -> float:
        """Until the ring is worn out, one inference every period_s seconds."""
        return self.inferences * period_s / YEAR_S

    @property
    def text(self) -> str:
        """One line for a person."""
        years = ", ".join(
            f"{self.years(period):.3g} years at one {name}"
            for name, period in (("a minute", 60.0), ("an hour", 3600.0))
        )
        return (
            f"{self.erases:.3g} sector erases an inference; its sectors last "
            f"{self.inferences:.3g} inferences: {years}"
        )


def commits_of(plan: Plan) -> list[int]:
    """Bytes of data in each commit of an inference without a cut: the input's, every segment's,
    and the record that the output is taken."""
    source = plan.graph.tensors[plan.graph.input].size
    return [source, *(segment.commit_bytes for segment in plan.segments), 0]


def written_bytes(plan: Plan) -> int:
    """Bytes that these commits write to the NVM, records and the rest of pages included."""
    if plan.nvm == "flash":
        return PAGE * _pages(plan)
    commits = commits_of(plan)
    return sum(commits) + RECORD_BYTES * len(commits)


def _pages(plan: Plan) -> int:
    return sum(-(-live // PAGE_DATA) + 1 for live in commits_of(plan))


def wear(plan: Plan, board: BoardProfile) -> Wear | None:
    """What the plan's commits do to the board's flash; None for another NVM.

    Counts the input's commit, every segment's, and the record that the output is taken.
    """
    if plan.nvm != "flash" or board.flash is None:
        return None
    pages = _pages(plan)
    room = board.nvm_size("flash")
    if board.tier == "firmware":  # which gives half to its first model (SPEC 5)
        room = max(room // 2, ring_bytes(plan.nvm_size))
    sectors = room // SECTOR
    erases = pages / RING_PAGES
    return Wear(pages, erases, board.flash.erase_cycles * sectors / erases)
