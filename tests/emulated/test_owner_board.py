"""The owner's key is in the Pico's own filesystem, and its signatures are checked there.

SECURITY F7.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from relume.link.owner import NOBODY, Owner

from tests.emulated.bench import Repl

pytestmark = pytest.mark.emulated

MINE = Owner(Ed25519PrivateKey.from_private_bytes(b"mine" * 8))
OTHER = Owner(Ed25519PrivateKey.from_private_bytes(b"else" * 8))
NONCE = bytes(16)


def change(board: Repl, new: bytes, by: Owner | None) -> str:
    signature = by.change(new, NONCE) if by else b""
    return board.type(f"owner.change({new!r}, {signature!r}, {NONCE!r})")


def test_the_key_is_kept_and_changes_by_its_own_signature_only() -> None:
    board = Repl()
    board.boot()
    board.type("from relume import owner")
    assert board.type("print(owner.key())") == "None"
    assert change(board, MINE.public, None) == "True"
    assert board.pico.chip is not None
    again = Repl(flash=bytes(board.pico.chip.flash[: len(board.pico.flash)]))
    again.boot()
    again.type("from relume import owner")
    assert again.type(f"owner.key() == {MINE.public!r}") == "True"
    assert change(again, NOBODY, OTHER) == "False"
    assert change(again, OTHER.public, MINE) == "True"
    assert change(again, NOBODY, OTHER) == "True"
    assert again.type("print(owner.key())") == "None"
