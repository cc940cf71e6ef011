"""From power-on to the first tile on the emulated Pico: each miss of the flash cache counts there.

docs/DESIGN.md 8.
"""

from __future__ import annotations

import random

import pytest
from relume.model.dead import without_dead_channels
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume.plan.types import Plan
from relume.power.trace import constant
from relume.sim.ours import start_s
from relume.sim.study import Study
from relume.sim.work import Work
from relume_boards.virtual.chip import SRAM_BASE, Chip
from relume_boards.virtual.flash import Times
from relume_boards.virtual.oscillators import BOOT_ROM_S, CRYSTAL_HZ

from tests.emulated.alone import Alone
from tests.emulated.bench import BOARD, SPIN
from tests.emulated.test_inference import SUPPLY, random_bytes
from tests.kernels.netgen import random_net
from tests.shared import model_file, model_input

pytestmark = pytest.mark.emulated

ENOUGH_W = 0.2
CLK_SYS_CTRL, FROM_PLL, FROM_USB_PLL = 0x3C, 0x01, 0x21


def started(model: bytes, data: bytes, cap_f: float, *, traced: bool = False) -> Alone:
    """A board that has just been turned on."""
    graph = without_dead_channels(read_tflite(model))
    plan = make_plan(graph, BOARD, Budget(cap_f, SUPPLY.von_v, SUPPLY.voff_v))
    board = Alone(plan, data, cap_f, ENOUGH_W, traced=traced)
    while board.pico.chip is None:
        assert board.pico.advance()
    return board


def resumed_ms(board: Alone) -> float:
    """Power-on to the end of the first event."""
    while not board.events:
        assert board.pico.advance()
    assert not board.pico.run_record.notes
    return 1e3 * (board.events[0].t - board.pico.run_record.power[0].t)


def counted_ms(plan: Plan) -> float:
    """Power-on to the first tile as plans count it."""
    study = Study(plan.graph, BOARD, plan.budget, constant(ENOUGH_W), starts=1, made=plan)
    return 1e3 * float(start_s(Work.of(study.costs, plan.tiles))[0])


@pytest.mark.parametrize(("name", "cap_f"), [
    ("kws", 220e-6), ("ad", 1e-3), ("ic", 470e-6), ("vww", 470e-6),
])  # fmt: skip
def test_plans_count_what_the_start_of_a_model_takes(name: str, cap_f: float) -> None:
    model, data = model_file(name).read_bytes(), model_input(name)
    board = started(model, data, cap_f, traced=True)
    took = resumed_ms(board)
    assert took <= counted_ms(board.plan) <= took + 0.7
    sampled = resumed_ms(started(model, data, cap_f))
    assert sampled == pytest.approx(took, rel=0.01), "no sampling before the first tile"


@pytest.mark.parametrize("seed", range(4))
def test_plans_count_what_the_start_of_a_small_net_takes(seed: int) -> None:
    model = random_net(seed)
    graph = read_tflite(model)
    board = started(model, random_bytes(graph.tensors[graph.input].size, seed), 1e-3, traced=True)
    took = resumed_ms(board)
    assert took <= counted_ms(board.plan) <= took + 0.7


def test_the_first_tile_of_a_keyword_net_comes_within_ten_milliseconds() -> None:
    model, data = model_file("kws").read_bytes(), model_input("kws")
    assert resumed_ms(started(model, data, 220e-6, traced=True)) <= 10.0


def test_bursts_that_bring_something_else_are_not_trusted() -> None:
    """The SDK's own code copies then, and the inference goes on as ever."""
    model = random_net(11)
    graph = read_tflite(model)
    data = random_bytes(graph.tensors[graph.input].size, 1)
    good = resumed_ms(started(model, data, 1e-3))
    board = started(model, data, 1e-3)
    assert board.pico.chip is not None
    board.pico.chip.ssi._memory = memoryview(bytes(BOARD.flash_bytes))
    assert resumed_ms(board) > good + 1
    board.run()
    assert board.output() == reference_output(model, data)


@pytest.mark.parametrize(
    ("net", "since", "until"), [("", 5.2, 6.0), ("", 6.2, 7.5), ("kws", 8.9, 9.3)]
)
def test_a_burst_that_goes_wrong_later_is_made_good_word_by_word(
    net: str, since: float, until: float
) -> None:
    """The metadata's, kernels beside the crystal, kernels beside the FRAM's bytes; ms."""
    model = model_file(net).read_bytes() if net else random_net(11)
    graph = read_tflite(model)
    data = random_bytes(graph.tensors[graph.input].size, 1)
    board = started(model, data, 1e-3)
    chip = board.pico.chip
    assert chip is not None

    def wait(ms: float) -> int:
        while 1e-6 * chip.nanos + 1e3 * BOOT_ROM_S < ms:
            assert board.pico.advance()
        return chip.ssi.bursts

    before, flash = wait(since), chip.ssi._memory
    chip.ssi._memory = memoryview(bytes(BOARD.flash_bytes))
    assert wait(until) > before, "there is none then"
    chip.ssi._memory = flash
    board.run()
    assert board.output() == reference_output(model, data)


def chip() -> Chip:
    """One whose core spins in SRAM."""
    made = Chip(bytes(4096), Times(0.4, 45.0), random.Random(1))
    made.sram[: len(SPIN)] = SPIN
    made.core.pc = SRAM_BASE
    return made


@pytest.mark.parametrize(("control", "hz"), [(FROM_PLL, 125e6), (FROM_USB_PLL, 48e6)])
def test_the_core_runs_at_what_its_clock_registers_say(control: int, hz: float) -> None:
    made = chip()
    made.clocks.write_uint32(CLK_SYS_CTRL, control)
    assert made.core_hz == hz


def test_steps_that_are_followed_take_the_slow_clocks_time() -> None:
    made = chip()
    made.clocks.write_uint32(0x30, 2)  # CLK_REF from the crystal
    execute, tick = made.core.execute_instruction, made.probe().tick

    def steps() -> int:
        for _ in range(100):
            tick(execute() * 8.0)
        return 7

    cycles = made.cycles
    assert made.follow(steps) == 7
    assert made.nanos == pytest.approx((made.cycles - cycles) / CRYSTAL_HZ * 1e9)
    assert made.cycles - cycles > 107
