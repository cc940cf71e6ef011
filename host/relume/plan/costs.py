"""What tiles, commits, restores and boots cost in cycles and microjoule on one board.

Compute: board.toml [cycles.portable] gives a, b, c with a * MACs + b * outputs + c per tile,
worst case over data. Weights lie in flash and are read through the XIP cache: a tile fetches each
line of the weights that it touches once; when an op's constants do not fit the cache, every unit
fetches them again. FULLY_CONNECTED touches each weight once either way.

SPI FRAM: the core waits for the transfer, so a byte costs 8 SPI clocks of active power plus the
chip. The SPI clock is the core clock divided by an even number, at most the chip's. Flash: a
commit programs all live bytes, 255 to a page, and one record page, at the datasheet's longest
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from relume.board.profile import BoardProfile
from relume.errors import BoardError
from relume.model.graph import Graph, Kind, Op

Number = TypeVar("Number", float, npt.NDArray[np.float64])

RECORD_BYTES = 64
MOUNT_BYTES = 256  # slots, attempt cells, probe: read at mount (SPEC 4.2)
MOUNT_ACCESSES = 8
PAGE = 256
PAGE_DATA = 255  # live bytes in a data page (SPEC 4.3)
SECTOR = 4096
ACCESS_CYCLES = 300.0  # chip select, WREN, call overhead of one FRAM access


@dataclass(frozen=True)
class OpCycles:
    """Cycles of one op's tiles: fixed per tile and per unit, worst and typical."""

    fixed: float
    unit: float
    typical_fixed: float
    typical_unit: float

    def worst(self, count: int) -> float:
        """Cycles of a tile of `count` units, at worst."""
        return self.fixed + self.unit * count

    def typical(self, count: int) -> float:
        """Cycles of a tile of `count` units with the cache warm and padding taps left out."""
        return self.typical_fixed + self.typical_unit * count


class CostModel:
    """Costs of one graph on one board with one kind of NVM."""

    def __init__(self, graph: Graph, board: BoardProfile, nvm: str) -> None:
        self.graph = graph
        self.board = board
        self.nvm = nvm
        board.nvm_size(nvm)
        self.uj_per_cycle = board.energy.active_mw * 1e3 / board.hz
        self.boot_uj = board.boot.ms * board.energy.active_mw
        self.ops = tuple(self._op(op) for op in graph.ops)

    def _op(self, op: Op) -> OpCycles:
        graph, xip = self.graph, self.board.xip
        row = self.board.cycles.get(op.kind.name)
        if row is None:
            raise BoardError(
                f"boards/{self.board.name}/board.toml: cycles.portable.{op.kind.name}: missing"
            )
        per_mac, per_output, per_tile = row
        macs = graph.macs_per_unit(op)
        unit = per_mac * macs + per_output * graph.unit_bytes(op)
        typical = per_mac * macs * self._inside(op) + per_output * graph.unit_bytes(op)
        fetch = op.constant_bytes / xip.line_bytes * xip.miss_cycles
        if op.kind is Kind.FULLY_CONNECTED:
            per_unit = fetch / graph.tensors[op.output].shape[2]
            return OpCycles(per_tile, unit + per_unit, per_tile, typical + per_unit)
        if op.constant_bytes > xip.cache_bytes:
            return OpCycles(per_tile, unit + fetch, per_tile, typical + fetch)
        return OpCycles(per_tile + fetch, unit, per_tile + fetch, typical)

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

    def resume_uj(self, meta_bytes: int) -> float:
        """Fixed energy of a resume: metadata checked, store mounted, nothing restored yet."""
        board = self.board
        cycles = board.store.resume + meta_bytes * board.store.crc_per_byte
        cycles += meta_bytes / board.xip.line_bytes * board.xip.miss_cycles
        if self.nvm == "flash" and board.flash is not None:
            pages = board.flash.size / PAGE
            cycles += pages * (RECORD_BYTES / board.xip.line_bytes * board.xip.miss_cycles + 200)
            return cycles * self.uj_per_cycle + self._program_uj(1.0)
        return cycles * self.uj_per_cycle + self._fram_uj(MOUNT_BYTES, MOUNT_ACCESSES)

    def restore_uj(self, live_bytes: Number, live_ranges: Number) -> Number:
        """Energy of reading the live bytes back and checking their CRC."""
        board = self.board
        crc = live_bytes * (board.store.crc_per_byte * self.uj_per_cycle)
        if self.nvm == "flash":
            line = board.xip.miss_cycles / board.xip.line_bytes * self.uj_per_cycle
            return crc + live_bytes * line + live_ranges * (ACCESS_CYCLES * self.uj_per_cycle)
        return crc + self._fram_uj(live_bytes, live_ranges)

    def commit_uj(self, dirty_bytes: Number, dirty_ranges: Number, live_bytes: Number) -> Number:
        """Energy of a commit, record included: dirty bytes written (flash: all live bytes)."""
        board = self.board
        crc = live_bytes * (board.store.crc_per_byte * self.uj_per_cycle)
        step = board.store.step * self.uj_per_cycle
        if self.nvm == "flash":
            pages: Number = np.ceil(live_bytes / PAGE_DATA) + 1.0
            return crc + step + self._program_uj(pages)
        record = self._fram_uj(2.0 * RECORD_BYTES, 2.0)
        return crc + (step + record) + self._fram_uj(dirty_bytes, dirty_ranges)

    def erase_uj(self) -> float:
        """Energy of erasing one flash sector, at worst; 0 without flash as NVM."""
        flash = self.board.flash
        if self.nvm != "flash" or flash is None:
            return 0.0
        return flash.erase_ms * (self.board.energy.active_mw + flash.program_mw)

    def spi_hz(self) -> float:
        """SPI clock that the FRAM gets: core clock / (2 k), not above the chip's."""
        assert self.board.fram is not None
        halves = -(-self.board.hz // (2 * self.board.fram.hz))
        return self.board.hz / (2 * halves)

    def _fram_uj(self, size: Number, accesses: Number) -> Number:
        fram = self.board.fram
        assert fram is not None
        byte_uj = 8e3 / self.spi_hz() * self.board.energy.active_mw
        wire = size + accesses * float(fram.command_bytes)
        chip = fram.chip_nj_per_byte * 1e-3
        return wire * (byte_uj + chip) + accesses * (ACCESS_CYCLES * self.uj_per_cycle)

    def _program_uj(self, pages: Number) -> Number:
        flash = self.board.flash
        assert flash is not None
        blank_check = PAGE * (self.board.xip.miss_cycles / self.board.xip.line_bytes + 4)
        program = flash.program_ms * (self.board.energy.active_mw + flash.program_mw)
        return pages * (program + 2 * blank_check * self.uj_per_cycle)


def _taps(outputs: int, inputs: int, size: int, stride: int, pad: int, dilation: int) -> int:
    """Filter positions along one axis, over all outputs, that fall inside the input."""
    first = np.arange(outputs) * stride - pad
    at = first[:, None] + np.arange(size)[None, :] * dilation
    return int(np.count_nonzero((at >= 0) & (at < inputs)))
