"""Our engine as policies: with a reading of the voltage, and without one, along the fixed plan.

Facts of the engine that no other policy gets (docs/SIMULATE.md): dirty bytes stream to NVM while
the core computes, and the CRC over live bytes is made by DMA.
"""

from __future__ import annotations

import numpy as np

from relume.plan.behind import BURST_CYCLES
from relume.plan.costs import RECORD_BYTES
from relume.sim import flash
from relume.sim.route import Route, follow
from relume.sim.study import Candidate, Study
from relume.sim.supply import FloatArray, IntArray
from relume.sim.voltage import Guided, Rest, follow_voltage
from relume.sim.work import Work

MEASURED = 1.1  # the most that a tile takes, by the cycles of its typical case (docs/SIMULATE.md)
ADC_MARGIN = 1 / 32  # the reading is taken to be high by so much
LOOK_CYCLES = 500.0  # what is left, what the next tile needs
ADC_S = 2e-6  # a conversion of the RP2040's ADC: 96 clocks of 48 MHz
CRC_CYCLES = 5000 / 16384  # a byte, by the DMA's sniffer (docs/DESIGN.md 17)
WAKE_SHARE = 0.75  # of a charge
FIRST_REST = 1 / 128  # of a charge or more is taken by a first sleep ...
LEAST_REST_MS, MOST_REST_MS = 8, 1024  # ... of some power of two between these
LONGER = 8  # than the first are the others at most
WAKE_S = 170e-6  # clocks down, up again, the PLLs' lock: the emulated board's (tests/emulated)


def relume(study: Study) -> list[Candidate]:
    """Tiles while the voltage allows, a commit just in time, then sleep if that pays."""
    if study.plan is None:
        return []
    ours = guided(study, Work.of(study.costs, study.plan.tiles), sleeper(study))
    return [Candidate("by voltage", lambda begins: follow_voltage(ours, study.supply, begins))]


def relume_fixed(study: Study) -> list[Candidate]:
    """The plan: segment after segment, a commit behind each, until the power ends."""
    plan = study.plan
    if plan is None:
        return []
    route = fixed_route(Work.of(study.costs, plan.tiles), np.array([s.end for s in plan.segments]))
    return [Candidate("the plan", lambda begins: follow([route], study.supply, begins))]


def sleeper(study: Study) -> Rest:
    """The firmware's rule on this board and capacitor."""
    watt = study.board.energy.sleep_mw * 1e-3
    first_ms = LEAST_REST_MS
    while first_ms < MOST_REST_MS and first_ms * 1e-3 * watt < FIRST_REST * study.supply.charge_j:
        first_ms *= 2
    return Rest(watt, WAKE_SHARE, first_ms * 1e-3, LONGER, WAKE_S)


def plan_overhead(study: Study) -> float | None:
    """Commits of the plan under continuous power, the input's included, by the compute."""
    plan = study.plan
    if plan is None:
        return None
    work = Work.of(study.costs, plan.tiles)
    return overhead(work, fixed_route(work, np.array([segment.end for segment in plan.segments])))


def guided(study: Study, work: Work, rest: Rest | None, background: bool = True) -> Guided:
    """The engine on the tiles of `work`."""
    costs, hz = work.costs, work.costs.board.hz
    look = LOOK_CYCLES / hz + ADC_S
    commit, compute = commit_s(work), work.compute_s + look
    cap_f, off = study.budget.cap_f, study.budget.voff_v

    def believe(joules: FloatArray) -> FloatArray:
        volts = np.sqrt(2 * joules / cap_f + off**2) * (1 - ADC_MARGIN)
        return np.maximum(0.5 * cap_f * (volts**2 - off**2), 0.0)

    return Guided(
        compute,
        needs_s(work) + look,
        start_s(work),
        dirty_bytes(work),
        commit,
        byte_s(work),
        RECORD_BYTES,
        believe,
        burst_s(work) if background and costs.streams else None,
        rest,
        costs.nvm != "flash",
    )


def needs_s(work: Work) -> FloatArray:
    """What a tile takes at worst, or by what earlier inferences measured: flash keeps none."""
    costs = work.costs
    pairs = [(costs.ops[tile.op], tile.count) for tile in work.tiles]
    more = np.array([op.worst(count) - op.typical(count) for op, count in pairs])
    worst: FloatArray = work.compute_s + more / costs.board.hz
    return worst if costs.nvm == "flash" else np.minimum(worst, MEASURED * work.compute_s)


def dirty_bytes(work: Work) -> FloatArray:
    """[n + 1, n + 1]: dirty at the second boundary if all was clean at the first; nothing on
    flash, whose commits carry all that is live."""
    dirty = np.zeros((work.n_tiles + 1, work.n_tiles + 1))
    if work.costs.nvm != "flash":
        for end in range(1, work.n_tiles + 1):
            every = np.arange(end)
            dirty[:end, end] = work.live.dirty_totals(every, np.full(end, end))[0]
    return dirty


def byte_s(work: Work) -> float:
    """A byte on its way to NVM; flash is counted by pages."""
    if work.costs.nvm == "flash":
        return 0.0
    return float(work.access_s(1.0, 0.0))


def burst_s(work: Work) -> float:
    """What the core does for a write in the background."""
    return BURST_CYCLES / work.costs.board.hz


def commit_s(work: Work) -> FloatArray:
    """At each boundary: the step, CRC of what is live, the record; one access for the rest."""
    if work.costs.nvm == "flash":
        return flash.commit_s(work)
    step = work.seconds(work.costs.commit_uj(0.0, 1.0, 0.0))
    crc: FloatArray = work.live_bytes * (CRC_CYCLES / work.costs.board.hz)
    return step + crc


def start_s(work: Work) -> FloatArray:
    """At each boundary: boot, checks, what is live read back with its CRC, constants copied."""
    costs = work.costs
    if costs.nvm == "flash":
        return flash.start_s(work)
    fixed = work.seconds(costs.boot_uj + costs.resume_uj(work.n_tiles))
    read = work.access_s(work.live_bytes, work.live_ranges)
    crc: FloatArray = work.live_bytes * (CRC_CYCLES / costs.board.hz)
    return fixed + read + crc + work.stage_s


def fixed_route(work: Work, ends: IntArray) -> Route:
    """Commits of what is live and dirty and not yet streamed, a record behind each."""
    fixed, dirty = commit_s(work), dirty_bytes(work)
    commit, nvm = np.zeros(work.n_tiles), np.zeros(work.n_tiles)
    start = 0
    for end in ends.tolist():
        bursts, wait, sent, streamed = stream(work, dirty, start, end)
        left = dirty[sent, end]
        spent = bursts * burst_s(work) + wait + left * byte_s(work)
        commit[end - 1] = fixed[end] + spent
        nvm[end - 1] = streamed + left + RECORD_BYTES
        start = end
    return Route.make(work, commit, nvm, start_s=start_s(work), points=ends)


def stream(work: Work, dirty: FloatArray, start: int, end: int) -> tuple[int, float, int, float]:
    """Background writes of a segment: (bursts, seconds to wait at its end, boundary that they
    cover, bytes)."""
    now, busy, sent, bursts, streamed = 0.0, 0.0, start, 0, 0.0
    if not work.costs.streams:
        return bursts, 0.0, sent, streamed
    for place in range(start + 1, end):
        now += float(work.compute_s[place - 1])
        size = float(dirty[sent, place])
        if now < busy or size == 0:
            continue
        now += burst_s(work)
        busy = now + size * byte_s(work)
        sent, bursts, streamed = place, bursts + 1, streamed + size
    now += float(work.compute_s[end - 1])
    return bursts, max(0.0, busy - now), sent, streamed


def overhead(work: Work, route: Route) -> float:
    """Commits under continuous power, the input's included, as a share of the compute."""
    size = work.live_bytes[0]
    first = float(work.seconds(work.costs.commit_uj(0.0, 1.0, 0.0)))
    first += float(size) * (byte_s(work) + CRC_CYCLES / work.costs.board.hz)
    return (first + float(route.commit_s[-1])) / float(work.compute_s.sum())
