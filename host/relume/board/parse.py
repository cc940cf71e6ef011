"""board.toml to BoardProfile: every mistake is one line that names file and key."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from relume.board.inherit import merge, parse
from relume.board.profile import (
    ACCESS,
    STATES,
    TESTED,
    TIERS,
    WAYS,
    BoardProfile,
    Boot,
    Energy,
    Flashing,
    FlashNvm,
    FramI2cNvm,
    FramNvm,
    Gap,
    Measured,
    PowerFail,
    Region,
    StoreCycles,
    Supply,
    Xip,
)
from relume.board.table import Table

FAST = ("m0plus", "m4")
CORES = ("portable", *FAST)

Rows = dict[str, tuple[float, float, float]]


def parse_board(text: str, file: str) -> BoardProfile:
    """A profile from TOML text; `file` names it in errors. Errors: BoardError."""
    return profile_of(merge(resources.files("relume_boards"), parse(text, file), file), file)


def profile_of(tables: Mapping[str, Any], file: str) -> BoardProfile:
    """A profile from what a board and all that it extends say. Errors: BoardError."""
    table = Table(file, "", tables)
    memory, clock = table.sub("memory"), table.sub("clock")
    tier = table.one_of("tier", TIERS)
    nvm, cycles = table.sub("nvm"), table.sub("cycles")
    energy, pins = table.sub("energy"), table.sub("pins")
    fram, flash, i2c = (nvm.maybe(kind) for kind in ("fram", "flash", "fram_i2c"))
    warning, gap = table.maybe("power_fail"), table.maybe("gap")
    fast = {name: _cycles(rows) for name in FAST if (rows := cycles.maybe(name))}
    profile = BoardProfile(
        name=table.text("name"),
        title=table.text("title"),
        mcu=table.text("mcu"),
        core=table.one_of("core", CORES),
        hz=clock.positive("hz"),
        peripheral_hz=clock.positive("peripheral_hz"),
        flash_bytes=memory.whole("flash_bytes"),
        sram_bytes=memory.whole("sram_bytes"),
        heap_bytes=_heap(memory),
        regions=_regions(table, memory.whole("flash_bytes")) if tier == "firmware" else {},
        boot=_boot(table.sub("boot")),
        xip=_xip(table.sub("xip")),
        energy=Energy(energy.real("active_mw"), energy.real("idle_mw"), energy.real("sleep_mw")),
        supply=_supply(table.sub("supply")),
        pins={key: pins.whole(key) for key in pins.data},
        fram=_fram(fram) if fram else None,
        flash=_flash(flash) if flash else None,
        cycles=_cycles(cycles.sub("portable")),
        store=_store(cycles.sub("store")),
        fast_cycles=fast,
        tier=tier,
        native=table.text("native") if tier == "native" else "",
        file_bytes=0 if tier == "firmware" else memory.positive("file_bytes"),
        flashing=_flashing(table.sub("flashing")),
        power_fail=_power_fail(warning) if warning else None,
        tested=_tested(table.sub("tested")),
        estimates=_estimates(table),
        measured=_measured(table.maybe("measured"), cycles),
        fram_i2c=_fram_i2c(i2c) if i2c else None,
        gap=_gap(gap, memory.whole("flash_bytes")) if gap else None,
    )
    table.all_read()
    return profile


def _heap(memory: Table) -> int:
    heap = memory.whole("heap_bytes")
    if heap > memory.whole("sram_bytes"):
        raise memory.fail("heap_bytes", "more than sram_bytes")
    return heap


def _regions(table: Table, flash_bytes: int) -> dict[str, Region]:
    regions: dict[str, Region] = {}
    end = 0
    for one in table.rows("region"):
        region = Region(one.text("name"), one.whole("offset"), one.positive("size"))
        if region.offset < end or region.offset + region.size > flash_bytes:
            raise one.fail(region.name, "overlaps its neighbour or leaves the flash")
        if region.offset % 4096 or region.size % 4096:
            raise one.fail(region.name, "not on 4096-byte sectors")
        one.all_read()
        end = region.offset + region.size
        regions[region.name] = region
    missing = {"firmware", "blobs", "store"} - set(regions)
    if missing:
        raise table.fail("region", f"no region named {', '.join(sorted(missing))}")
    return regions


def _gap(table: Table, flash_bytes: int) -> Gap:
    gap = Gap(table.positive("first"), table.positive("end"))
    if gap.first % 4096 or gap.end % 4096:
        raise table.fail("first", "first and end are not on 4096-byte sectors")
    if not gap.first < gap.end <= flash_bytes:
        raise table.fail("end", "not behind first, or outside the flash")
    return gap


def _boot(table: Table) -> Boot:
    sourced, emulated = table.real("sourced_ms"), table.real("emulated_ms")
    if "early_ms" not in table.data:
        return Boot(sourced, emulated)
    return Boot(sourced, emulated, table.real("early_ms"), table.whole("early_check"))


def _xip(table: Table) -> Xip:
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


def _supply(table: Table) -> Supply:
    supply = Supply(table.real("von_v"), table.real("voff_v"), table.real("vmax_v"))
    if not supply.voff_v < supply.von_v <= supply.vmax_v:
        raise table.fail("von_v", "must lie above voff_v and not above vmax_v")
    return supply


def _power_fail(table: Table) -> PowerFail:
    warning = PowerFail(table.text("kind"), table.real("lowest_v"), table.real("highest_v"))
    if warning.lowest_v > warning.highest_v:
        raise table.fail("lowest_v", "above highest_v")
    return warning


def _fram(table: Table) -> FramNvm:
    return FramNvm(
        table.whole("kind"),
        table.whole("size"),
        table.positive("hz"),
        table.whole("command_bytes"),
        table.real("chip_nj_per_byte"),
    )


def _fram_i2c(table: Table) -> FramI2cNvm:
    return FramI2cNvm(
        table.whole("kind"),
        table.positive("size"),
        table.positive("hz"),
        table.whole("address"),
        table.positive("access_bits"),
        table.real("rise_ns"),
        table.real("chip_mw"),
        table.real("bus_mw"),
    )


def _flash(table: Table) -> FlashNvm:
    return FlashNvm(
        table.whole("kind"),
        table.whole("size"),
        table.real("program_ms"),
        table.real("program_typical_ms"),
        table.real("erase_ms"),
        table.real("erase_typical_ms"),
        table.real("program_mw"),
        table.whole("erase_cycles"),
        table.yes("ported") if "ported" in table.data else True,
        table.whole("word_writes") if "word_writes" in table.data else 0,
        table.text("device") if "device" in table.data else "",
    )


def _flashing(table: Table) -> Flashing:
    ways = table.value("ways")
    if not isinstance(ways, list) or not ways or not set(map(str, ways)) <= set(WAYS):
        raise table.fail("ways", f"not a list of some of {', '.join(WAYS)}")
    uf2 = "uf2" in ways
    return Flashing(
        tuple(ways),
        table.text("enter"),
        board_id=table.text("board_id") if uf2 else "",
        family=table.whole("family") if uf2 else 0,
        base=table.whole("base") if uf2 else 0,
        first=table.whole("first") if uf2 else 0,
        end=table.positive("end") if uf2 else 0,
        chip=table.text("chip") if "chip" in table.data else "",
        offset=table.whole("offset") if "offset" in table.data else 0,
        download=table.text("download") if "download" in table.data else "",
    )


def _cycles(table: Table) -> Rows:
    cycles: Rows = {}
    for kind in table.data:
        row = table.value(kind)
        numbers = isinstance(row, list) and len(row) == 3
        if not numbers or not all(isinstance(x, (int, float)) and x >= 0 for x in row):
            raise table.fail(kind, "not three numbers")
        cycles[kind] = (float(row[0]), float(row[1]), float(row[2]))
    return cycles


def _store(table: Table) -> StoreCycles:
    return StoreCycles(
        table.real("crc_per_byte"),
        table.real("survey_op"),
        table.real("survey_tensor"),
        table.real("step"),
        table.real("resume"),
        table.real("early_step"),
        table.real("early_resume"),
        table.real("crc_live"),
        table.real("access") if "access" in table.data else ACCESS,
    )


def _tested(table: Table) -> dict[str, str]:
    return {what: table.one_of(what, STATES) for what in TESTED}


def _measured(table: Table | None, cycles: Table) -> Measured | None:
    """[measured], which relume calibrate writes. Rows that are typical must be there."""
    if table is None:
        return None
    typical = table.value("typical")
    if not isinstance(typical, list) or not all(isinstance(one, str) for one in typical):
        raise table.fail("typical", "not a list of texts")
    for one in typical:
        core, _, kind = one.partition(".")
        rows = cycles.maybe(core)
        if rows is None or kind not in rows.data:
            raise table.fail("typical", f"{one}: no such row in this board")
    return Measured(
        table.text("date"), table.text("firmware"), table.text("where"), tuple(typical)
    )


def _estimates(table: Table) -> dict[str, str]:
    """[estimates]: "energy.active_mw" = "why". Each key must be there."""
    listed = table.maybe("estimates")
    if listed is None:
        return {}
    found = {}
    for path in listed.data:
        place: Any = table.data
        for part in path.split("."):
            if not isinstance(place, dict) or part not in place:
                raise listed.fail(path, "no such key in this board")
            place = place[part]
        found[path] = listed.text(path)
    return found
