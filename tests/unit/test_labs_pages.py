"""The pages of firmware/examples: every lab has what a class needs, and its figures hold."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from relume.board.profile import load_board

from tests.native import ROOT
from tests.unix.test_examples import module

EXAMPLES = ROOT / "firmware" / "examples"
LABS = ("digits", "sounds", "gestures", "sensor_node")
MODELS = LABS[:3]
PARTS = ("**You learn**", "**Parts**", "](wiring.svg)", "## On the emulated Pico", "```text",
         "## On a real Pico", "## Questions", "<details>", "## What can go wrong")  # fmt: skip


@pytest.mark.parametrize("lab", LABS)
def test_a_page_has_all_its_parts_in_order(lab: str) -> None:
    page = (EXAMPLES / lab / "README.md").read_text()
    places = [page.find(part) for part in PARTS]
    assert -1 not in places and places == sorted(places)
    questions, answers = page.split("## Questions")[1].split("<details>")
    asked = re.findall(r"^(\d)\. ", questions, re.M)
    given = re.findall(r"^(\d)\. ", answers.split("</details>")[0], re.M)
    assert asked == given and len(asked) >= 3


@pytest.mark.parametrize("lab", LABS)
def test_a_page_names_only_files_that_are_there_or_are_made(lab: str) -> None:
    folder = EXAMPLES / lab
    page = (folder / "README.md").read_text()
    scripts = [path.read_text() for path in folder.glob("*.py")]
    made = {name for text in scripts for name in re.findall(r"[\w.]+", text)}
    named = set(re.findall(r"\b[\w-]+\.(?:py|tflite|txt|svg|npy|wav|csv|keras)\b", page))
    theirs = {"run.svg", "day.csv", "log.csv", "mine.wav"}  # that the page's commands write
    assert not {n for n in named if not (folder / n).exists() and n not in made} - theirs


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/main.py")), ids=str)
def test_a_program_is_short_enough_to_be_read_in_class(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 82


@pytest.mark.parametrize("lab", MODELS)
def test_a_model_is_tiny_and_has_a_label_for_each_output(lab: str) -> None:
    assert (EXAMPLES / lab / f"{lab}.tflite").stat().st_size < 8192
    labels = (EXAMPLES / lab / f"{lab}.txt").read_text().split()
    if lab != "digits":
        script = next((EXAMPLES / lab).glob("make_*.py"))
        assert tuple(labels) == module(script).NAMES


def test_the_pictures_are_drawn_by_their_script_with_the_pins_of_the_board() -> None:
    drawn = module(EXAMPLES / "wiring.py")
    for lab, parts in drawn.LABS.items():
        assert (EXAMPLES / lab / "wiring.svg").read_text("utf-8") == drawn.picture(parts)
    pins = load_board("RPI_PICO").pins
    wanted = [f"GP{pins[name]}" for name in ("fram_sck", "fram_mosi", "fram_miso", "fram_cs")]
    assert [wire[0] for wire in drawn.FRAM[1][:4]] == wanted
    assert [wire[0] for wire in drawn.UART[1][:2]] == [
        f"GP{pins['uart_tx']}", f"GP{pins['uart_rx']}",
    ]  # fmt: skip


def test_the_teacher_s_page_names_every_lab() -> None:
    page = (EXAMPLES / "README.md").read_text()
    for lab in LABS:
        assert f"`{lab}/`" in page


@pytest.mark.heavy
@pytest.mark.parametrize("lab", MODELS)
def test_its_script_trains_a_network_that_is_right(lab: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from relume.model.convert import convert

    folder = tmp_path / lab
    shutil.copytree(EXAMPLES / lab, folder)
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, timeout=500)
    made = convert(folder / f"{lab}.keras", folder / "held_back.npy", folder / "labels.npy")
    assert made.accuracy_after is not None and made.accuracy_after > 0.93
