"""--help teaches: each verb says what it does, its units, its defaults, and how to begin."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest
from relume.cli import VERBS, main, whole_parser
from relume.usage import USAGE, teach

EXAMPLES = [(verb, line) for verb, usage in USAGE.items() for line in usage.examples]


def verbs(
    parser: argparse.ArgumentParser, name: str = "relume"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every verb and verb of a verb, by its words."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                yield f"{name} {word}", one
                yield from verbs(one, f"{name} {word}")


def untaught(parser: argparse.ArgumentParser) -> list[str]:
    """The arguments whose help says nothing, or not what happens without them."""
    bad = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        text, name = action.help or "", "/".join(action.option_strings) or action.metavar
        given = action.default not in (None, False, []) and bool(action.option_strings)
        if not text or (given and "default" not in text):
            bad.append(str(name))
    return bad


def test_every_verb_has_examples_and_only_verbs_have() -> None:
    assert set(USAGE) == set(VERBS)
    assert all(usage.examples for usage in USAGE.values())


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_80_columns_and_shows_the_examples(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([verb, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(f"  {line}" in lines for line in USAGE[verb].examples)
    assert " ".join(USAGE[verb].does.split()[:5]) in "\n".join(lines)


def test_help_of_verbs_of_verbs_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, parser in verbs(whole_parser()):
        assert max(map(len, parser.format_help().splitlines())) <= 80, name


def test_every_argument_says_what_it_is_and_what_happens_without_it() -> None:
    bad = {name: untaught(parser) for name, parser in verbs(whole_parser())}
    assert not {name: names for name, names in bad.items() if names}


def test_an_argument_without_help_or_default_is_noticed() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("net")
    parser.add_argument("--size", default=3, help="how large")
    parser.add_argument("--fine", default=3, help="how fine (default 3)")
    assert untaught(parser) == ["None", "--size"]


@pytest.mark.parametrize(("verb", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_a_command_that_the_parser_takes(verb: str, line: str) -> None:
    words = shlex.split(line)
    assert words[:2] == ["relume", verb]
    assert callable(whole_parser().parse_args(words[1:]).run)


def test_a_verb_without_usage_keeps_its_parser() -> None:
    parser = argparse.ArgumentParser()
    teach("levitate", parser)
    assert parser.epilog is None
