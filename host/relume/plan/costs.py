"""What tiles, commits, restores and boots cost in cycles and microjoule on one board.

Compute: board.toml [cycles.portable] gives a, b, c with a * work + b * outputs + c per tile
(`relume.plan.kernel_work`), worst case over data; [cycles.CORE] likewise for the kernels of the
board's core that are faster (`m0plus_work`, `m4_work`). These are cycles of code and data in SRAM.
Constants lie in flash and are read through the XIP cache (`relume.plan.xip`), which is taken to be
cold: a tile fetches what it reads once; when an op's constants do not fit the cache, every unit
fetches them again (Cortex-M0+ convolutions: every tile, as ever; operands and maps: what the unit
reads, `relume.plan.fills`). FULLY_CONNECTED touches each weight once.

Staged constants are copied to SRAM by bursts when their op begins, and again after a restore;
weights in parts by every tile that uses them.

SPI FRAM: the core waits for the transfer, so a byte costs 8 SPI clocks of active power plus the
chip. The SPI clock is the peripheral clock divided by an even number, at most the chip's. FRAM on
I2C: the core waits for nine bits a byte and some forty for each access, at the bus's speed and
with the rise of its clock line; pull-ups and chip draw beside it. Flash: a commit programs all
live bytes, 255 to a page, and one record page, at the datasheet's longest time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from relume.blob.layouts.packed import Packed
from relume.blob.layouts.select import M0PLUS, lay_out
from relume.board.profile import BoardProfile
from relume.errors import BoardError
from relume.model.graph import Graph, Kind, Op
from relume.plan.fills import FILL, fills_by_unit
from relume.plan.kernel_work import kernel_work
from relume.plan.m0plus_typical import typical_work
from relume.plan.m0plus_work import fits_spans, m0plus_work
from relume.plan.m4_work import m4_work
from relume.plan.op_cycles import OpCycles
from relume.plan.parts import conv_waits, dense_waits
from relume.plan.types import Stage
from relume.plan.xip import bytes_cycles, copy_cycles, fills_cycles

Number = TypeVar("Number", float, npt.NDArray[np.float64])

RECORD_BYTES = 64
MOUNT_BYTES = 592  # slots, attempt cells, probe and its mirrors, shares of tiles (SPEC 4.2)
MOUNT_ACCESSES = 27
MOUNT_PAGE_CYCLES = 2000.0  # flash: looking at one page for a record, half of them being records
PAGE = 256
PAGE_DATA = 255  # live bytes in a data page (SPEC 4.3)
SECTOR = 4096
RING_PAGES = 15  # pages of a sector that hold commits
PAGE_CALLS = 4  # of a driver in Python for a page: looked at, written, read back, the next found
TILE_BYTES = 260  # of the tables that a tile reads: tile, op, three tensors, header
CHUNK = 240  # bytes of input a frame (SPEC 6)
FRAME_BYTES = 64.0  # of a frame and its answer, beside the input's bytes
HANDSHAKE = 3  # frames before the input's first: HELLO, STATUS and one lost
FRAME_CYCLES = 250_000.0  # a frame decoded and answered: its bytes leave by polling, 5 ms at most
CONSOLE_BAUD = 115_200
# Of a portable kernel's row, whose worst case few shapes and values meet.
TYPICAL_SHARE = {Kind.AVERAGE_POOL_2D: 0.45, Kind.SOFTMAX: 0.5}


class CostModel:
    """Costs of one graph on one board with one kind of NVM."""

    def __init__(
        self,
        graph: Graph,
        board: BoardProfile,
        nvm: str,
        staged: Mapping[int, Stage] | None = None,
    ) -> None:
        """staged: op number -> its constants in SRAM, wherever they lie (relume.plan.staging)."""
        self.staged = dict(staged or {})
        self.graph = graph
        self.board = board
        self.nvm = nvm
        board.nvm_size(nvm)
        self.uj_per_cycle = board.energy.active_mw * 1e3 / board.hz
        self.boot_uj = board.boot.resume_ms * board.energy.active_mw
        early = board.boot.early_ms is not None
        self._calls = 0.0 if board.tier == "firmware" else PAGE_CALLS * board.store.access
        self._step = board.store.early_step if early else board.store.step
        self._resume = board.store.early_resume if early else board.store.resume
        self.ops = tuple(
            self.op_cycles(number, self.staged.get(number, Stage()))
            for number in range(len(graph.ops))
        )

    @property
    def streams(self) -> bool:
        """Dirty bytes are written by DMA behind the tiles: our firmware's way, to SPI FRAM."""
        return self.nvm == "fram" and self.board.boot.early_ms is not None

    def op_cycles(self, number: int, stage: Stage) -> OpCycles:
        """The kernel's cycles and what its tiles fetch from flash, with that stage."""
        core = self.kernel_cycles(self.graph.ops[number], stage.chunk or stage.size or None)
        tile, unit = (0.0, 0.0) if stage.size else self.fetches(number)
        typical = unit
        cold = tile if self._stays(number) else 0.0
        if stage.chunk:
            tile, unit = self._part_cycles(number, stage, core.unit)
            _, typical = self._part_cycles(number, stage, core.typical_slope)
        tables = bytes_cycles(self.board.xip, TILE_BYTES)
        return replace(
            core,
            fixed=core.fixed + tile + tables,
            unit=core.unit + unit,
            typical_fixed=core.typical_fixed + tile - cold + tables,
            typical_unit=core.typical_unit + typical,
            cold=cold,
        )

    def begin_cycles(self, number: int) -> float:
        """What an op typically begins with, once more behind a power cut: stage and cold cache."""
        return self.stage_cycles(number) + self.ops[number].cold

    def stage_cycles(self, number: int) -> float:
        """Copying an op's constants to SRAM, before its first tile and after a restore."""
        stage = self.staged.get(number, Stage())
        return copy_cycles(self.board.xip, stage.size - stage.chunk)

    def _part_cycles(self, number: int, stage: Stage, unit: float) -> tuple[float, float]:
        """Cycles (once a tile, of a unit) of waiting for weights in parts, and for the other
        arrays where these are left in flash; the kernel takes `unit` cycles a unit."""
        op, xip = self.graph.ops[number], self.board.xip
        fast = lay_out(self.board.core, self.graph, op)
        assert fast is not None
        shape = self.graph.tensors[op.output].shape
        if op.kind is Kind.FULLY_CONNECTED:
            return dense_waits(xip, fast, shape, stage.chunk, unit)
        tile = conv_waits(xip, fast, stage.chunk)
        if stage.size > stage.chunk:
            return tile, 0.0
        size = fast.constant_bytes - len(fast.weights)
        tables = self._fetch_cycles(size)
        return (tile + tables, 0.0) if size <= xip.cache_bytes else (tile, tables)

    def kernel_cycles(self, op: Op, room: int | None = None) -> OpCycles:
        """Core cycles of an op's kernel, flash left out.

        room: bytes of weights that SRAM holds at a time, None: they are read in place."""
        core = self.board.core
        row = self.board.fast_cycles.get(core, {}).get(op.kind.name)
        if row is not None:
            fast = lay_out(core, self.graph, op)
            if fast is not None:
                return self._fast_op(op, fast, row, room)
        row = self.board.cycles.get(op.kind.name)
        if row is None:
            raise BoardError(
                f"boards/{self.board.name}/board.toml: cycles.portable.{op.kind.name}: missing"
            )
        per_mac, per_output, per_tile = row
        work, outputs = kernel_work(self.graph, op)
        unit = per_mac * work + per_output * outputs
        typical = per_mac * work * self._inside(op) + per_output * outputs
        typical *= TYPICAL_SHARE.get(op.kind, 1.0)
        return OpCycles(per_tile, unit, per_tile, typical)

    def _fast_op(
        self, op: Op, fast: Packed, row: tuple[float, float, float], room: int | None
    ) -> OpCycles:
        per_work, per_output, per_tile = row
        m0plus = self.board.core == M0PLUS
        work = m0plus_work(self.graph, op, fast, room) if m0plus else m4_work(self.graph, op, fast)
        unit = per_work * work.unit + per_output * work.outputs
        tile = per_work * work.tile + per_tile
        typical = per_work * work.typical_unit + per_output * work.outputs
        cycles = OpCycles(tile, unit, tile, typical, work.row, per_work * work.area)
        if not m0plus:
            return cycles
        made = typical_work(self.graph, op, fast, self._inside(op), room)
        return replace(
            cycles,
            typical_fixed=made.tile,
            typical_unit=made.unit,
            part=made.part,
            part_units=made.part_units,
            ragged=made.ragged,
        )

    def fetches(self, number: int) -> tuple[float, float]:
        """Cycles (once a tile, of a unit) that waiting for constants in flash takes."""
        op = self.graph.ops[number]
        fast = lay_out(self.board.core, self.graph, op)
        size = op.constant_bytes if fast is None else fast.constant_bytes
        fetch = self._fetch_cycles(size)
        if op.kind is Kind.FULLY_CONNECTED:
            return 0.0, fetch / self.graph.tensors[op.output].shape[2]
        if self.board.core == M0PLUS and fast is not None and fits_spans(self.graph, op, fast):
            return 1.5 * fetch, 0.0
        if size <= self.board.xip.cache_bytes:
            return fetch, 0.0
        fills = fills_by_unit(self.graph, op) if self.board.xip.fill_bytes == FILL else None
        if fills is None:
            return 0.0, fetch
        tile, unit = (fills_cycles(self.board.xip, part) for part in fills)
        return tile, unit

    def _stays(self, number: int) -> bool:
        """The flash cache keeps an op's constants from one tile to the next."""
        op = self.graph.ops[number]
        fast = lay_out(self.board.core, self.graph, op)
        size = op.constant_bytes if fast is None else fast.constant_bytes
        by_unit = op.kind is Kind.FULLY_CONNECTED or (
            self.board.core == M0PLUS and fast is not None and fits_spans(self.graph, op, fast)
        )
        return not by_unit and size <= self.board.xip.cache_bytes

    def _inside(self, op: Op) -> float:
        """Share of an op's window taps that fall inside the input."""
        window = op.window
        if window.kh == 0:
            return 1.0
        in_h, in_w, _ = self.graph.tensors[op.inputs[0]].shape
        out_h, out_w, _ = self.graph.tensors[op.output].shape
        rows = _taps(out_h, in_h, window.kh, window.sh, window.pad_top, window.dil_h)
        columns = _taps(out_w, in_w, window.kw, window.sw, window.pad_left, window.dil_w)
        return rows * columns / (out_h * window.kh * out_w * window.kw)

    def exchange_uj(self, n_tiles: int) -> float:
        """Energy to boot, take an input from the host frame by frame, and commit it.

        The core sleeps while a frame comes in; at the console's 115200 baud 240 bytes of input
        take FRAME_BYTES bytes of ten bits."""
        board = self.board
        size = float(self.graph.tensors[self.graph.input].size)
        frames = -(-size // CHUNK) + HANDSHAKE
        wire_ms = (frames * FRAME_BYTES + size * (1 + 1 / 254)) * 10e3 / CONSOLE_BAUD
        wire = wire_ms * board.energy.sleep_mw + frames * FRAME_CYCLES * self.uj_per_cycle
        commit = float(self.commit_uj(size, 1.0, size))
        return self.boot_uj + self.resume_uj(n_tiles) + wire + commit

    def resume_uj(self, n_tiles: int) -> float:
        """Fixed energy of a resume: metadata checked, as far as the start does not contain that,
        store mounted, nothing restored yet."""
        board = self.board
        meta = self.meta_bytes_bound(n_tiles)
        check = max(self._check_cycles(n_tiles) + self._metadata(meta) - board.boot.early_check, 0)
        cycles = self._resume + self._survey_cycles() + check
        if self.nvm == "flash" and board.flash is not None:
            cycles += board.flash.size / PAGE * max(MOUNT_PAGE_CYCLES, self._calls / PAGE_CALLS)
            return cycles * self.uj_per_cycle + self.program_uj(1.0)
        return cycles * self.uj_per_cycle + self._fram_uj(MOUNT_BYTES, MOUNT_ACCESSES)

    def _metadata(self, size: int) -> float:
        """CRC over the metadata, which our firmware brings to SRAM in a burst, by DMA."""
        if self.board.boot.early_ms is None:
            return size * self.board.store.crc_per_byte + self._fetch_cycles(size)
        return size * self.board.store.live_crc + copy_cycles(self.board.xip, size)

    def meta_bytes_bound(self, n_tiles: int) -> int:
        """Upper bound of the blob's metadata with at most one segment a tile."""
        return 256 + 100 * len(self.graph.tensors) + 180 * len(self.graph.ops) + 36 * n_tiles

    def _check_cycles(self, n_tiles: int) -> float:
        """The blob checker at boot: tensors * ops, tiles in passes of 64 ops and one by one."""
        n_ops = len(self.graph.ops)
        channels = sum(len(op.multipliers) for op in self.graph.ops if op.multipliers is not None)
        tiles = n_tiles * (1000.0 + 20.0 * -(-n_ops // 64))
        return (
            60.0 * n_ops**2
            + 400.0 * n_ops
            + tiles
            + 25.0 * channels
            + self._fetch_cycles(5 * channels)
        )

    def _survey_cycles(self) -> float:
        """Finding out what is live: one pass over ops and tensors."""
        store, graph = self.board.store, self.graph
        return store.survey_op * len(graph.ops) + store.survey_tensor * len(graph.tensors)

    def survey_uj(self) -> float:
        """Energy of finding out what is live."""
        return self._survey_cycles() * self.uj_per_cycle

    def _fetch_cycles(self, size: int) -> float:
        """Reading `size` bytes of flash that the cache does not hold."""
        return bytes_cycles(self.board.xip, size)

    def restore_uj(self, live_bytes: Number, live_ranges: Number) -> Number:
        """Energy of reading the live bytes back and checking their CRC."""
        board = self.board
        crc = live_bytes * (board.store.live_crc * self.uj_per_cycle)
        if self.nvm == "flash":
            byte = bytes_cycles(board.xip, 1.0) + self._calls / (PAGE_CALLS * PAGE_DATA)
            byte *= self.uj_per_cycle
            return crc + live_bytes * byte + live_ranges * (board.store.access * self.uj_per_cycle)
        return crc + self._fram_uj(live_bytes, live_ranges)

    def commit_uj(self, dirty_bytes: Number, dirty_ranges: Number, live_bytes: Number) -> Number:
        """Energy of a commit, record included: dirty bytes written (flash: all live bytes)."""
        board = self.board
        crc = live_bytes * (board.store.live_crc * self.uj_per_cycle)
        step = (self._step + 2.0 * self._survey_cycles()) * self.uj_per_cycle
        if self.nvm == "flash":
            pages: Number = np.ceil(live_bytes / PAGE_DATA) + 1.0
            return crc + step + self.program_uj(pages)
        record = self._fram_uj(2.0 * RECORD_BYTES, 2.0)
        return crc + (step + record) + self._fram_uj(dirty_bytes, dirty_ranges)

    def erase_uj(self) -> float:
        """Energy of erasing one flash sector, at worst; 0 without flash as NVM.

        A mark of the record, the open mark and the new header are programmed, the ring is
        searched, the sector is read.
        """
        flash = self.board.flash
        if self.nvm != "flash" or flash is None:
            return 0.0
        power = self.board.energy.active_mw + flash.program_mw
        read = self._fetch_cycles(flash.size + SECTOR) + 4.0 * (flash.size + SECTOR)
        return flash.erase_ms * power + self.program_uj(3.0) + read * self.uj_per_cycle

    def spi_hz(self) -> float:
        """SPI clock that the FRAM gets: peripheral clock / (2 k), not above the chip's."""
        assert self.board.fram is not None
        halves = -(-self.board.peripheral_hz // (2 * self.board.fram.hz))
        return self.board.peripheral_hz / (2 * halves)

    def transfer_uj(self, size: Number, accesses: Number) -> Number:
        """Energy of `size` bytes to or from FRAM in `accesses` transfers, headers included."""
        return self._fram_uj(size, accesses)

    def _fram_uj(self, size: Number, accesses: Number) -> Number:
        call = accesses * (self.board.store.access * self.uj_per_cycle)
        if self.nvm == "fram-i2c":
            return call + self._i2c_uj(size, accesses)
        fram = self.board.fram
        assert fram is not None
        byte_uj = 8e3 / self.spi_hz() * self.board.energy.active_mw
        wire = size + accesses * float(fram.command_bytes)
        chip = fram.chip_nj_per_byte * 1e-3
        return wire * (byte_uj + chip) + call

    def _i2c_uj(self, size: Number, accesses: Number) -> Number:
        """Energy while the I2C bus is busy: core, pull-ups and chip (FramI2cNvm.seconds)."""
        fram = self.board.fram_i2c
        assert fram is not None
        power = self.board.energy.active_mw + fram.chip_mw + fram.bus_mw
        bits = 9.0 * size + float(fram.access_bits) * accesses
        return bits * (fram.bit_s * 1e3 * power)

    def program_uj(self, pages: Number) -> Number:
        """Energy of programming flash pages, at the datasheet's longest time."""
        flash = self.board.flash
        assert flash is not None
        blank_check = self._fetch_cycles(PAGE) + PAGE * 4
        program = flash.program_ms * (self.board.energy.active_mw + flash.program_mw)
        return pages * (program + (2 * blank_check + self._calls) * self.uj_per_cycle)


def _taps(outputs: int, inputs: int, size: int, stride: int, pad: int, dilation: int) -> int:
    """Filter positions along one axis, over all outputs, that fall inside the input."""
    first = np.arange(outputs) * stride - pad
    at = first[:, None] + np.arange(size)[None, :] * dilation
    return int(np.count_nonzero((at >= 0) & (at < inputs)))
