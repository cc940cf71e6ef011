"""Board profiles: boards/NAME/board.toml as checked dataclasses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from relume.errors import BoardError

NVM_KINDS = {"fram": 1, "flash": 2, "file": 3}


@dataclass(frozen=True)
class Region:
    """A part of the flash: offset and size in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Boot:
    """Milliseconds from power-on to the first line of user code, sourced and emulated.

    early_ms: from power-on until a pending inference goes on in C, before the interpreter; None
    where the firmware cannot.
    """

    sourced_ms: float
    emulated_ms: float
    early_ms: float | None = None

    @property
    def ms(self) -> float:
        """The larger of both: what plan and supply count with for the interpreter."""
        return max(self.sourced_ms, self.emulated_ms)

    @property
    def resume_ms(self) -> float:
        """Power-on to a resume."""
        return self.ms if self.early_ms is None else self.early_ms


@dataclass(frozen=True)
class Xip:
    """Execute-in-place cache and the flash behind it (relume.plan.xip).

    line_bytes: what a tag stands for; miss_cycles: core cycles that a miss takes beyond a hit;
    cache_bytes: bytes in all; ways of a set; fill_bytes: what a miss fetches, a part of a line.
    word_cycles, start_cycles: a burst past the cache, 4 bytes a word, without other accesses to
    flash; word_cycles 0: there is none.
    """

    line_bytes: int
    miss_cycles: int
    cache_bytes: int
    ways: int = 2
    fill_bytes: int = 4
    word_cycles: int = 0
    start_cycles: int = 0


@dataclass(frozen=True)
class Energy:
    """Power of the board, milliwatt."""

    active_mw: float
    sleep_mw: float


@dataclass(frozen=True)
class Supply:
    """Turn-on, turn-off and highest voltage."""

    von_v: float
    voff_v: float
    vmax_v: float


@dataclass(frozen=True)
class FramNvm:
    """SPI FRAM. size: bytes; hz: SPI clock; command_bytes: per write access."""

    kind: int
    size: int
    hz: int
    command_bytes: int
    chip_nj_per_byte: float


@dataclass(frozen=True)
class FlashNvm:
    """Raw flash region. Times per 256-byte page and 4096-byte sector, worst and typical.

    erase_cycles: erases that each sector endures.
    """

    kind: int
    size: int
    program_ms: float
    program_typical_ms: float
    erase_ms: float
    erase_typical_ms: float
    program_mw: float
    erase_cycles: int


@dataclass(frozen=True)
class StoreCycles:
    """Core cycles of the scheduler's own work, worst case.

    crc_per_byte: CRC-32 of one byte by the core; crc_live: of a live byte by what the port has for
    it, 0: the core. survey_op, survey_tensor: finding out what is live, a commit or a restore.
    step: a segment's fixed part, interpreter and event frame. resume: from the first line of user
    code to the first tile, without what grows with the model. early_step, early_resume: the same
    before the interpreter starts.
    """

    crc_per_byte: float
    survey_op: float
    survey_tensor: float
    step: float
    resume: float
    early_step: float = 0.0
    early_resume: float = 0.0
    crc_live: float = 0.0

    @property
    def live_crc(self) -> float:
        """Cycles of a live byte's CRC-32 in a commit and a restore."""
        return self.crc_live or self.crc_per_byte


@dataclass(frozen=True)
class BoardProfile:
    """One board, from boards/NAME/board.toml.

    hz, peripheral_hz: clocks of the core and of SPI. cycles, fast_cycles: kind -> (per work, per
    output, per tile) of the portable kernels and of those of the board's core.
    """

    name: str
    title: str
    mcu: str
    core: str
    hz: int
    peripheral_hz: int
    flash_bytes: int
    sram_bytes: int
    heap_bytes: int
    regions: Mapping[str, Region]
    boot: Boot
    xip: Xip
    energy: Energy
    supply: Supply
    pins: Mapping[str, int]
    fram: FramNvm | None
    flash: FlashNvm | None
    cycles: Mapping[str, tuple[float, float, float]]
    store: StoreCycles
    fast_cycles: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def nvm_size(self, nvm: str) -> int:
        """Bytes of an NVM kind (fram, flash, file) that inferences may use.

        All but the last eighth, in whole sectors or pages, which is for keys and values (SPEC 4).
        Errors: BoardError.
        """
        if nvm not in NVM_KINDS:
            raise BoardError(f"{self.name}: unknown NVM {nvm}: one of {', '.join(NVM_KINDS)}")
        part = self.flash if nvm == "flash" else self.fram
        if part is None:
            raise BoardError(f"{self.name}: this board has no {nvm}")
        grain = 4096 if nvm == "flash" else 256
        return part.size - part.size // 8 // grain * grain


def board_names() -> list[str]:
    """Folders under boards/ that hold a board.toml, sorted."""
    root = resources.files("relume_boards")
    return sorted(entry.name for entry in root.iterdir() if (entry / "board.toml").is_file())


@cache
def load_board(name: str) -> BoardProfile:
    """Reads a board's profile. Errors: BoardError naming the known boards, or file and key."""
    known = board_names()
    if name not in known:
        raise BoardError(f"unknown board {name}: one of {', '.join(known)}")
    text = (resources.files("relume_boards") / name / "board.toml").read_text("utf-8")
    return parse_board(text, f"boards/{name}/board.toml")


def parse_board(text: str, file: str) -> BoardProfile:
    """A profile from TOML text; `file` names it in errors. Errors: BoardError."""
    try:
        table = _Table(file, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{file}: {error}") from error
    memory, clock = table.sub("memory"), table.sub("clock")
    nvm = table.sub("nvm")
    profile = BoardProfile(
        table.text("name"),
        table.text("title"),
        table.text("mcu"),
        table.text("core"),
        clock.positive("hz"),
        clock.positive("peripheral_hz"),
        memory.whole("flash_bytes"),
        memory.whole("sram_bytes"),
        memory.whole("heap_bytes"),
        _regions(table, memory.whole("flash_bytes")),
        _boot(table.sub("boot")),
        _xip(table.sub("xip")),
        Energy(table.sub("energy").real("active_mw"), table.sub("energy").real("sleep_mw")),
        _supply(table.sub("supply")),
        {key: table.sub("pins").whole(key) for key in table.sub("pins").data},
        _fram(nvm.sub("fram")) if "fram" in nvm.data else None,
        _flash(nvm.sub("flash")) if "flash" in nvm.data else None,
        _cycles(table.sub("cycles").sub("portable")),
        _store(table.sub("cycles").sub("store")),
        _fast_cycles(table.sub("cycles"), table.text("core")),
    )
    return profile


class _Table:
    """A TOML table that names file and key in every error."""

    def __init__(self, file: str, path: str, data: Mapping[str, Any]) -> None:
        self.file, self.path, self.data = file, path, data

    def fail(self, key: str, text: str) -> BoardError:
        return BoardError(f"{self.file}: {self.path}{key}: {text}")

    def value(self, key: str) -> Any:
        if key not in self.data:
            raise self.fail(key, "missing")
        return self.data[key]

    def sub(self, key: str) -> _Table:
        value = self.value(key)
        if not isinstance(value, dict):
            raise self.fail(key, "not a table")
        return _Table(self.file, f"{self.path}{key}.", value)

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, "not a text")
        return value

    def whole(self, key: str) -> int:
        value = self.value(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fail(key, "not a whole number")
        return value

    def real(self, key: str) -> float:
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise self.fail(key, "not a number of at least 0")
        return float(value)

    def positive(self, key: str) -> int:
        if self.whole(key) == 0:
            raise self.fail(key, "is 0")
        return self.whole(key)


def _regions(table: _Table, flash_bytes: int) -> dict[str, Region]:
    rows = table.value("region")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise table.fail("region", "not a list of tables")
    regions: dict[str, Region] = {}
    end = 0
    for row in rows:
        one = _Table(table.file, "region.", row)
        region = Region(one.text("name"), one.whole("offset"), one.positive("size"))
        if region.offset < end or region.offset + region.size > flash_bytes:
            raise one.fail(region.name, "overlaps its neighbour or leaves the flash")
        if region.offset % 4096 or region.size % 4096:
            raise one.fail(region.name, "not on 4096-byte sectors")
        end = region.offset + region.size
        regions[region.name] = region
    missing = {"firmware", "blobs", "store"} - set(regions)
    if missing:
        raise table.fail("region", f"no region named {', '.join(sorted(missing))}")
    return regions


def _boot(table: _Table) -> Boot:
    early = table.real("early_ms") if "early_ms" in table.data else None
    return Boot(table.real("sourced_ms"), table.real("emulated_ms"), early)


def _xip(table: _Table) -> Xip:
    xip = Xip(
        table.positive("line_bytes"), table.whole("miss_cycles"), table.whole("cache_bytes"),
        table.positive("ways"), table.positive("fill_bytes"), table.whole("word_cycles"),
        table.whole("start_cycles"),
    )  # fmt: skip
    if xip.line_bytes % xip.fill_bytes:
        raise table.fail("fill_bytes", "does not divide line_bytes")
    if xip.cache_bytes < xip.line_bytes * xip.ways:
        raise table.fail("cache_bytes", "must hold a line in each way")
    return xip


def _supply(table: _Table) -> Supply:
    supply = Supply(table.real("von_v"), table.real("voff_v"), table.real("vmax_v"))
    if not supply.voff_v < supply.von_v <= supply.vmax_v:
        raise table.fail("von_v", "must lie above voff_v and not above vmax_v")
    return supply


def _fram(table: _Table) -> FramNvm:
    return FramNvm(
        table.whole("kind"),
        table.whole("size"),
        table.positive("hz"),
        table.whole("command_bytes"),
        table.real("chip_nj_per_byte"),
    )


def _flash(table: _Table) -> FlashNvm:
    return FlashNvm(
        table.whole("kind"),
        table.whole("size"),
        table.real("program_ms"),
        table.real("program_typical_ms"),
        table.real("erase_ms"),
        table.real("erase_typical_ms"),
        table.real("program_mw"),
        table.whole("erase_cycles"),
    )


def _cycles(table: _Table) -> dict[str, tuple[float, float, float]]:
    cycles: dict[str, tuple[float, float, float]] = {}
    for kind, row in table.data.items():
        numbers = isinstance(row, list) and len(row) == 3
        if not numbers or not all(isinstance(x, (int, float)) and x >= 0 for x in row):
            raise table.fail(kind, "not three numbers")
        cycles[kind] = (float(row[0]), float(row[1]), float(row[2]))
    return cycles


def _fast_cycles(table: _Table, core: str) -> dict[str, tuple[float, float, float]]:
    """[cycles.CORE]: the kernels of the board's core, if it has any of its own."""
    return _cycles(table.sub(core)) if core in table.data else {}


def _store(table: _Table) -> StoreCycles:
    return StoreCycles(
        table.real("crc_per_byte"),
        table.real("survey_op"),
        table.real("survey_tensor"),
        table.real("step"),
        table.real("resume"),
        table.real("early_step"),
        table.real("early_resume"),
        table.real("crc_live"),
    )
