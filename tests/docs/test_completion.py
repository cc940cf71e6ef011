"""relume completion: the scripts complete verbs, options, boards and files, in the shells."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from relume.board.profile import board_names
from relume.cli import VERBS, main

pytest.importorskip("shtab")
SHELLS = ("bash", "zsh", "fish")

ASK = """
source relume.bash
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
"$(complete -p relume | sed 's/.*-F \\([^ ]*\\).*/\\1/')" 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for each shell, and files to complete."""
    path = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        (path / f"relume.{shell}").write_text(script(shell))
    for name in ("net.tflite", "net.rlm", "notes.txt"):
        (path / name).touch()
    return path


def script(shell: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "relume.cli", "completion", shell],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout


def bash(folder: Path, words: Sequence[str]) -> set[str]:
    """What bash offers for the last word."""
    code = ASK.format(words=" ".join(shlex.quote(word) for word in words))
    run = subprocess.run(["bash", "-c", code], cwd=folder, capture_output=True, text=True)
    return {line.strip() for line in run.stdout.splitlines() if line.strip()}


def test_bash_offers_every_verb(folder: Path) -> None:
    assert bash(folder, ["relume", ""]) >= set(VERBS)
    assert bash(folder, ["relume", "pl"]) == {"plan"}


def test_bash_offers_the_verb_s_options_and_no_other_s(folder: Path) -> None:
    offered = bash(folder, ["relume", "plan", "--"])
    assert {"--cap", "--period", "--json"} <= offered
    assert not offered & {"--samples", "--tcp"}


def test_bash_offers_boards_and_choices(folder: Path) -> None:
    assert bash(folder, ["relume", "plan", "--board", ""]) == set(board_names())
    assert "all" in bash(folder, ["relume", "check", "--board", "a"])
    assert {"fram", "flash"} <= bash(folder, ["relume", "plan", "--nvm", "f"])
    assert bash(folder, ["relume", "owner", ""]) == {"new", "set", "off", "show"}


def test_bash_offers_the_files_that_suit(folder: Path) -> None:
    assert "net.tflite" in bash(folder, ["relume", "plan", "n"])
    assert not bash(folder, ["relume", "plan", "n"]) & {"net.rlm", "notes.txt"}
    assert "net.rlm" in bash(folder, ["relume", "deploy", "n"])


@pytest.mark.parametrize("shell", SHELLS[1:])
def test_other_shells_read_their_script(folder: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", f"relume.{shell}"], cwd=folder, check=True)


def test_fish_offers_verbs_and_options(folder: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    for line, wanted in (("relume pl", "plan"), ("relume plan --ca", "--cap")):
        code = f"source relume.fish; complete -C {shlex.quote(line)}"
        run = subprocess.run(["fish", "-c", code], cwd=folder, capture_output=True, text=True)
        assert wanted in [one.split("\t")[0] for one in run.stdout.splitlines()]


def test_without_shtab_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert capsys.readouterr().err.endswith("pip install shtab\n")
