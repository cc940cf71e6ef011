"""The board's SHA-512 and Ed25519 against a library's, under sanitizers.

SECURITY F7.
"""

from __future__ import annotations

import hashlib
import random
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.native import NATIVE

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
PURPOSE = b"test\0"
Case = tuple[bytes, bytes, bytes]  # key, signature, data


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signed") / "signed"
    sources = [Path(__file__).with_name("signed.c"), NATIVE / "ed25519.c", NATIVE / "sha512.c"]
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-g",
               "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{NATIVE}",
               *map(str, sources), "-o", str(path)]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def told(program: Path, cases: Iterable[Case]) -> list[tuple[bool, str]]:
    """(signature is right, hex digest of the data) for each case."""
    records = [key + signature + struct.pack("<H", len(data)) + data
               for key, signature, data in cases]  # fmt: skip
    done = subprocess.run([str(program)], input=b"".join(records), capture_output=True, check=True)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert len(lines) == len(records)
    return [(right == "1", digest) for right, digest in lines]


def signed(data: bytes, seed: int) -> Case:
    key = Ed25519PrivateKey.from_private_bytes(random.Random(seed).randbytes(32))
    return key.public_key().public_bytes_raw(), key.sign(PURPOSE + data), data


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place // 8 % len(data)] ^= 1 << place % 8
    return bytes(changed)


def test_a_library_s_signatures_and_digests_are_right(program: Path) -> None:
    """Every length around two blocks of the hash."""
    cases = [signed(random.Random(n).randbytes(n), n) for n in range(262)]
    found = told(program, cases)
    assert all(right for right, _ in found)
    digests = [hashlib.sha512(data).hexdigest() for _, _, data in cases]
    assert [digest for _, digest in found] == digests


def test_no_changed_bit_passes(program: Path) -> None:
    key, signature, data = signed(b"sixteen bytes...", 1)
    cases = [(key, flipped(signature, place), data) for place in range(512)]
    cases += [(flipped(key, place), signature, data) for place in range(256)]
    cases += [(key, signature, flipped(data, place)) for place in range(128)]
    cases += [(key, signature, data + b"\0"), (key, signature, data[:-1])]
    assert not any(right for right, _ in told(program, cases))


def test_the_second_form_of_a_signature_is_refused(program: Path) -> None:
    """s + order solves the equation too (RFC 8032, 8.4)."""
    key, signature, data = signed(b"data", 2)
    s = int.from_bytes(signature[32:], "little")
    twin = signature[:32] + (s + ORDER).to_bytes(32, "little")
    assert [right for right, _ in told(program, [(key, signature, data), (key, twin, data)])] == [
        True, False,
    ]  # fmt: skip


def test_keys_that_are_no_points_are_refused(program: Path) -> None:
    """y not below p, x = 0 with a sign, y without an x; beside a key that is one."""
    _, signature, data = signed(b"data", 3)
    numbers = [PRIME, PRIME + 1, 2**255 - 1, 1 + 2**255, 2, 2 + 2**255]
    cases = [(number.to_bytes(32, "little"), signature, data) for number in numbers]
    assert not any(right for right, _ in told(program, cases))


def test_whatever_comes_ends_and_is_refused(program: Path) -> None:
    """Random keys and signatures; extreme words make the longest carries."""
    rng = random.Random(4)
    words = [bytes(32), b"\xff" * 32, b"\x7f" + b"\xff" * 31, b"\xff" * 31 + b"\x7f"]
    parts = [*words, *(rng.randbytes(32) for _ in range(20))]
    cases = [
        (rng.choice(parts), rng.choice(parts) + rng.choice(parts), rng.randbytes(n % 200))
        for n in range(300)
    ]
    found = [case for case, (right, _) in zip(cases, told(program, cases), strict=True) if right]
    assert not [case for case in found if case[0] not in words]
