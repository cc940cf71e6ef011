"""relume owner: a board that takes only models which its owner has signed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from relume.commands.deploy import add_port, plug

if TYPE_CHECKING:
    from relume.link.client import Board
    from relume.link.owner import Owner


def add_parser(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """relume owner new|set|off|show."""
    parser = sub.add_parser("owner", help="only models that you have signed run on your board")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="new|set|off|show")
    for verb, text, files in (
        ("new", "make a key", ["KEY.pem"]),
        ("set", "the board takes models of this key only", ["KEY.pem"]),
        ("off", "the board takes any model again", ["KEY.pem"]),
        ("show", "who owns the board", []),
    ):
        one = verbs.add_parser(verb, help=text)
        for name in files:
            one.add_argument("key", type=Path, metavar=name, help="the owner's key")
        if verb == "set":
            one.add_argument("--from", dest="old", type=Path, metavar="OLD.pem",
                             help="the present owner's key, where the board has another one")
        if verb != "new":
            add_port(one)


def run(args: argparse.Namespace) -> int:
    """Makes a key, or tells a board whose it is. Errors: LinkError."""
    from relume.link.client import Board
    from relume.link.owner import NOBODY, Owner, fingerprint

    if args.verb == "new":
        owner = Owner.create(args.key)
        print(f"{args.key}: new key {fingerprint(owner.public)}; keep it safe, without it the "
              "board is opened at its REPL only")  # fmt: skip
        return 0
    with Board(args.port) as board:
        plug(board)
        board.connect()
        if args.verb == "show":
            public = board.owner()[0]
            owned = f"owner {fingerprint(public)}"
            print(owned if any(public) else "no owner: any model is taken")
            return 0
        owner = Owner.load(args.key)
        if args.verb == "set":
            old = Owner.load(args.old) if args.old else owner
            _change(board, owner.public, old)
            print(f"{board.hello.board} takes models of {fingerprint(owner.public)} only: "
                  f"relume deploy --owner {args.key}")  # fmt: skip
        else:
            _change(board, NOBODY, owner)
            print(f"{board.hello.board} takes any model")
    return 0


def _change(board: Board, new: bytes, owner: Owner) -> None:
    present, nonce = board.owner()
    signature = owner.change(new, nonce) if any(present) else b""
    board.change_owner(new, signature)
