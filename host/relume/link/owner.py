"""The owner of a board: an Ed25519 key, without which the board takes no model (SPEC 6.1).

The private key is a PKCS 8 file in PEM, as other tools write it. A board holds the public one.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relume.blob.reader import Blob
from relume.errors import LinkError

MODEL = b"relume model\0"
OWNER = b"relume owner\0"
NOBODY = bytes(32)


class Owner:
    """A key that signs models, and the change to another owner."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def create(cls, path: Path) -> Owner:
        """A new key in a new file that only its owner may read. Errors: LinkError."""
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
        except FileExistsError:
            raise LinkError(f"{path}: is there already, a key is not overwritten") from None
        except OSError as error:
            raise LinkError(f"{path}: {error.strerror or error}") from error
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> Owner:
        """The key in a file. Errors: LinkError naming the file."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LinkError(f"{path}: {error.strerror or error}") from error
        try:
            key = serialization.load_pem_private_key(data, None)
        except TypeError:
            raise LinkError(f"{path}: has a passphrase, give a key without") from None
        except (ValueError, UnsupportedAlgorithm):
            raise LinkError(f"{path}: no private key in PEM: relume owner new") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise LinkError(f"{path}: not an Ed25519 key (relume owner new makes one)")
        return cls(key)

    @property
    def public(self) -> bytes:
        """32 bytes, what a board holds."""
        return self._key.public_key().public_bytes_raw()

    def model(self, begin: bytes, blob: Blob) -> bytes:
        """What follows PUT_BEGIN's body `begin`: SHA-512 of the blob, signature of both."""
        digest = hashlib.sha512(blob.image).digest()
        return digest + self._key.sign(MODEL + begin + digest)

    def change(self, new: bytes, nonce: bytes) -> bytes:
        """Signature for the board's next owner, NOBODY for none; the board gives the nonce."""
        return self._key.sign(OWNER + nonce + new)


def fingerprint(public: bytes) -> str:
    """The first 8 bytes of a public key, as people compare them."""
    return public[:8].hex(" ", 2)
