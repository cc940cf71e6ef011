"""The `relume` command: one verb a file in commands/, imported only when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Collection, Sequence
from typing import Protocol

from relume import __version__
from relume.errors import RelumeError
from relume.usage import teach

# Verb -> one line of help. Each file commands/VERB.py has add_parser(sub) and run(args).
VERBS = {
    "boards": "the boards, what runs on them and how that was tested",
    "convert": "Keras model -> int8 TFLite model (needs TensorFlow)",
    "check": "which layers can run, what fits, which capacitor it takes",
    "plan": "TFLite model -> .rlm for one board and one power budget",
    "simulate": "published intermittency policies beside ours, under one cost model",
    "deploy": "send a .rlm to a board",
    "romfs": "models and the native module as an image for a board's ROMFS",
    "owner": "a board that takes only models that you have signed",
    "run": "run an inference on a board, through any number of power cuts",
    "monitor": "watch a board that runs, live, recorded or replayed",
    "emulate": "serve an emulated board",
    "flash": "put the relume firmware on a board",
    "calibrate": "measure a board's cycles, write a profile that holds for it",
    "bench": "cycles of the kernels, counted under unicorn",
    "demo": "train, plan, deploy to an emulated Pico, cut its power, compare every byte",
    "completion": "what a shell needs to complete this command line",
}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, 1 (error), 2 (usage) or 130 (Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        args = _parser(arguments).parse_args(arguments)
        return int(args.run(args))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except RelumeError as error:
        return _fail(str(error), debug)
    except Exception as error:
        return _fail(f"internal error: {type(error).__name__}: {error} (--debug: where)", debug)


def _fail(text: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print("relume: " + " ".join(text.split()), file=sys.stderr)
    return 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, complete only for the verb that is called."""
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    return _parser_of({called} & VERBS.keys())


def whole_parser() -> argparse.ArgumentParser:
    """The parser with every verb's options: for completion and the reference."""
    return _parser_of(VERBS.keys())


def _parser_of(complete: Collection[str | None]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relume",
        description="TFLite models on MicroPython boards whose power keeps dying.",
        epilog="--debug shows where an error came from. relume VERB -h tells more.",
    )
    parser.add_argument("--version", action="version", version=f"relume {__version__}")
    sub = parser.add_subparsers(metavar="VERB", required=True)
    for verb, line in VERBS.items():
        if verb in complete:
            module = _load(verb)
            module.add_parser(sub)
            sub.choices[verb].set_defaults(run=module.run)
            teach(verb, sub.choices[verb])
        else:
            sub.add_parser(verb, help=line)
    return parser


def _load(verb: str) -> _Verb:
    name = f"relume.commands.{verb}"
    try:
        module: _Verb = importlib.import_module(name)  # type: ignore[assignment]
    except ModuleNotFoundError as error:
        if error.name == name:
            raise RelumeError(f"{verb}: not part of this installation") from error
        raise RelumeError(
            f"{verb}: needs the Python package {error.name}: pip install {error.name}"
        ) from error
    return module


class _Verb(Protocol):
    """What a file in commands/ offers."""

    @staticmethod
    def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Adds the verb's parser."""

    @staticmethod
    def run(args: argparse.Namespace) -> int:
        """Does the work; returns the exit code."""
        raise NotImplementedError


if __name__ == "__main__":
    sys.exit(main())
