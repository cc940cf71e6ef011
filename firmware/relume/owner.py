"""The board's owner: with a key in this file only models that it signed are taken (SPEC 6.1)."""

import os

import _relume
from micropython import const

_FILE = "relume.owner"
_NEW = "relume.owner.new"
_KEY = const(32)
_SIGNATURE = const(64)
_DIGEST = const(64)
_MODEL = "relume model"
_OWNER = "relume owner"


def key():
    """The owner's public key, None if there is no owner. ValueError: the file is damaged."""
    try:
        with open(_FILE, "rb") as file:
            found = file.read()
    except OSError:
        return None
    if len(found) != _KEY:
        raise ValueError(_FILE + " is damaged: models are refused until it is removed at the REPL")
    return found


def admits(begin, proof):
    """The digest that the upload must have, b"" without an owner; None: the owner has not signed.

    begin: body of PUT_BEGIN up to its name's end; proof: what follows, digest and signature.
    """
    owner = key()
    if owner is None:
        return b""
    digest, signature = proof[:_DIGEST], proof[_DIGEST:]
    if len(signature) != _SIGNATURE:
        return None
    return digest if _relume.signed(owner, signature, _MODEL, begin + digest) else None


def change(new, signature, nonce):
    """Gives the board another owner, 32 zeros for none. False: the present one has not signed."""
    owner = key()
    if owner is not None and not (
        len(signature) == _SIGNATURE and _relume.signed(owner, signature, _OWNER, nonce + new)
    ):
        return False
    if any(new):
        with open(_NEW, "wb") as file:
            file.write(new)
        os.rename(_NEW, _FILE)
    elif owner is not None:
        os.remove(_FILE)
    return True
