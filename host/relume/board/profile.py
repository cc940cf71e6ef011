"""Board profiles: boards/NAME/board.toml as checked dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from relume.errors import BoardError

NVM_KINDS = {"fram": 1, "flash": 2, "file": 3, "fram-i2c": 4}
TIERS = {
    "firmware": "our firmware",
    "native": "stock MicroPython, native module",
    "python": "engine in Python",
}
STATES = {
    "emulated": "emulated",
    "built": "built only",
    "hand": "by hand",
    "untested": "untested",
}
TESTED = ("image", "kernels", "checkpoints", "flashing")
ACCESS = 300.0  # cycles of one access to FRAM from C: chip select, WREN, call overhead
WAYS = ("uf2", "nrfutil", "esptool", "bossac", "nrfjprog")


@dataclass(frozen=True)
class Region:
    """A part of the flash: offset and size in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Gap:
    """Flash that MicroPython's own firmware leaves unused, [first, end) in bytes: behind its
    image, before its filesystem. Programs read it in place."""

    first: int
    end: int


@dataclass(frozen=True)
class Boot:
    """Milliseconds from power-on to the first line of user code, sourced and emulated.

    early_ms: from power-on until a pending inference goes on in C, before the interpreter; None
    where the firmware cannot. early_check: cycles of the model's check that these contain, since
    it goes on beside the crystal's start.
    """

    sourced_ms: float
    emulated_ms: float
    early_ms: float | None = None
    early_check: int = 0

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

    active_mw: float  # the core executes
    idle_mw: float  # it waits for an interrupt, all clocks running
    sleep_mw: float  # it waits with all clocks off but those that wake it


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
class FramI2cNvm:
    """FRAM on I2C. size: bytes; hz: bus speed; address: the chip's, 7 bits.

    access_bits: bit times of an access beside its data. rise_ns: what the rise of SCL adds to each
    bit. chip_mw, bus_mw: drawn while the bus is busy, by the chip and by the pull-ups.
    """

    kind: int
    size: int
    hz: int
    address: int
    access_bits: int
    rise_ns: float
    chip_mw: float
    bus_mw: float

    @property
    def bit_s(self) -> float:
        """Seconds of a bit on the bus."""
        return 1 / self.hz + self.rise_ns * 1e-9

    def seconds(self, size: float, accesses: float) -> float:
        """The bus is busy for so long with `size` bytes of nine bits in `accesses` transfers."""
        return (9.0 * size + self.access_bits * accesses) * self.bit_s


@dataclass(frozen=True)
class FlashNvm:
    """Raw flash region. Times per 256-byte page and 4096-byte sector, worst and typical.

    erase_cycles: erases that each sector endures. ported: a port of relume writes it; else the
    figures wait for one. word_writes: how often a word may be written between two erases, 0: as
    often as bits are left to clear. device: what a program on stock firmware names as its NVM.
    """

    kind: int
    size: int
    program_ms: float
    program_typical_ms: float
    erase_ms: float
    erase_typical_ms: float
    program_mw: float
    erase_cycles: int
    ported: bool = True
    word_writes: int = 0
    device: str = ""


@dataclass(frozen=True)
class PowerFail:
    """What warns of a brown-out: its name, lowest and highest threshold in volt."""

    kind: str
    lowest_v: float
    highest_v: float


@dataclass(frozen=True)
class Flashing:
    """How firmware gets onto the board: some of WAYS, the first is the usual one.

    enter: how a person starts the loader. uf2: board_id (INFO_UF2.TXT begins its Board-ID with
    it), family, base (address of flash byte 0), first and end (the flash that is not the
    loader's). Others: chip, offset of the image in flash. download: where firmware that is not
    ours comes from.
    """

    ways: tuple[str, ...]
    enter: str
    board_id: str = ""
    family: int = 0
    base: int = 0
    first: int = 0
    end: int = 0
    chip: str = ""
    offset: int = 0
    download: str = ""


@dataclass(frozen=True)
class Measured:
    """Whose figures a corrected profile holds (relume calibrate).

    where: "board" or "emulated board". typical: rows, as "m0plus.CONV_2D", that are what was
    measured and a margin, not the worst case over data and shapes.
    """

    date: str
    firmware: str
    where: str
    typical: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line for a person."""
        text = f"corrected by measurements of {self.date} on the {self.where}, {self.firmware}"
        if self.typical:
            text += f"; typical, no worst case: {', '.join(self.typical)}"
        return text


@dataclass(frozen=True)
class StoreCycles:
    """Core cycles of the scheduler's own work, worst case.

    crc_per_byte: CRC-32 of one byte by the core; crc_live: of a live byte by what the port has for
    it, 0: the core. survey_op, survey_tensor: finding out what is live, a commit or a restore.
    step: a segment's fixed part, interpreter and event frame. resume: from the first line of user
    code to the first tile, without what grows with the model. early_step, early_resume: the same
    before the interpreter starts. access: one access to FRAM, beside its bytes.
    """

    crc_per_byte: float
    survey_op: float
    survey_tensor: float
    step: float
    resume: float
    early_step: float = 0.0
    early_resume: float = 0.0
    crc_live: float = 0.0
    access: float = ACCESS

    @property
    def live_crc(self) -> float:
        """Cycles of a live byte's CRC-32 in a commit and a restore."""
        return self.crc_live or self.crc_per_byte


@dataclass(frozen=True)
class BoardProfile:
    """One board, from boards/NAME/board.toml.

    hz, peripheral_hz: clocks of the core and of SPI. cycles: kind -> (per work, per output, per
    tile) of the portable kernels; fast_cycles: core -> the same of its own. tier: one of TIERS.
    regions: of our firmware's flash; none elsewhere, there models are files, file_bytes at most,
    which are read into RAM. gap: where stock firmware reads one in place. native: architecture of
    the native module. tested: one of STATES for each of TESTED. estimates: key -> why this figure,
    where no source gives one. measured: of a profile that relume calibrate has written.
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
    fast_cycles: Mapping[str, Mapping[str, tuple[float, float, float]]] = field(
        default_factory=dict
    )
    tier: str = "firmware"
    native: str = ""
    file_bytes: int = 0
    flashing: Flashing | None = None
    power_fail: PowerFail | None = None
    tested: Mapping[str, str] = field(default_factory=dict)
    estimates: Mapping[str, str] = field(default_factory=dict)
    measured: Measured | None = None
    fram_i2c: FramI2cNvm | None = None
    gap: Gap | None = None

    @property
    def blob_in_ram(self) -> bool:
        """Models are files, read into RAM."""
        return self.tier != "firmware"

    @property
    def model_bytes(self) -> int:
        """Bytes of flash for models: the blobs region, or what the file system has."""
        return self.regions["blobs"].size if "blobs" in self.regions else self.file_bytes

    def nvm_size(self, nvm: str) -> int:
        """Bytes of an NVM kind (one of NVM_KINDS) that inferences may use.

        All but the last eighth, in whole sectors or pages, which is for keys and values (SPEC 4).
        Errors: BoardError.
        """
        if nvm not in NVM_KINDS:
            raise BoardError(f"{self.name}: unknown NVM {nvm}: one of {', '.join(NVM_KINDS)}")
        parts = {"flash": self.flash, "fram-i2c": self.fram_i2c}
        part = parts.get(nvm, self.fram)
        if part is None:
            raise BoardError(f"{self.name}: this board has no {nvm}")
        if isinstance(part, FlashNvm) and not part.ported:
            raise BoardError(
                f"{self.name}: relume does not write this board's flash yet: use --nvm fram"
            )
        grain = 4096 if nvm == "flash" else 256
        return part.size - part.size // 8 // grain * grain


def board_names() -> list[str]:
    """Folders under boards/ that hold a board.toml, sorted."""
    root = resources.files("relume_boards")
    return sorted(entry.name for entry in root.iterdir() if (entry / "board.toml").is_file())


@cache
def load_board(name: str) -> BoardProfile:
    """Reads a board's profile: a folder under boards/, or a file of one's own that ends in .toml.

    Errors: BoardError naming the known boards, or file and key.
    """
    from relume.board.inherit import file_name, read_tables
    from relume.board.parse import parse_board, profile_of

    if name.endswith(".toml"):
        try:
            return parse_board(Path(name).read_text("utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise BoardError(f"{name}: {reason}") from error
    known = board_names()
    if name not in known:
        raise BoardError(f"unknown board {name}: one of {', '.join(known)}")
    tables = read_tables(resources.files("relume_boards"), name)
    return profile_of(tables, f"boards/{file_name(name)}")
