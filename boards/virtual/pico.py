"""A Raspberry Pi Pico with its supply and its chips, in emulated time only.

`VirtualPico.advance()` moves it on by one step; who calls it, and how fast the host goes, is
`emulated.py`'s business. Everything here is a function of the firmware, the seed, the supply and
the bytes fed to the console: the same calls give the same cycles and the same cuts.

Integration. The board runs in steps of `GRID_S`; what it drew in a step is taken from the
capacitor at the step's end. Near the end of a charge a step is never longer than the energy left
lasts at the highest draw, so the cut falls within a microsecond or an instruction of the instant
at which the voltage crosses `voff`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from relume.board.profile import BoardProfile
from relume.errors import BoardError
from relume_boards.virtual import sensors
from relume_boards.virtual.chip import CYCLE_NS, SRAM_BASE, XIP_BASE, Chip
from relume_boards.virtual.figures import flash_image, hold_ms, models_of, supply_figures
from relume_boards.virtual.flash import Operation, Times
from relume_boards.virtual.fram import SpiFram
from relume_boards.virtual.i2c import I2cFram
from relume_boards.virtual.oscillators import BOOT_ROM_S, CORE_HZ, CRYSTAL_HZ
from relume_boards.virtual.record import (
    Cut,
    EventReader,
    PowerChange,
    Run,
    VoltageLog,
)
from relume_boards.virtual.supply import Load, Supply
from relume_boards.virtual.xip import XipSampler

GRID_S = 200e-6
_SLEEP_STEP_S = 5e-3
_SLOW_STEP_S = 10e-6
_SHORTEST_S = 1e-6
_CHARGE_SAMPLES = 24
_LISTENS_S = 0.25
_MODEL_MS = 3.0  # after early_ms larger models begin
USB_VOLTS = 5.0


class VirtualPico:
    """One board on the bench.

    `firmware`: UF2 image, laid over `flash` (its earlier content, if any). `supply`: None means
    external power for good. `plugged`: whether external power is on at the start. `hold`: boot
    costs the larger of sourced and emulated time. `traced`: every instruction is followed, which
    is exact and some twenty times as slow; may be changed while the board runs. `world`: what its
    sensors feel. Errors: BoardError
    for an unusable image.
    """

    def __init__(
        self,
        board: BoardProfile,
        firmware: bytes,
        *,
        seed: int = 1,
        supply: Supply | None = None,
        plugged: bool = False,
        fram_size: int | None = None,
        flash: bytes | None = None,
        fram: bytes | None = None,
        fram_i2c: bytes | None = None,
        xip: bool = True,
        traced: bool = False,
        hold: bool = True,
        world: sensors.World | None = None,
    ) -> None:
        i2c = board.fram_i2c
        if board.flash is None or board.fram is None or i2c is None:
            raise BoardError(f"{board.name}: board.toml lacks one of [nvm.*]")
        self.board = board
        self.seed = seed
        self.supply = supply
        self.plugged = plugged or supply is None
        self.load = Load.of(board)
        self.flash = flash_image(board, firmware, flash)
        self.fram = SpiFram(fram_size or board.fram.size, fram)
        self.fram_i2c = I2cFram(i2c.size, i2c.address, fram_i2c)
        self._rise_ns = i2c.rise_ns
        self.chip: Chip | None = None
        self.on_tx: Callable[[int], None] = lambda value: None
        self.on_power: Callable[[PowerChange], None] = lambda change: None
        models = models_of(board, xip, hold, traced)
        self.run_record = Run(board=board.name, seed=seed, models=models)
        self.run_record.supply = supply_figures(supply)
        self.run_record.boot_s = board.boot.resume_ms * 1e-3
        self._times = Times(board.flash.program_typical_ms, board.flash.erase_typical_ms)
        self._hold_s = hold_ms(board) * 1e-3 if hold else 0.0
        self._start_ms = (board.boot.early_ms or 0.0) + _MODEL_MS
        self._xip = xip
        self._world = world or sensors.World()
        self.traced = traced
        self._log = VoltageLog(self.run_record.samples)
        self._reader = EventReader()
        self._rx: deque[int] = deque()
        self._clear_counts()
        self._sample(keep=True)

    def _clear_counts(self) -> None:
        self._start_s = 0.0  # emulated time at which the present chip's clock read 0
        self._now_s = 0.0
        self._hold_left_s = 0.0
        self._charges = 0
        self._rx_armed = self._asleep = False
        self._deaf_until_ns = 0.0
        self._flash_ns = self._slow_ns = self._i2c_ns = 0.0
        self._fram_bytes = self._fram_moved
        self._totals = {
            "cycles": 0.0, "active_s": 0.0, "idle_s": 0.0, "sleep_s": 0.0, "off_s": 0.0,
            "stall_cycles": 0.0, "flash_s": 0.0, "fram_bytes": 0.0, "i2c_s": 0.0, "drawn_j": 0.0,
            "flash_programs": 0.0, "flash_erases": 0.0,
        }  # fmt: skip

    # --- state ------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Emulated seconds since the start, time without power included."""
        return self._now_s

    @property
    def powered(self) -> bool:
        return self.chip is not None

    @property
    def idle(self) -> bool:
        """Powered, the core asleep and nothing on its way to it."""
        return bool(self.chip and self.chip.sleeping and not self._rx and not self._hold_left_s)

    @property
    def volts(self) -> float:
        """Voltage at VSYS."""
        if self.plugged or self.supply is None:
            return USB_VOLTS
        return self.supply.volts

    @property
    def _fram_moved(self) -> int:
        return self.fram.bytes_read + self.fram.bytes_written

    def feed(self, data: bytes) -> None:
        """Bytes for the console; they arrive at the line's speed, as the FIFO has room.

        After a boot they wait until the core first sleeps, at most `_LISTENS_S`: a UART loses
        what comes earlier, and a host here cannot see how far the board is."""
        if self.chip is not None:
            self._rx.extend(data)
            self._arm_rx()

    def plug(self) -> None:
        """External power on: no cuts until `unplug`; an unpowered board turns on."""
        if self.plugged:
            return
        self.plugged = True
        self._sample(keep=True)
        if self.chip is None:
            self._power_on("plugged")

    def unplug(self, empty: bool = False) -> None:
        """External power off. The capacitor is full, or `empty`: then the board goes off and
        comes back with the first charge. Without a supply nothing happens."""
        if self.supply is None or not self.plugged:
            return
        self.plugged = False
        self.supply.fill(self.supply.voff if empty else max(self.supply.von, USB_VOLTS))
        if empty:
            self.power_off("unplugged")
        self._sample(keep=True)

    # --- time -------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Advance by that much emulated time."""
        until = self._now_s + seconds
        while self._now_s < until - 1e-12 and self.advance(until):
            pass

    def advance(self, until: float = math.inf) -> bool:
        """One step, not beyond `until` (s). False: the harvest will never turn the board on."""
        if self.chip is not None:
            self._step(self.chip, until)
            return True
        if self.plugged:
            self._power_on("plugged")
            return True
        return self._charge(until)

    def _charge(self, until: float) -> bool:
        supply = self.supply
        assert supply is not None
        wait = supply.time_to_turn_on(self._now_s)
        end = min(self._now_s + wait, until)
        if math.isinf(end):
            return False
        span = end - self._now_s
        for part in range(_CHARGE_SAMPLES):
            begin = end - span * (1 - part / _CHARGE_SAMPLES)
            stop = end - span * (1 - (part + 1) / _CHARGE_SAMPLES)
            supply.charge(begin, stop)
            self._now_s = stop
            self._sample()
        self._now_s = end
        self._totals["off_s"] += span
        if end < until or wait <= span:
            supply.turn_on()
            self._power_on("charged")
        return True

    def _horizon(self, chip: Chip, until: float) -> float:
        """Seconds that the next step may last."""
        step = GRID_S if chip.core_hz == CORE_HZ else _SLOW_STEP_S
        if chip.sleeping and not self._hold_left_s:
            step = min(_SLEEP_STEP_S, max(GRID_S, chip.nanos_to_event * 1e-9))
        if not self.plugged and self.supply is not None:
            step = min(step, self.supply.usable_j / self.load.peak_w)
        return max(_SHORTEST_S, min(step, until - self._now_s))

    def _step(self, chip: Chip, until: float) -> None:
        horizon = self._horizon(chip, until)
        before = self._now_s
        if self._hold_left_s > 0:
            passed = min(horizon, self._hold_left_s)
            self._hold_left_s -= passed
            self._start_s += passed
            self._now_s += passed
            joules = self.load.energy(passed, 0.0, 0.0, 0.0, 0)
        else:
            joules = self._execute(chip, horizon)
        self._totals["drawn_j"] += joules
        if self.plugged or self.supply is None:
            self._sample()
            return
        self.supply.draw(before, self._now_s, joules)
        chip.set_supply(self.supply.volts, False)
        self._sample()
        if self.supply.usable_j <= 0:
            self.power_off("brown-out")

    def _execute(self, chip: Chip, seconds: float) -> float:
        """Run the core and return the joules drawn."""
        start_ns, start_cycles, waited = chip.nanos, chip.cycles, chip.waited
        self._asleep = chip.asleep
        if self._follows(chip):
            self._follow(chip, start_ns + seconds * 1e9)
            return self._settle(chip, start_ns, start_cycles)
        slow = chip.core_hz <= CRYSTAL_HZ  # a window would take 50 steps
        if self._xip and not (slow or chip.sleeping) and self._sampler.due(start_cycles):
            self._sampler.sample(self._probe)
        chip.run(seconds * 1e9)
        if self._xip:
            # A core that polls a busy flag runs from SRAM or ROM, or out of the cache.
            extra = self._sampler.stall(chip.cycles - start_cycles - (chip.waited - waited))
            if extra:
                chip.stall(extra)
                self._totals["stall_cycles"] += extra
        return self._settle(chip, start_ns, start_cycles)

    def _follows(self, chip: Chip) -> bool:
        """Whether each instruction is followed: always, or as long as what goes on before the
        interpreter takes to begin, when nearly all flash is read for the first time."""
        starting = self._xip and chip.nanos + BOOT_ROM_S * 1e9 < self._start_ms * 1e6
        return (self.traced or starting) and not chip.sleeping

    def _follow(self, chip: Chip, until_ns: float) -> None:
        """Run the core instruction by instruction, each miss where it happens."""
        while chip.nanos < until_ns and not chip.sleeping:
            self._totals["stall_cycles"] += chip.follow(self._follower)

    def _settle(self, chip: Chip, start_ns: float, start_cycles: int) -> float:
        chip.settle()
        self._now_s = self._start_s + chip.nanos * 1e-9
        cycles = chip.cycles - start_cycles
        active_ns = cycles * CYCLE_NS + chip.slow_ns - self._slow_ns
        self._slow_ns = chip.slow_ns
        return self._account(chip, chip.nanos - start_ns, cycles, active_ns)

    def _account(self, chip: Chip, ns: float, cycles: int, active_ns: float) -> float:
        flash_ns, moved = chip.nor.busy_ns, self._fram_moved
        flash_s = (flash_ns - self._flash_ns) * 1e-9
        fram_bytes = moved - self._fram_bytes
        self._flash_ns, self._fram_bytes = flash_ns, moved
        i2c_s = (chip.i2c_busy_ns - self._i2c_ns) * 1e-9
        self._i2c_ns = chip.i2c_busy_ns
        active_s = min(active_ns, ns) * 1e-9
        waits_s = ns * 1e-9 - active_s
        idle_s, sleep_s = (0.0, waits_s) if self._asleep or chip.asleep else (waits_s, 0.0)
        if sleep_s and not chip.clocks.timer_wakes:
            self._note("asleep with the timer's clock off: nothing wakes it by time")
        totals = self._totals
        totals["cycles"] += cycles
        totals["active_s"] += active_s
        totals["idle_s"] += idle_s
        totals["sleep_s"] += sleep_s
        totals["flash_s"] += flash_s
        totals["fram_bytes"] += fram_bytes
        totals["i2c_s"] += i2c_s
        return self.load.energy(active_s, idle_s, sleep_s, flash_s, fram_bytes, i2c_s)

    # --- power ------------------------------------------------------------------------------

    def _power_on(self, cause: str) -> None:
        self._charges += 1
        noise = random.Random(f"sram {self.seed} {self._charges}")
        identity = random.Random(f"board {self.seed}").getrandbits(64)
        chip = Chip(self.flash, self._times, noise, identity)
        self.fram.power_up()
        self.fram_i2c.power_up()
        pins = self.board.pins
        chip.attach_spi(pins["fram_spi"], pins["fram_cs"], self.fram)
        wires = (pins["fram_i2c"], pins["fram_sda"], pins["fram_scl"])
        chip.attach_i2c(*wires, self.fram_i2c, self._rise_ns)
        chip.uart.on_byte = self._on_uart
        chip.nor.on_start = self._on_flash
        chip.ssi.on_conflict = self._note
        self._attach_sensors(chip)
        chip.set_supply(self.volts, self.plugged)
        self._sampler = XipSampler(self.board.xip)
        if self._xip:
            chip.dma.on_flash = self._sampler.moved
        self._probe = chip.probe()
        self._follower = partial(self._sampler.follow, self._probe)
        self._rx_alarm = chip.alarm(self._on_rx)
        self._rx_armed = False
        self._flash_ns, self._fram_bytes = 0.0, self._fram_moved
        self._slow_ns = self._i2c_ns = 0.0
        self._start_s, self._hold_left_s = self._now_s, BOOT_ROM_S
        self.chip = chip
        chip.on_interpreter = self._on_interpreter
        chip.on_reset = self._on_boot
        self._on_boot()
        self._change(True, cause)

    def _attach_sensors(self, chip: Chip) -> None:
        sensors.attach(self._world, chip, lambda: self._start_s + chip.nanos * 1e-9)

    def _on_interpreter(self) -> None:
        """The interpreter's start begins: it takes what the sourced one takes."""
        self._hold_left_s += self._hold_s

    def power_off(self, cause: str) -> None:
        """The supply is cut at this instant: what is volatile is gone."""
        chip = self.chip
        if chip is None:
            return
        chip.settle()
        writing = self.fram.position or self.fram_i2c.position
        operation = chip.nor.cut(random.Random(f"cut {self.seed} {self._charges}"))
        self._record_cut(chip, operation, writing)
        self.flash[:] = chip.flash[: len(self.flash)]
        self._totals["flash_programs"] += chip.nor.programs
        self._totals["flash_erases"] += chip.nor.erases
        self._note_warnings(chip)
        self.chip = None
        self._rx.clear()
        self._reader.reset()
        self._change(False, cause)

    def _record_cut(
        self, chip: Chip, flash: Operation | None, fram: tuple[str, int] | None
    ) -> None:
        what, address = "", 0
        if flash is not None:
            what, address = flash.kind, flash.at
        elif fram is not None:
            what, address = f"fram {fram[0]}", fram[1]
        pc = int(chip.core.registers[15]) if not self._hold_left_s else 0
        micros = chip.nanos / 1e3
        self.run_record.cuts.append(Cut(self._now_s, chip.cycles, micros, pc, what, address))

    def _change(self, on: bool, cause: str) -> None:
        change = PowerChange(self._now_s, on, cause, self.volts)
        self.run_record.power.append(change)
        self._sample(keep=True)
        self.on_power(change)

    def _note_warnings(self, chip: Chip) -> None:
        for text in chip.log.first:
            self._note(text)

    def _note(self, text: str) -> None:
        if text not in self.run_record.notes and len(self.run_record.notes) < 50:
            self.run_record.notes.append(text)

    # --- console and record -----------------------------------------------------------------

    def _arm_rx(self) -> None:
        if self._rx and not self._rx_armed and self.chip is not None:
            self._rx_armed = True
            self._rx_alarm.schedule(10 * self.chip.uart.bit_ns)

    def _on_rx(self) -> None:
        self._rx_armed = False
        chip = self.chip
        if chip is not None and self._rx and self._listens(chip) and chip.uart.room:
            value = self._rx.popleft()
            if not chip.deaf:
                chip.uart.feed_byte(value)
        self._arm_rx()

    def _listens(self, chip: Chip) -> bool:
        """Whether the firmware has come up since the last boot."""
        if self._deaf_until_ns and (chip.sleeping or chip.nanos >= self._deaf_until_ns):
            self._deaf_until_ns = 0.0
        return not self._deaf_until_ns

    def _on_boot(self) -> None:
        if self.chip is not None:
            self._deaf_until_ns = self.chip.nanos + _LISTENS_S * 1e9

    def _on_uart(self, value: int) -> None:
        chip = self.chip
        assert chip is not None
        event = self._reader.feed(value, self._start_s + chip.nanos * 1e-9)
        if event is not None:
            self.run_record.events.append(event)
        self.on_tx(value)

    def _on_flash(self, operation: Operation) -> None:
        chip = self.chip
        if chip and XIP_BASE <= int(chip.core.registers[15]) < SRAM_BASE:
            self._note(f"flash {operation.kind} at {operation.at:#x} started by code in flash")

    def _sample(self, keep: bool = False) -> None:
        self._log.add(self._now_s, self.volts, keep)

    @property
    def record(self) -> Run:
        """The run so far; totals are brought up to date by this call."""
        run = self.run_record
        run.end = self._now_s
        run.totals = dict(self._totals)
        if self.chip is not None:
            run.totals["flash_programs"] += self.chip.nor.programs
            run.totals["flash_erases"] += self.chip.nor.erases
        if self.supply is not None:
            run.totals["harvested_j"] = self.supply.harvested_j
        return run

    def save(self, folder: Path) -> None:
        """Keep flash and FRAMs in `folder` as flash.bin, fram.bin and fram_i2c.bin."""
        folder.mkdir(parents=True, exist_ok=True)
        flash = self.chip.flash[: len(self.flash)] if self.chip else self.flash
        fram, i2c = bytes(self.fram.memory), bytes(self.fram_i2c.memory)
        for name, content in (
            ("flash.bin", bytes(flash)), ("fram.bin", fram), ("fram_i2c.bin", i2c),
        ):  # fmt: skip
            part = folder / f"{name}.part"
            part.write_bytes(content)
            part.replace(folder / name)
