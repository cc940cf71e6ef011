"""relume completion: what a shell needs to complete our command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relume.errors import RelumeError

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = ("FOLDER", "DIR", "CHECKOUT")


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume completion bash|zsh|fish."""
    parser = sub.add_parser("completion", help="completion of this command line for a shell")
    parser.add_argument("shell", choices=SHELLS, help="the shell that will read it")


def run(args: argparse.Namespace) -> int:
    """Prints the script. Errors: RelumeError when shtab is not installed."""
    print(script(args.shell), end="")
    return 0


def script(shell: str) -> str:
    """The completion script of every verb and option, text for one of SHELLS."""
    try:
        import shtab
    except ModuleNotFoundError as error:
        hint = "pip install shtab"
        raise RelumeError(f"completion needs the Python package shtab: {hint}") from error
    from relume.board.profile import board_names
    from relume.cli import whole_parser

    parser = whole_parser()
    boards = board_names()
    for action in _actions(parser):
        if action.dest == "board" or (action.dest == "names" and action.metavar == "NAME"):
            action.choices = [*boards, "all"] if "or all" in (action.help or "") else boards
        elif action.type is Path:
            action.complete = _files(shtab, action)  # type: ignore[attr-defined]
    text: str = shtab.complete(parser, shell)
    return text if text.endswith("\n") else text + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every action, those of verbs of verbs too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _actions(one)
        else:
            yield action


def _files(shtab: Any, action: argparse.Action) -> Any:
    """Which files suit: NET.tflite says it by its suffixes, DIR and FOLDER are folders."""
    metavar = str(action.metavar or "")
    if metavar in _FOLDERS:
        return shtab.DIRECTORY
    suffixes = [Path(part).suffix for part in metavar.split("|")]
    if not all(suffixes):
        return shtab.FILE
    return shtab.glob(*(f"*{suffix}" for suffix in suffixes))
