"""The command line: exit codes, one-line errors, lazy verbs, boards and conversions that fail.

SECURITY H1.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from relume import __version__, cli
from relume.board.parse import parse_board
from relume.board.profile import board_names, load_board
from relume.cli import main
from relume.errors import BoardError

from tests.shared import ROOT
from tests.unit.tflite_nets import small_net

TOML = (ROOT / "boards" / "RPI_PICO" / "board.toml").read_text("utf-8")


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_net())
    return path


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert err.startswith("relume: ") and err.endswith("\n") and err.count("\n") == 1
    return err


def test_version_and_help_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"relume {__version__}\n"
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("convert", "check", "plan"))
    assert main(["check", "--help"]) == 0


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["check"], ["check", "x", "--nvm", "tape"], ["plan", "--nope"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: relume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["check", "absent.tflite"], "absent.tflite: No such file"),
        (["check", "NET", "--board", "TOASTER"], "unknown board TOASTER: one of ADAFRUIT"),
        (["check", "NET", "--cap", "big"], "capacitance 'big'"),
        (["check", "NET", "--von", "1", "--voff", "2"], "turn-on voltage 1 V must lie above"),
        (["plan", "NET", "--von", "9"], "takes at most 5.5 V"),
        (["plan", "NET", "--cap", "1uF"], "use at least"),
        (["plan", "NET", "-o", "/proc/none/x.rlm"], "cannot be written"),
    ],
)
def test_errors_are_one_line_and_end_with_1(
    net: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(net) if word == "NET" else word for word in arguments]) == 1
    assert text in _error(capsys)


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "absent.tflite", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130_and_a_bug_with_one_line(
    net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from relume.commands import check

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    def broken(_: object) -> int:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(check, "run", interrupted)
    assert main(["check", str(net)]) == 130
    monkeypatch.setattr(check, "run", broken)
    assert main(["check", str(net)]) == 1
    assert "internal error: ZeroDivisionError: two lines" in _error(capsys)


def test_a_verb_that_is_not_installed_affects_no_other(
    net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.VERBS, "levitate", "rise")
    assert main(["levitate"]) == 1
    assert "levitate: not part of this installation" in _error(capsys)
    assert main(["check", str(net), "--json"]) == 0


def test_only_the_verb_that_is_called_is_imported(net: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("relume.commands.")]:
        del sys.modules[name]
    assert main(["check", str(net), "--json"]) == 0
    loaded = {name for name in sys.modules if name.startswith("relume.commands.")}
    assert loaded == {"relume.commands.check"}


# ------------------------------------------------------------------- boards


def test_the_pico_is_known_with_its_regions_in_order() -> None:
    assert "RPI_PICO" in board_names()
    board = load_board("RPI_PICO")
    assert board.boot.ms == max(board.boot.sourced_ms, board.boot.emulated_ms)
    regions = list(board.regions.values())
    assert all(a.offset + a.size <= b.offset for a, b in itertools.pairwise(regions))
    assert board.flash is not None and board.flash.size == board.regions["store"].size


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("hz = 125_000_000", "", "clock.hz: missing"),
        ("hz = 125_000_000", 'hz = "fast"', "clock.hz: not a whole number"),
        ("active_mw = 82.5", "active_mw = -1", "energy.active_mw: not a number"),
        ("von_v = 5.0", "von_v = 1.0", "supply.von_v: must lie above"),
        ("offset = 0x070000", "offset = 0x060000", "overlaps its neighbour"),
        ("offset = 0x070000", "offset = 0x070010", "not on 4096-byte sectors"),
        ('name = "blobs"', 'name = "blob"', "no region named blobs"),
        ("CONV_2D = [", "CONV_2D = [1.0, ", "cycles.portable.CONV_2D: not three numbers"),
        ('core = "m0plus"', "core = 3", "core: not a text"),
        ('core = "m0plus"', 'core = "m7"', "core: m7: not one of portable, m0plus, m4"),
        ('tier = "firmware"', 'tier = "ours"', "tier: ours: not one of firmware"),
        ('image = "emulated"', 'image = "fine"', "tested.image: fine: not one of emulated"),
        ('image = "emulated"', "", "tested.image: missing"),
        ("active_mw", "aktive_mw = 1\nactive_mw", "energy.aktive_mw: unknown key"),
        ("size = 0x070000", "sice = 1\nsize = 0x070000", "region.sice: unknown key"),
        ("heap_bytes = 180_000", "heap_bytes = 280_000", "memory.heap_bytes: more than"),
        ("[tested]", '[estimates]\n"boot.nap" = "a guess"\n[tested]', "boot.nap: no such key"),
        ("board_id", "bord_id", "flashing.board_id: missing"),
        ('ways = ["uf2"]', 'ways = ["floppy"]', "flashing.ways: not a list of some of uf2"),
        ("[tested]", 'extends = "NOPE"\n[tested]', "extends: NOPE: there is no"),
        ("[tested]", 'drop = ["pins.led"]\n[tested]', "drop: pins.led: there is nothing to drop"),
        ("[clock]", "[clock", "board.toml: "),
        ("[energy]", "[energies]", "energy: missing"),
    ],
)
def test_a_bad_profile_names_file_and_key(old: str, new: str, text: str) -> None:
    assert old in TOML
    with pytest.raises(BoardError) as refusal:
        parse_board(TOML.replace(old, new, 1), "boards/X/board.toml")
    assert text in str(refusal.value) and "boards/X/board.toml" in str(refusal.value)


# ------------------------------------------------------------------ convert


def test_convert_without_tensorflow_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    model, samples = tmp_path / "net.keras", tmp_path / "x.npy"
    model.write_bytes(b"PK")
    np.save(samples, np.zeros((4, 8, 8, 1), np.float32))
    arguments = ["convert", str(model), "--samples", str(samples), "-o", str(tmp_path / "o")]
    assert main(arguments) == 1
    assert "pip install relume[convert]" in _error(capsys)
    assert not (tmp_path / "o").exists()


def test_convert_names_bad_samples_and_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, samples, labels = (tmp_path / name for name in ("n.keras", "x.npy", "y.npy"))
    model.write_bytes(b"PK")
    samples.write_bytes(b"no array")
    arguments = ["convert", str(model), "--samples", str(samples), "--labels", str(labels)]
    assert main(["convert", "absent.keras", "--samples", str(samples)]) == 1
    assert "absent.keras: No such file" in _error(capsys)
    assert main(arguments) == 1
    assert "x.npy: samples: not a .npy array" in _error(capsys)
    np.save(samples, np.zeros((4, 2), np.float32))
    np.save(labels, np.zeros(3, np.int64))
    assert main(arguments) == 1
    assert "y.npy: labels of shape [3]" in _error(capsys)
    np.save(samples, np.array([object()], dtype=object), allow_pickle=True)
    assert main(arguments) == 1
    assert "x.npy: samples: not a .npy array" in _error(capsys)
