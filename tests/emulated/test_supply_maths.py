"""The supply against closed forms, alone and with a board on it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.power.trace import constant, load_trace
from relume_boards.virtual.oscillators import BOOT_ROM_S, RING_HZ
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.supply import Load

from tests.emulated.bench import BOARD, SLEEP, SPIN, START_RTC, supply, uf2

ACTIVE_W = BOARD.energy.active_mw * 1e-3
IDLE_W, SLEEP_W = BOARD.energy.idle_mw * 1e-3, BOARD.energy.sleep_mw * 1e-3


def test_constant_power_charges_an_empty_capacitor_in_energy_over_power() -> None:
    cell = supply(1e-3, 0.010)
    assert cell.time_to_turn_on(0.0) == pytest.approx(0.5e-3 * 5.0**2 / 0.010, rel=1e-12)


def test_a_shunt_holds_the_highest_voltage() -> None:
    cell = supply(1e-3, 1.0)
    cell.charge(0.0, 10.0)
    assert cell.volts == pytest.approx(BOARD.supply.vmax_v)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(
    st.floats(1e-4, 1e-2),
    st.lists(st.tuples(st.floats(1e-4, 0.1), st.floats(0, 0.1)), max_size=20),
)
def test_energy_is_neither_made_nor_lost(cap_f: float, steps: list[tuple[float, float]]) -> None:
    cell = supply(cap_f, 1e-4)
    t = 0.0
    for seconds, watts in steps:
        cell.draw(t, t + seconds, watts * seconds)
        t += seconds
    assert cell.joules == pytest.approx(cell.harvested_j - cell.drawn_j, abs=1e-12)


def test_voltages_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="must rise"):
        type(supply(1e-3, 1.0))(1e-3, 1.8, 5.0, 5.5, constant(0.01))


def test_load_adds_what_each_part_draws() -> None:
    load = Load.of(BOARD)
    assert BOARD.flash is not None and BOARD.fram is not None
    joules = load.energy(1.0, 3.0, 2.0, 0.5, 1000)
    parts = ACTIVE_W + 3 * IDLE_W + 2 * SLEEP_W + 0.5 * BOARD.flash.program_mw * 1e-3
    assert joules == pytest.approx(parts + 1000 * BOARD.fram.chip_nj_per_byte * 1e-9)


@pytest.mark.parametrize(("code", "watts"), [(SPIN, ACTIVE_W), (SLEEP, IDLE_W)])
def test_a_board_lasts_as_long_as_its_charge(code: bytes, watts: float) -> None:
    harvest = 0.002
    pico = VirtualPico(BOARD, uf2(code), supply=supply(1e-4, harvest), xip=False, hold=False)
    while len(pico.run_record.power) < 2:
        pico.advance()
    on, off = pico.run_record.power
    charge = 0.5e-4 * (5.0**2 - 1.8**2)
    assert on.t == pytest.approx(0.5e-4 * 25 / harvest)
    boot_rom = BOOT_ROM_S * (ACTIVE_W - harvest)
    lasts = BOOT_ROM_S + (charge - boot_rom) / (watts - harvest)
    assert off.t - on.t == pytest.approx(lasts, rel=2e-4)
    assert off.cause == "brown-out"
    assert off.volts == pytest.approx(1.8, abs=1e-3)


def test_the_interpreters_start_costs_what_the_sourced_one_does() -> None:
    held = (BOARD.boot.sourced_ms - BOARD.boot.emulated_ms) * 1e-3
    pico = VirtualPico(BOARD, uf2(START_RTC), supply=supply(1.5e-3, 1e-6), xip=False)
    assert pico.supply is not None
    pico.supply.fill(5.0)
    while pico.powered or not pico.run_record.power:
        pico.advance()
    on, off = pico.run_record.power
    cut = pico.run_record.cuts[0]
    assert off.t - on.t == pytest.approx(BOOT_ROM_S + held + cut.boot_us * 1e-6, rel=1e-6)
    assert pico.record.totals["drawn_j"] == pytest.approx(ACTIVE_W * (off.t - on.t), rel=1e-3)


def test_a_capacitor_too_small_for_the_boot_rom_never_reaches_the_first_instruction() -> None:
    pico = VirtualPico(BOARD, uf2(SPIN), supply=supply(1e-5, 0.01))
    while len(pico.run_record.cuts) < 3:
        pico.advance()
    assert [cut.cycles for cut in pico.run_record.cuts] == [0, 0, 0]


def test_code_before_the_pll_runs_at_the_ring_oscillators_speed() -> None:
    pico = VirtualPico(BOARD, uf2(SPIN), xip=False)
    pico.run(BOOT_ROM_S + 0.1)
    assert pico.chip is not None
    assert pico.chip.cycles == pytest.approx(0.1 * RING_HZ, rel=1e-3)


def test_a_harvest_of_nothing_is_told_and_does_not_hang() -> None:
    pico = VirtualPico(BOARD, uf2(SPIN), supply=supply(1e-3, 0.0))
    assert not pico.advance()
    pico.plug()
    assert pico.advance() and pico.powered


def test_turn_on_follows_a_recorded_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("time_s,power_w\n0,0.001\n1,0\n2,0.004\n3,0\n")
    trace = load_trace(file)
    pico = VirtualPico(BOARD, uf2(SPIN), supply=supply(1e-4, harvest=trace), hold=False)
    pico.advance()
    # 1 mJ in the first second, nothing in the second, the last 0.25 mJ in 62.5 ms of the third
    assert pico.run_record.power[0].t == pytest.approx(2.0625)
    volts = [sample.volts for sample in pico.run_record.samples]
    assert volts == sorted(volts) and math.isclose(volts[-1], 5.0, rel_tol=1e-9)


def test_plugging_in_prevents_cuts_and_unplugging_starts_from_a_full_capacitor() -> None:
    pico = VirtualPico(
        BOARD, uf2(SPIN), supply=supply(1e-4, 0.001), plugged=True, xip=False, hold=False
    )
    pico.run(0.1)
    assert pico.powered and not pico.run_record.cuts
    pico.unplug()
    start = pico.now
    while pico.powered:
        pico.advance()
    lasted = 0.5e-4 * (25 - 1.8**2) / (ACTIVE_W - 0.001)
    assert pico.now - start == pytest.approx(lasted, rel=1e-3)
