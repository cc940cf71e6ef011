"""relume check --board all: every board a line, with bytes, capacitor and what fails first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from relume.board.profile import board_names, load_board
from relume.cli import main

from tests.shared import model_file
from tests.unit.tflite_nets import add_op, changed, small_net


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_net())
    return path


def places(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    document = json.loads(capsys.readouterr().out)
    return {place["board"]: place for place in document["boards"]}


def test_every_board_has_its_bytes_and_a_capacitor_that_check_alone_confirms(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(net), "--board", "all", "--json"]) == 0
    found = places(capsys)
    assert list(found) == board_names()
    for name, place in found.items():
        assert place["fits"] and place["problems"] == [] and place["charges"] >= 1, name
        for part in ("flash", "sram", "store"):
            assert 0 < place[part]["need"] <= place[part]["room"]
        assert place["sram"]["room"] == load_board(name).heap_bytes
        assert main(["check", str(net), "--board", name, "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert alone["smallest_cap_f"] == place["smallest_cap_f"]
        assert alone["store"]["room"] == place["store"]["room"]


def test_a_model_in_ram_counts_as_sram(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(net), "--board", "all", "--json"]) == 0
    found = places(capsys)
    for name, place in found.items():
        more = place["sram"]["need"] - place["arena_bytes"]
        in_ram = load_board(name).tier != "firmware"
        assert (more >= place["flash"]["need"]) == in_ram, name


def test_a_capacitor_that_is_too_small_for_some_names_what_would_do(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(net), "--board", "all", "--cap", "470uF", "--json"]) == 0
    found = places(capsys)
    assert found["RPI_PICO"]["fits"] and not found["ESP32_GENERIC"]["fits"]
    assert "use at least" in found["ESP32_GENERIC"]["problems"][0]
    assert found["ESP32_GENERIC"]["sram"] is not None
    assert main(["check", str(net), "--board", "all", "--cap", "470uF"]) == 0
    out = capsys.readouterr().out
    assert "no ESP32_GENERIC: small: " in out and "verdict fits " in out
    assert main(["check", str(net), "--board", "all", "--cap", "1uF", "--json"]) == 1
    assert not any(place["fits"] for place in places(capsys).values())


def test_an_unsupported_op_is_named_first_on_every_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(changed(small_net(), lambda model: add_op(model, "COS")))
    assert main(["check", str(path), "--board", "all", "--json"]) == 1
    for place in places(capsys).values():
        assert place["problems"][0].startswith("op 4, layer extra, COS: ")
        assert place["flash"] is None and place["smallest_cap_f"] is None


def test_an_nvm_that_a_board_has_not_and_a_voltage_that_it_does_not_take_are_its_problem(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(net), "--board", "all", "--nvm", "flash", "--json"]) == 0
    found = places(capsys)
    assert found["RPI_PICO"]["fits"]
    feather = found["ADAFRUIT_FEATHER_NRF52840"]["problems"][0]
    assert "does not write this board's flash yet" in feather
    for name in ("PCA10056", "ARDUINO_NANO_33_BLE_SENSE", "SEEED_XIAO_NRF52"):
        assert found[name]["fits"], found[name]["problems"]
    assert "has no flash" in found["ESP32_GENERIC"]["problems"][0]
    assert main(["check", str(net), "--board", "all", "--von", "5", "--json"]) == 0
    found = places(capsys)
    assert "takes at most 3.6 V" in found["PCA10056"]["problems"][0]


def test_a_model_too_large_names_the_op_at_the_peak(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(model_file("vww")), "--board", "all", "--json"])
    found = places(capsys)
    assert found["RPI_PICO"]["fits"]
    problem = found["ESP32_GENERIC"]["problems"][0]
    assert all(part in problem for part in ("bytes of SRAM", "for the model", "the peak is op"))
