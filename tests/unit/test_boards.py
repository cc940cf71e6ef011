"""boards/: every figure has a source or says that it is an estimate; what boards take from others;
relume boards."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from relume.blob.layouts.select import CORES
from relume.blob.reader import read_blob
from relume.board.inherit import OWN, merge, read_tables
from relume.board.parse import parse_board
from relume.board.profile import STATES, TESTED, TIERS, board_names, load_board
from relume.cli import main
from relume.errors import BoardError
from relume.link.transport import _board_of
from relume.link.uf2 import read_image

from tests.shared import ROOT
from tests.unit.tflite_nets import small_net

BOARDS = ROOT / "boards"
FILES = sorted([*BOARDS.glob("*/board.toml"), *BOARDS.glob("families/*.toml")])
SOURCED = ("clock", "memory", "boot", "energy", "supply", "xip", "nvm", "power_fail", "gap")
PLAIN = ("kind",)  # numbers that are no figures


@pytest.mark.parametrize("name", board_names())
def test_a_board_is_called_as_its_folder_and_says_how_it_was_tested(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert set(board.tested) == set(TESTED) and set(board.tested.values()) <= set(STATES)
    assert board.flashing is not None


def figures(path: Path) -> list[tuple[str, str]]:
    """(dotted key, line) of the figures that need a source."""
    found, section = [], ""
    for line in path.read_text("utf-8").splitlines():
        head = re.match(r"\[(.+?)\]", line)
        section = head[1] if head else section
        number = re.match(r"(\w+) = -?[0-9]", line)
        if number and section.split(".")[0] in SOURCED and number[1] not in PLAIN:
            found.append((f"{section}.{number[1]}", line))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BOARDS)))
def test_every_figure_names_its_source_or_is_called_an_estimate(path: Path) -> None:
    estimates = tomllib.loads(path.read_text("utf-8")).get("estimates", {})
    for key, line in figures(path):
        assert "# " in line or key in estimates, f"{path.parent.name}: {line}"


def folder(path: Path, **boards: str) -> Path:
    for name, text in boards.items():
        (path / name).mkdir()
        (path / name / "board.toml").write_text(text)
    return path


def test_the_later_wins_the_board_over_all_and_what_is_its_own_is_not_taken(
    tmp_path: Path,
) -> None:
    root = folder(
        tmp_path,
        A='name = "A"\n[tested]\nx = 1\n[t]\na = 1\nb = 1\nc = 1\nd = [1, 2]\n',
        B='extends = "A"\ndrop = ["t.c"]\n[t]\nb = 2\nd = [3]\n',
    )
    (root / "families").mkdir()
    (root / "families" / "f.toml").write_text("[t]\nb = 9\ne = 9\n")
    assert read_tables(root, "B") == {"t": {"a": 1, "b": 2, "d": [3]}}
    both: dict[str, Any] = {"extends": ["A", "families/f"], "t": {"e": 1}}
    assert merge(root, both, "x")["t"] == {"a": 1, "b": 9, "c": 1, "d": [1, 2], "e": 1}
    assert read_tables(root, "A")["t"]["c"] == 1  # dropped in B only
    assert {"name", "title", "tested"} < set(OWN)


def test_boards_in_a_circle_and_a_bad_extends_are_one_line(tmp_path: Path) -> None:
    root = folder(tmp_path, A='extends = "B"\n', B='extends = "A"\n', C="extends = 3\n")
    with pytest.raises(BoardError, match=r"extends: [AB]: boards extend each other in a circle"):
        read_tables(root, "A")
    with pytest.raises(BoardError, match=r"boards/C/board\.toml: extends: not a text"):
        read_tables(root, "C")


def test_a_board_does_not_inherit_how_another_was_tested() -> None:
    text = 'name = "X"\ntitle = "x"\nextends = "RPI_PICO"\n'
    with pytest.raises(BoardError, match=r"boards/X/board\.toml: tested: missing"):
        parse_board(text, "boards/X/board.toml")
    states = "".join(f'{what} = "untested"\n' for what in TESTED)
    board = parse_board(f"{text}[tested]\n{states}", "boards/X/board.toml")
    assert board.cycles == load_board("RPI_PICO").cycles and board.tested["image"] == "untested"


# ---------------------------------------------------------------- firmware


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "firmware" / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "there", "absent"),
    [
        ("RPI_PICO", {"VSYS_ADC 29", "VBUS_SENSE 24"}, {"VSYS_ENABLE"}),
        ("RPI_PICO_W", {"VSYS_ADC 29", "VSYS_ENABLE 25"}, {"VBUS_SENSE"}),
        ("ADAFRUIT_FEATHER_RP2040", {"FRAM_SCK 18"}, {"VSYS_ADC", "VSYS_ENABLE", "VBUS_SENSE"}),
    ],
)
def test_the_firmware_gets_the_pins_that_a_board_has(
    name: str, there: set[str], absent: set[str]
) -> None:
    board = read_tables(BOARDS, name)
    regions = tool("regions")
    regions.check_regions(Path(name), board)
    text = regions.header(board)
    assert f'RL_BOARD_NAME "{name}"' in text
    assert all(f"RL_PIN_{pin}\n" in text for pin in there)
    assert not any(f"RL_PIN_{pin}" in text for pin in absent)


@pytest.mark.parametrize("name", [n for n in board_names() if load_board(n).tier == "firmware"])
def test_a_built_image_is_of_its_board_s_layout(name: str) -> None:
    path = ROOT / "build" / "firmware" / name / "firmware.uf2"
    if not path.is_file():
        pytest.skip(f"make firmware BOARD={name} has not been run")
    assert read_image(path, load_board(name)).first == 0


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("Raspberry Pi Pico with RP2040", "RPI_PICO"),
        ("Raspberry Pi Pico W with RP2040", "RPI_PICO_W"),
        ("Adafruit Feather RP2040 with RP2040", "ADAFRUIT_FEATHER_RP2040"),
        ("Some Pico clone with RP2040", "RPI_PICO"),
        ("pyboard with STM32F405RG", "BOARD"),
    ],
)
def test_a_running_board_is_told_apart_by_what_it_calls_itself(machine: str, name: str) -> None:
    assert _board_of(machine) == name


# ------------------------------------------------------------ relume boards


def test_the_table_has_every_board_its_tier_and_its_states(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["boards"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    for name in board_names():
        board = load_board(name)
        assert f" {board.tier} " in rows[name] and f" {board.hz / 1e6:g} " in rows[name]
        states = [STATES[board.tested[what]] for what in TESTED]
        assert re.search(r"\s+".join(states) + r"\s*$", rows[name])
    assert all(text in out for text in TIERS.values())


def test_json_and_a_single_board_tell_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "--json"]) == 0
    boards = json.loads(capsys.readouterr().out)
    assert [board["name"] for board in boards] == board_names()
    feather = next(board for board in boards if board["name"] == "ADAFRUIT_FEATHER_RP2040")
    assert feather["estimates"] and feather["tested"]["image"] == "emulated"
    assert main(["boards", "ADAFRUIT_FEATHER_RP2040"]) == 0
    out = capsys.readouterr().out
    assert "emulated" in out and all(key in out for key in feather["estimates"])
    assert main(["boards", "NOPE"]) == 1
    assert "unknown board NOPE" in capsys.readouterr().err


def test_the_document_of_the_boards_has_every_board_and_state() -> None:
    text = (ROOT / "docs" / "BOARDS.md").read_text("utf-8")
    for name in board_names():
        board = load_board(name)
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
        assert f"| {board.tier} |" in row
        assert " | ".join(STATES[board.tested[what]] for what in TESTED) in row


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("PCA10056", "m4"),
        ("RPI_PICO2", "m4"),
        ("ESP32_GENERIC", "portable"),
        ("ESP32_GENERIC_C3", "portable"),
        ("RPI_PICO_W", "m0plus"),
    ],
)
def test_a_model_is_planned_for_a_board_and_its_core(
    name: str, core: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, blob = tmp_path / "small.tflite", tmp_path / "small.rlm"
    net.write_bytes(small_net())
    arguments = ["plan", str(net), "--board", name, "-o", str(blob), "--json"]
    assert main(arguments) == 0
    facts = json.loads(capsys.readouterr().out)
    made = read_blob(blob)
    assert (made.board, facts["board"]) == (name, name)
    assert made.core == CORES[core]
    in_ram = facts["blob_bytes"] if load_board(name).blob_in_ram else 0
    assert facts["ram_bytes"] == facts["sram_bytes"] + in_ram
    cap = f"{facts['smallest_cap_f'] * 1e6:.0f}uF"
    assert main([*arguments, "--cap", cap]) == 0
    capsys.readouterr()
    assert main([*arguments, "--cap", "1uF"]) == 1
    assert "use at least" in capsys.readouterr().err
