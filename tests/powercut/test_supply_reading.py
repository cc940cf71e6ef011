"""The scheduler follows the supply's voltage, whatever it reads, and writes behind the tiles.

SECURITY S6, S7.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.pack import pack
from relume.plan.live import LiveMap
from relume.plan.types import OpPace, Pace, Plan

from tests import native
from tests.powercut import harness
from tests.powercut.plans import random_plan
from tests.powercut.session import _READING, _REST, FRAM, RL_DONE, RL_MORE, RL_OK, Board, Memory
from tests.powercut.test_live import tile_by_tile

RL_RAN, RL_RESTED = 4, 5
VOLTS = ("random", "high", "low", "true")
NETS = range(8)
FULL_MV, MARGIN = 5000, 5


@pytest.mark.parametrize("kind", ["fram", "flash", "file"])
@pytest.mark.parametrize("volts", VOLTS)
def test_every_cut_survives_whatever_the_reading_says(kind: str, volts: str) -> None:
    for seed in NETS:
        blob = harness.blob_file(seed, kind, paced=1 + seed % 2)
        found = harness.survives(blob, kind, "--volts", volts, "--seeds", "2")
        assert found["old"] > 0 and found["new"] > 0


@pytest.mark.parametrize("volts", ["none", *VOLTS])
def test_every_cut_survives_while_bytes_are_written_behind_the_tiles(volts: str) -> None:
    streams = 0
    for seed in range(20):
        blob = harness.blob_file(seed, "fram", paced=1 + seed % 2)
        streams += harness.survives(blob, "fram", "--volts", volts, "--behind")["streams"]
    assert (streams == 0) if volts == "low" else (streams > 10)  # low: a commit behind every tile


@pytest.mark.parametrize("volts", ["random", "high"])
def test_a_second_cut_changes_nothing_either(volts: str) -> None:
    for seed in (1, 6):
        blob = harness.blob_file(seed, "fram", paced=1)
        arguments = ("--volts", volts, "--behind", "--depth", "2", "--inferences", "1")
        assert harness.survives(blob, "fram", *arguments, "--every", "20")["cuts_2"] > 1000


@pytest.mark.parametrize("kind", ["fram", "flash"])
@pytest.mark.parametrize("volts", VOLTS)
def test_a_reading_that_lies_does_not_stop_progress(kind: str, volts: str) -> None:
    for seed in NETS:
        blob = harness.blob_file(seed, kind, paced=1)
        for tiles in ("1", "3"):
            harness.survives(blob, kind, "--volts", volts, "--behind", "--starve", tiles)
        harness.survives(blob, kind, "--volts", volts, "--starve", "0")


@pytest.mark.parametrize("volts", ["none", *VOLTS])
def test_random_brownouts_over_many_inferences_with_a_reading(volts: str) -> None:
    for seed in range(3):
        blob = harness.blob_file(seed, "fram", paced=2, scale=2)
        arguments = ("--volts", volts, "--behind", "--soak", "100000", "--inferences", "100")
        harness.survives(blob, "fram", *arguments)


def test_no_memory_error_with_a_reading_under_sanitizers() -> None:
    binary = harness.program(harness.SANITIZED)
    for seed in (4, 9):
        blob = harness.blob_file(seed, "fram", paced=1)
        for volts in ("random", "true"):
            arguments = ("--volts", volts, "--behind", "--real")
            harness.survives(blob, "fram", *arguments, binary=binary)


# ------------------------------------------------------------------ one life


class Supplied(Board):
    """A board whose supply reads what `volts` says before a tile."""

    def __init__(
        self, plan: Plan, volts: Callable[[int], int], memory: Memory | None = None
    ) -> None:
        super().__init__(memory or Memory(256 + plan.nvm_size, FRAM), pack(plan))
        self.rests: list[int] = []
        self._keep = _READING(lambda ctx: volts(self.session.tile)), _REST(self._rest)
        self.session.millivolts = self._keep[0]
        assert self.open() == RL_OK

    def _rest(self, ctx: int, ms: int) -> None:
        self.rests.append(ms)

    def rest_with_hook(self, cycles: int = 1) -> None:
        """The board can sleep; a millisecond asleep takes the energy of so many cycles."""
        self.session.rest = self._keep[1]
        self.session.rest_cycles = cycles

    def start(self) -> None:
        """Inference 1 of some input."""
        assert self.begin(1, bytes(self.checked.header.tensor(
            self.checked.blob, self.checked.header.input)[1])) == RL_OK  # fmt: skip


def cycles_of(reading: int, mv2: int, voff_mv: int = 2000) -> int:
    """What is left by a reading, SPEC 2.9."""
    mv = min(reading, 0xFFFF)
    mv -= mv >> MARGIN
    return 0 if mv <= voff_mv else min((mv * mv - voff_mv**2) * mv2 >> 16, 0xFFFFFFFE)


def millivolts_for(cycles: int, pace: Pace) -> int:
    """The least reading by which so many cycles are left."""
    return next(mv for mv in range(2000, 6000) if cycles_of(mv, pace.mv2) >= cycles)


def paced(seed: int, **figures: int) -> Plan:
    """A plan of one tile a segment, with homes apart; 1000 cycles a tile."""
    plan = tile_by_tile(random_plan(seed))
    pace = Pace(64, 100, 2, 10, 1, (OpPace(1000, 0, 0),) * len(plan.graph.ops))
    return dataclasses.replace(plan, pace=dataclasses.replace(pace, **figures))


def steps(board: Board) -> list[int]:
    """Statuses of all steps to the end."""
    found = [board.step()]
    while found[-1] != RL_DONE:
        found.append(board.step())
        assert len(found) < 1000
    return found


def test_a_strong_supply_passes_every_planned_commit() -> None:
    board = Supplied(plan := paced(3), lambda tile: FULL_MV)
    board.start()
    assert steps(board) == [RL_RAN] * (len(plan.tiles) - 1) + [RL_DONE]
    assert board.record.commits == 2


@pytest.mark.parametrize("reading", [None, 0])
def test_without_a_reading_every_segment_ends_with_a_commit(reading: int | None) -> None:
    board = Supplied(plan := paced(3), lambda tile: 0)
    if reading is None:
        board.session.millivolts = _READING()
    board.start()
    assert steps(board) == [RL_MORE] * (len(plan.tiles) - 1) + [RL_DONE]
    assert board.record.commits == len(plan.tiles) + 1


def test_a_plan_without_figures_follows_no_reading() -> None:
    board = Supplied(plan := paced(3, mv2=0), lambda tile: FULL_MV)
    board.start()
    assert steps(board) == [RL_MORE] * (len(plan.tiles) - 1) + [RL_DONE]


def test_obligatory_commits_are_made_however_much_is_left() -> None:
    plan = paced(3)
    segments = tuple(
        dataclasses.replace(s, obligatory=number % 2 == 1)
        for number, s in enumerate(plan.segments)
    )
    board = Supplied(dataclasses.replace(plan, segments=segments), lambda tile: FULL_MV)
    board.start()
    marked = [RL_MORE if s.obligatory else RL_RAN for s in segments[:-1]]
    assert steps(board) == [*marked, RL_DONE]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_a_commit_comes_before_the_tile_that_does_not_fit(seed: int, tiles: int) -> None:
    """Every tile takes what it takes at worst: a charge of so many tiles runs just so many."""
    plan = paced(seed, commit=10, byte=0, access=0, crc=0)
    begun = [0]

    def volts(tile: int) -> int:
        return millivolts_for(1000 * (tiles - (tile - begun[0])) + 50, plan.pace)

    board = Supplied(plan, volts)
    board.start()
    while (status := board.step()) != RL_DONE:
        if status == RL_MORE:
            assert board.session.tile - begun[0] == tiles
            assert board.record.flags == 1
            begun[0] = board.session.tile  # the next charge
    assert board.record.commits == 1 + -(-len(plan.tiles) // tiles)


@pytest.mark.parametrize("seed", range(6))
def test_the_commit_behind_a_tile_is_counted_with_its_dirty_bytes(seed: int) -> None:
    """What fits exactly is run, and one cycle less is not."""
    plan = tile_by_tile(random_plan(seed))
    live = LiveMap(plan.graph, plan.tiles)
    dirty = live.dirty(0, 2)
    n = sum(end - lo for _, lo, end in dirty)
    pace = paced(seed).pace
    need = 1000 + 100 + 2 * n + 10 * len(dirty) + int(live.live_bytes[2])
    plan = dataclasses.replace(plan, pace=pace)
    mv = millivolts_for(need, pace)
    for reading, want in ((mv, 2), (mv - 2, 1)):
        board = Supplied(plan, lambda tile, seen=reading: seen if tile < 2 else 1900)
        board.start()
        while board.step() != RL_MORE:
            pass
        assert board.record.tile == want


def test_a_board_that_can_sleep_rests_while_the_voltage_rises() -> None:
    plan = paced(3)
    rising = iter([*range(2000, 2200, 20), *[2180] * 10_000])
    board = Supplied(plan, lambda tile: next(rising))
    board.rest_with_hook(0)
    board.start()
    found = [board.step() for _ in range(6)]
    assert found[:3] == [RL_RESTED] * 3 and len(board.rests) >= 3
    assert RL_MORE in found  # it rises no more: the board tries on


class Charging(Supplied):
    """A board whose capacitor gains so many square millivolts a millisecond asleep."""

    def __init__(self, plan: Plan, gain: float, start_mv: float = 2000) -> None:
        self.mv2 = float(start_mv**2)
        self.gain = gain
        super().__init__(plan, lambda tile: int(max(self.mv2, 1.0) ** 0.5))

    def _rest(self, ctx: int, ms: int) -> None:
        super()._rest(ctx, ms)
        self.mv2 += ms * self.gain


def stored(plan: Plan, mv2: float) -> float:
    """The share of a charge that is stored."""
    von, voff = plan.budget.von_v * 1e3, plan.budget.voff_v * 1e3
    return (mv2 - voff**2) / (von**2 - voff**2)


def first_rest(plan: Plan, sleep_cycles: int) -> int:
    """The least power of two from 8 to 1024 that takes a 128th of a charge."""
    von, voff = plan.budget.von_v * 1e3, plan.budget.voff_v * 1e3
    share = round(von**2 - voff**2) * plan.pace.mv2 >> 23
    return next((ms for ms in (8 << n for n in range(8)) if ms * sleep_cycles >= share), 1024)


@settings(deadline=None, max_examples=40)
@given(sleep=st.integers(1, 2**20), mv2=st.integers(1, 2**20))
def test_a_first_rest_takes_a_small_part_of_a_charge(sleep: int, mv2: int) -> None:
    """A look that finds nothing coming in has cost a 64th at most, where 8 ms are not more."""
    board = Charging(plan := paced(3, mv2=mv2, commit=2**31), 0)
    board.rest_with_hook(sleep)
    board.start()
    assert board.step() == RL_RESTED and board.step() == RL_MORE
    assert board.rests == [first_rest(plan, sleep)]


@pytest.mark.parametrize("gain", [-400.0, -1.0, 0.0])
def test_a_board_that_loses_charge_asleep_sleeps_once_and_tries_on(gain: float) -> None:
    """The harvest is below what sleep takes: off is better, so what is left is spent on tiles."""
    board = Charging(plan := paced(3), gain)
    board.rest_with_hook()
    board.start()
    found = steps(board)
    for before, after in itertools.pairwise(found):
        assert before != RL_RESTED or after != RL_RESTED
    assert len(board.rests) == found.count(RL_RESTED) <= len(plan.tiles)


@settings(deadline=None, max_examples=60)
@given(harvest=st.floats(1.1, 30.0), sleep=st.integers(1, 300))
def test_a_board_that_rests_goes_on_at_three_quarters_of_a_charge(
    harvest: float, sleep: int
) -> None:
    """Rests follow the rate of rise: few of them, and none far beyond what is waited for.

    harvest: what comes in beyond what sleep takes, by what sleep takes."""
    plan = paced(3)
    von, voff = plan.budget.von_v * 1e3, plan.budget.voff_v * 1e3
    gain = harvest * sleep * 65536 / plan.pace.mv2
    board = Charging(plan, gain)
    board.rest_with_hook(sleep)
    board.start()
    needed = (0.75 * (von**2 - voff**2) + voff**2 - board.mv2) / gain
    while board.step() == RL_RESTED:
        pass
    first = first_rest(plan, sleep)
    assert stored(plan, board.mv2) >= 0.749
    assert sum(board.rests) <= needed * 1.01 + max(first, 0.5 * min(needed, 8 * first))
    assert {*board.rests} <= {first << n for n in range(4)}
    assert len(board.rests) <= needed / (8 * first) + 8


def test_a_board_that_was_turned_on_commits_before_it_rests() -> None:
    """The plan's charge is for the segment: nothing is slept away before there is progress."""
    plan = paced(3)
    board = Charging(plan, 1000.0)
    board.start()
    again = Charging(plan, 1000.0)
    again.memory = board.memory
    assert again.open() == RL_OK
    again.rest_with_hook()
    assert again.store.attempts == 1 and again.step() == RL_MORE
    assert again.rests == [] and again.store.attempts == 0
    assert again.step() == RL_RESTED


@settings(deadline=None, max_examples=100)
@given(
    harvest=st.floats(0.2, 8.0), begun=st.floats(0.1, 0.95), held=st.floats(0.001, 0.05),
    sleep=st.integers(1, 200),
)  # fmt: skip
def test_sleep_goes_on_while_it_brings_more_than_the_next_charge(
    harvest: float, begun: float, held: float, sleep: int
) -> None:
    """Against the two waits themselves, until the same energy is there for tiles.

    harvest: by what sleep takes. begun, held: shares of a charge, behind a restore and now."""
    plan = paced(3, commit=2**31)
    von2, voff2 = plan.budget.von_v**2 * 1e6, plan.budget.voff_v**2 * 1e6
    takes = sleep * 65536 / plan.pace.mv2
    board = Charging(plan, (harvest - 1) * takes, (voff2 + held * (von2 - voff2)) ** 0.5)
    board.rest_with_hook(sleep)
    board.start()
    board.session.begun = round(begun * (von2 - voff2))
    assert board.step() == RL_RESTED
    bring = begun - stored(plan, board.mv2)
    off, asleep = 1 / harvest, bring / (harvest - 1) if harvest > 1 else float("inf")
    if abs(off - asleep) > 0.02 * off:  # millivolts are whole
        assert (board.step() == RL_RESTED) == (asleep < off)


def test_what_a_restore_leaves_is_what_sleep_is_compared_with() -> None:
    plan = paced(3)
    board = Charging(plan, 0.0)
    board.start()
    again = Charging(plan, 0.0, 4000)
    again.memory = board.memory
    again.rest_with_hook()
    assert again.open() == RL_OK and again.session.begun == 0
    again.step()
    assert again.session.begun == 4000**2 - round(plan.budget.voff_v * 1e3) ** 2


def test_rests_are_forgotten_at_a_commit() -> None:
    board = Charging(paced(3), 0.0)
    board.rest_with_hook()
    board.start()
    while board.step() != RL_MORE:
        pass
    assert board.session.rest_ms == 0 and board.rests


def test_a_board_whose_tile_fits_does_not_rest() -> None:
    board = Supplied(paced(3), lambda tile: 3000)
    board.rest_with_hook()
    board.start()
    assert RL_RESTED not in steps(board) and board.rests == []


def test_a_supply_that_reads_low_is_tried_on_without_a_rest() -> None:
    board = Supplied(plan := paced(3), lambda tile: 1900)
    board.start()
    assert steps(board) == [RL_MORE] * (len(plan.tiles) - 1) + [RL_DONE]


# --------------------------------------------------------------------- energy


class PaceView(ctypes.Structure):
    """rl_pace."""

    _fields_ = (
        ("millivolts", _READING),
        *((name, ctypes.c_uint32) for name in (
            "drain", "live", "dirty", "ranges", "next_live", "next_dirty", "next_ranges", "left",
            "spent", "rest_cycles", "rest_ms", "rested", "begun")),
        ("on", ctypes.c_uint8),
    )  # fmt: skip


def left(plan: Plan, reading: int) -> int:
    """rl_pace_left."""
    pace = PaceView(_READING(lambda ctx: reading))
    function = native.library().rl_pace_left
    function.restype = ctypes.c_uint32
    view = ctypes.byref(native.accepted(pack(plan))._view)
    return int(function(ctypes.byref(pace), view, None))


@settings(deadline=None, max_examples=60)
@given(reading=st.integers(1, 70_000), mv2=st.integers(1, 0xFFFFFFFF))
def test_energy_left_is_the_capacitors_less_the_margin(reading: int, mv2: int) -> None:
    plan = paced(0, mv2=mv2)
    assert left(plan, reading) == cycles_of(reading, mv2)


def test_no_reading_is_told_from_an_empty_capacitor() -> None:
    assert left(paced(0), 0) == 0xFFFFFFFF
    assert left(paced(0), 1) == 0


@given(drain=st.integers(0, 0xFFFF), failures=st.integers(0, 100))
def test_the_drain_rises_by_a_quarter_a_failure_and_is_bounded(drain: int, failures: int) -> None:
    want = min(max(drain, 256), 2048)
    for _ in range(failures):
        want = min(want + want // 4, 2048)
    assert native.library().rl_pace_raised(drain, failures) == want


def drains(readings: Sequence[int], start: int) -> list[int]:
    """The record's drain behind each commit of a run with these readings per tile."""
    plan = paced(3)
    board = Supplied(plan, lambda tile: readings[min(tile, len(readings) - 1)])
    board.session.drain = start
    board.start()
    found = []
    while board.step() != RL_DONE:
        found.append(board.record.drain)
    return found


def test_the_drain_falls_while_more_is_left_than_was_to_be_expected() -> None:
    found = drains([2010] * 100, 1000)
    assert found[-1] < found[0] < 1000
    assert found == sorted(found, reverse=True)


def test_the_drain_stays_while_less_is_left() -> None:
    assert set(drains(list(range(5000, 3000, -130)), 1000)) == {1000}


def test_a_brownout_where_none_was_expected_raises_the_drain() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: FULL_MV)
    board.start()
    assert board.record.flags == 0
    drain = [256]
    for _ in range(3):
        board = Supplied(plan, lambda tile: FULL_MV, board.memory)
        drain.append(board.session.drain)
    assert drain == [256, 320, 400, 500]


def test_a_brownout_that_was_expected_does_not() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: 1900)
    board.start()
    assert board.step() == RL_MORE and board.record.flags == 1
    board = Supplied(plan, lambda tile: FULL_MV, board.memory)
    assert board.session.drain == 256
    board = Supplied(plan, lambda tile: FULL_MV, board.memory)
    assert board.session.drain == 320


def test_brownouts_say_nothing_without_a_reading() -> None:
    plan = paced(3)
    board = Supplied(plan, lambda tile: 0)
    board.start()
    for _ in range(3):
        board = Supplied(plan, lambda tile: 0, board.memory)
        assert board.session.drain == 256


def test_the_ports_crc_is_used_for_live_data() -> None:
    called: list[int] = []
    crc = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
    real = native.library().rl_crc32
    real.restype = ctypes.c_uint32

    def port(start: int, data: int, n: int) -> int:
        called.append(n)
        return int(real(ctypes.c_uint32(start), ctypes.c_void_p(data), ctypes.c_uint32(n)))

    keep = crc(port)
    board = Supplied(paced(3), lambda tile: 0)
    board.store.crc = ctypes.cast(keep, ctypes.c_void_p).value
    data = random.Random(1).randbytes(board.checked.header.tensor(
        board.checked.blob, board.checked.header.input)[1])  # fmt: skip
    assert board.begin(1, data) == RL_OK
    assert sum(called) == len(data)
