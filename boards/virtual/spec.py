"""`emu:BOARD[?key=value&...]`: an emulated board from one line of text."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import unquote

from relume.board.images import default_firmware
from relume.board.profile import BoardProfile, board_names, load_board
from relume.errors import BoardError, PlanError, RelumeError
from relume.power.capacitor import parse_capacitance, parse_voltage
from relume.power.trace import constant, load_trace, parse_power
from relume_boards.virtual.emulated import EmulatedBoard
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.sensors import read_world
from relume_boards.virtual.supply import Harvest, Supply

EMULATED = ("RPI_PICO",)


@dataclass(frozen=True)
class EmuSpec:
    """What to put on the bench; texts as written, empty = not given.

    cap, von, voff, power or trace with scale: the supply; none of cap, power and trace: external
    power for good. plugged=1: starts on external power. seed: SRAM noise and torn operations.
    fram: bytes of the FRAM chip. firmware: a UF2. state: folder where flash and FRAM are kept.
    sound, motion, celsius: what the sensors feel (sensors.py). tcp, pty, keep_open: the console.
    xip=0, hold=0, pace=0 switch these models off;
    xip=traced follows every instruction: exact, and some twenty times as slow.
    """

    board: str = "RPI_PICO"
    cap: str = ""
    von: str = ""
    voff: str = ""
    power: str = ""
    trace: str = ""
    scale: str = ""
    plugged: str = ""
    seed: str = ""
    fram: str = ""
    firmware: str = ""
    sound: str = ""
    motion: str = ""
    celsius: str = ""
    state: str = ""
    tcp: str = ""
    pty: str = ""
    keep_open: str = ""
    xip: str = ""
    hold: str = ""
    pace: str = ""


def parse_spec(text: str) -> EmuSpec:
    """The parts of an `emu:` port. Errors: BoardError naming the key and the known ones."""
    if not text.startswith("emu:"):
        raise BoardError(f"{text}: an emulated board is written emu:RPI_PICO?cap=1mF&power=10mW")
    board, _, query = text[4:].partition("?")
    known = [field.name for field in fields(EmuSpec) if field.name != "board"]
    found: dict[str, str] = {"board": board}
    for part in filter(None, query.split("&")):
        key, equals, value = part.partition("=")
        if key not in known:
            raise BoardError(f"{text}: unknown key {key!r}; known: {', '.join(known)}")
        if not equals or not value:
            raise BoardError(f"{text}: {key} needs a value, as in {key}=...")
        found[key] = unquote(value)
    return EmuSpec(**found)


def open_emulated(spec: str | EmuSpec) -> EmulatedBoard:
    """A started board from `emu:...` or its parts. Errors: RelumeError, one line."""
    parts = parse_spec(spec) if isinstance(spec, str) else spec
    board = build(parts)
    return board.start()


def build(spec: EmuSpec) -> EmulatedBoard:
    """The board, not yet started."""
    if spec.board not in EMULATED:
        known = ", ".join(EMULATED)
        known_board = spec.board in board_names()
        what = "no emulation for this board" if known_board else "no such board"
        raise BoardError(f"emu:{spec.board}: {what}; there is {known}")
    profile = load_board(spec.board)
    state = Path(spec.state) if spec.state else None
    pico = VirtualPico(
        profile,
        _firmware(spec),
        seed=_number(spec, "seed", 1),
        supply=make_supply(spec, profile),
        plugged=_flag(spec, "plugged", False),
        fram_size=_fram_size(spec),
        flash=_kept(state, "flash.bin"),
        fram=_kept(state, "fram.bin"),
        fram_i2c=_kept(state, "fram_i2c.bin"),
        xip=spec.xip == "traced" or _flag(spec, "xip", True),
        traced=spec.xip == "traced",
        hold=_flag(spec, "hold", True),
        world=read_world(spec.sound, spec.motion, spec.celsius),
    )
    return EmulatedBoard(
        pico,
        tcp_port=_number(spec, "tcp", 0),
        pty=_flag(spec, "pty", False),
        keep_open=_flag(spec, "keep_open", False),
        pace=_flag(spec, "pace", True),
        state=state,
    )


def make_supply(spec: EmuSpec, board: BoardProfile) -> Supply | None:
    """The capacitor and its harvest; None without cap, power and trace."""
    if not (spec.cap or spec.power or spec.trace):
        for key in ("von", "voff", "scale"):
            if getattr(spec, key):
                raise BoardError(f"emu:{spec.board}: {key} means nothing without cap, add cap=1mF")
        return None
    if not spec.cap:
        raise BoardError(f"emu:{spec.board}: a harvest needs a capacitor, add cap=1mF")
    if not (spec.power or spec.trace):
        raise BoardError(f"emu:{spec.board}: cap needs a harvest, add power=10mW or trace=FILE")
    if spec.power and spec.trace:
        raise BoardError(f"emu:{spec.board}: power and trace exclude each other")
    try:
        cap_f = parse_capacitance(spec.cap)
        von = parse_voltage(spec.von) if spec.von else board.supply.von_v
        voff = parse_voltage(spec.voff) if spec.voff else board.supply.voff_v
        supply = Supply(cap_f, von, voff, max(von, board.supply.vmax_v), _harvest(spec))
    except (PlanError, ValueError) as error:
        raise BoardError(f"emu:{spec.board}: {error}") from error
    return supply


def _harvest(spec: EmuSpec) -> Harvest:
    scale = _scale(spec)
    if spec.power:
        return constant(parse_power(spec.power)).scaled(scale)
    return load_trace(spec.trace, scale)


def _scale(spec: EmuSpec) -> float:
    try:
        return float(spec.scale) if spec.scale else 1.0
    except ValueError:
        raise BoardError(f"emu:{spec.board}: scale {spec.scale!r} is not a number") from None


def _number(spec: EmuSpec, key: str, default: int) -> int:
    text = getattr(spec, key)
    if not text:
        return default
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise BoardError(f"emu:{spec.board}: {key} {text!r} is not a whole number of 0 or more")
    return value


def _flag(spec: EmuSpec, key: str, default: bool) -> bool:
    text = getattr(spec, key)
    if text not in ("", "0", "1"):
        raise BoardError(f"emu:{spec.board}: {key} is 0 or 1, not {text!r}")
    return default if not text else text == "1"


def _fram_size(spec: EmuSpec) -> int | None:
    size = _number(spec, "fram", 0)
    if spec.fram and (size < 256 or size & (size - 1) or size > 1 << 24):
        raise BoardError(f"emu:{spec.board}: fram {spec.fram} is not a power of two, 256 to 16M")
    return size or None


def _firmware(spec: EmuSpec) -> bytes:
    path = Path(spec.firmware) if spec.firmware else default_firmware(spec.board)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if spec.firmware:
            raise BoardError(f"{path}: no such firmware image") from None
        raise BoardError(f"{path}: no firmware image yet; build it with: make firmware") from None
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror}") from error


def _kept(state: Path | None, name: str) -> bytes | None:
    path = state / name if state else None
    if path is None or not path.exists():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise RelumeError(f"{path}: {error.strerror}") from error
