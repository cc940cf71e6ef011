"""Asleep on the emulated Pico: which state it is, what it costs, when the firmware goes there."""

from __future__ import annotations

import random

import pytest
from relume.link.frames import Decoder, encode
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan, sufficient_capacitor
from relume.plan.types import Plan
from relume_boards.virtual.chip import SRAM_BASE, Chip
from relume_boards.virtual.flash import Times
from relume_boards.virtual.oscillators import PLL_LOCK_S, GatedClocks

from tests.emulated.alone import Alone
from tests.emulated.bench import BOARD, SLEEP
from tests.emulated.test_inference import random_bytes
from tests.kernels.netgen import random_net

pytestmark = pytest.mark.emulated

SEED = 4
MODEL = random_net(SEED)
STATUS = 0x02
CLOCKS, PLL_SYS, PLL_USB, ROSC, SCR = 0x40008, 0x40028, 0x4002C, 0x40060, 0xD10
SLEEP_EN0, SLEEP_EN1, PLL_PWR, TIMER_AND_UART = 0xA8, 0xAC, 4, 0xE0


@pytest.fixture(scope="module")
def planned() -> tuple[Plan, float]:
    """A net on the smallest capacitor for it: many segments of few tiles."""
    graph, supply = read_tflite(MODEL), BOARD.supply
    cap = sufficient_capacitor(graph, BOARD, supply.von_v, supply.voff_v, "fram", "exact")
    return make_plan(graph, BOARD, Budget(cap, supply.von_v, supply.voff_v)), cap


def finished(planned: tuple[Plan, float], watts: float) -> Alone:
    """A run to the output, which is the reference's."""
    plan, cap = planned
    data = random_bytes(plan.graph.tensors[plan.graph.input].size, SEED)
    board = Alone(plan, data, cap, watts)
    board.run()
    assert board.output() == reference_output(MODEL, data)
    return board


# --- the rule, by the shipped firmware -----------------------------------------------------------


def test_a_harvest_well_above_what_sleep_takes_spares_a_charge(
    planned: tuple[Plan, float],
) -> None:
    """Where the commit left enough to fall asleep, the board waits for the rest there.

    This capacitor is the smallest for the net, so a commit may leave it all but empty, or lack so
    little that one look is enough."""
    spared = 0
    for times in (1.8, 2.0, 2.2, 2.4, 2.6, 2.8):
        board = finished(planned, times * BOARD.energy.sleep_mw * 1e-3)
        totals = board.pico.record.totals
        if board.charges == 1 and totals["sleep_s"] > 3 * totals["active_s"]:
            assert totals["idle_s"] < 0.01 * totals["sleep_s"], "its clocks ran while it waited"
            spared += 1
    assert spared > 0


@pytest.mark.parametrize("times", [0.2, 0.8])
def test_a_harvest_below_what_sleep_takes_is_waited_for_switched_off(
    planned: tuple[Plan, float], times: float
) -> None:
    """All that is lost is a look behind each commit, a 64th of a charge."""
    board = finished(planned, times * BOARD.energy.sleep_mw * 1e-3)
    assert board.charges >= 2
    assert board.pico.supply is not None
    look_s = board.pico.supply.charge_j / 64 / board.pico.load.sleep_w
    assert board.pico.record.totals["sleep_s"] <= board.commits * max(look_s, 8e-3) + 0.1


def test_external_power_keeps_the_clocks_running(planned: tuple[Plan, float]) -> None:
    board = finished(planned, 2 * BOARD.energy.sleep_mw * 1e-3)
    before = board.pico.record.totals["sleep_s"]
    board.pico.plug()
    chip = board.pico.chip
    assert chip is not None
    chip.set_supply(5.0, True)
    board.pico.run(0.2)  # what it slept for when USB came ends
    slept = board.pico.record.totals["sleep_s"]
    board.pico.run(0.5)
    assert board.pico.record.totals["sleep_s"] == slept > before or slept == before


# --- what a sleep costs --------------------------------------------------------------------------


def asleep(planned: tuple[Plan, float]) -> Alone:
    """A board that serves, asleep: its inference is done, its capacitor is fed."""
    board = finished(planned, 2 * BOARD.energy.sleep_mw * 1e-3)
    for _ in range(10_000):
        chip = board.pico.chip
        if chip is not None and chip.asleep and chip.nanos_to_event > 50e6:
            return board
        board.pico.advance()
    raise AssertionError("it never sleeps")


def test_going_to_sleep_and_back_takes_little_more_than_the_plls(
    planned: tuple[Plan, float],
) -> None:
    """Core time between two sleeps: clocks up, a look at voltage and console, clocks down."""
    board = asleep(planned)
    board.pico.traced = True  # samples of a tenth of a millisecond are too few
    before = board.pico.record.totals
    board.pico.run(1.0)
    after = board.pico.record.totals
    awake_s = after["active_s"] - before["active_s"]
    looks = round(1.0 / (awake_s / 10 + 0.1))
    assert 9 <= looks <= 10
    assert PLL_LOCK_S < awake_s / looks < PLL_LOCK_S + 75e-6


def test_a_request_is_answered_from_sleep(planned: tuple[Plan, float]) -> None:
    assert answered(asleep(planned))


def test_a_request_is_lost_while_the_console_is_not_clocked(
    planned: tuple[Plan, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: without the UART's clocks nothing comes in."""
    board = asleep(planned)
    monkeypatch.setattr(GatedClocks, "uart_hears", False)
    assert not answered(board)


def answered(board: Alone) -> bool:
    """Whether a STATUS comes back."""
    decoder, kinds = Decoder(), []
    output = bytearray()
    board.pico.on_tx = output.append
    board.pico.feed(encode(STATUS, 5))
    board.pico.run(0.05)
    kinds = [frame.kind for frame in decoder.feed(bytes(output))]
    return STATUS | 0x80 in kinds


# --- the state, on the emulated chip -------------------------------------------------------------


def chip_at_rest() -> Chip:
    """A chip whose core waits, all set for SLEEP: crystal, PLLs and ring off, gates closed."""
    chip = Chip(bytes(BOARD.flash_bytes), Times(0.4, 45.0), random.Random(1))
    chip.sram[: len(SLEEP)] = SLEEP
    chip.core.pc = SRAM_BASE
    set_up(chip)
    chip.run(1e3)
    assert chip.sleeping
    return chip


def set_up(chip: Chip, **other: int) -> None:
    values = {"ring": 0xD1E000, "scr": 4, "gates0": 0, "gates1": TIMER_AND_UART, "sys": 0,
              "pll": 0x2D, **other}  # fmt: skip
    mcu = chip._mcu
    mcu.peripherals[ROSC].write_uint32(0, values["ring"])
    mcu.ppb.write_uint32(SCR, values["scr"])
    chip.clocks.write_uint32(SLEEP_EN0, values["gates0"])
    chip.clocks.write_uint32(SLEEP_EN1, values["gates1"])
    chip.clocks.write_uint32(0x3C, values["sys"])
    mcu.peripherals[PLL_SYS].write_uint32(PLL_PWR, values["pll"])
    mcu.peripherals[PLL_USB].write_uint32(PLL_PWR, values["pll"])


def test_all_set_the_chip_sleeps() -> None:
    assert chip_at_rest().asleep


@pytest.mark.parametrize(
    "left",
    [{"ring": 0xFABAA0}, {"scr": 0}, {"gates0": 1}, {"gates1": 0x7FFF}, {"sys": 1}, {"pll": 0}],
    ids=lambda left: next(iter(left)),
)
def test_whatever_is_left_running_is_no_sleep(left: dict[str, int]) -> None:
    chip = chip_at_rest()
    set_up(chip, **left)
    assert not chip.asleep


def test_a_moving_dma_is_no_sleep() -> None:
    chip = chip_at_rest()
    for register, value in ((0, SRAM_BASE), (4, SRAM_BASE + 64), (8, 1000), (12, 0x3F << 15 | 1)):
        chip.dma.write_uint32(register, value)
    assert not chip.asleep
    chip.run(1e6)
    assert chip.asleep


def test_the_core_comes_back_at_the_speed_of_its_clock() -> None:
    chip = chip_at_rest()
    chip.clocks.write_uint32(0x30, 2)  # clk_ref from the crystal
    assert chip.core_hz == 12e6
    set_up(chip, sys=1, pll=0)
    assert chip.core_hz == 125e6


def test_power_is_that_of_the_state(planned: tuple[Plan, float]) -> None:
    board = finished(planned, 2 * BOARD.energy.sleep_mw * 1e-3)
    totals, energy = board.pico.record.totals, BOARD.energy
    assert BOARD.fram is not None
    drawn = totals["active_s"] * energy.active_mw + totals["idle_s"] * energy.idle_mw
    drawn += totals["sleep_s"] * energy.sleep_mw
    drawn += totals["fram_bytes"] * BOARD.fram.chip_nj_per_byte * 1e-6
    boot = 2.5e-3 * energy.active_mw * board.charges
    assert totals["drawn_j"] * 1e3 == pytest.approx(drawn + boot, rel=1e-6)
