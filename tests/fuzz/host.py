"""Hostile files and replies for the host: a result, or one line of the error family, in time.

`attack(KIND, SEED)` is one try; the same seed makes the same bytes.
"""

from __future__ import annotations

import functools
import io
import random
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from relume.blob.reader import read_blob
from relume.board.parse import parse_board
from relume.board.profile import load_board
from relume.errors import RelumeError
from relume.link import messages
from relume.link.frames import Decoder, encode
from relume.link.inputs import load_samples
from relume.link.uf2 import read_image
from relume.model.tflite_reader import read_tflite, survey
from relume.power.trace import load_trace

from tests.fuzz.build import ROOT
from tests.kernels import move_nets, netgen
from tests.unit import blob_edit
from tests.unit.golden import make_golden
from tests.unit.tflite_nets import small_net

PATIENCE_S = 10.0  # of one try
LONGEST = 1 << 16
NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"inf", b"-0.0", b"1e-320", b"99999999999999999999",
           b"0x10", b"[]", b"{}", b'""', b"true", b"\xff\xfe", b"\0", b"1979-05-27")  # fmt: skip
REPLIES: tuple[Callable[[bytes], object], ...] = (
    messages.parse_hello, messages.parse_status, messages.parse_event, messages.parse_slot,
    messages.parse_times, lambda body: messages.parse_u32(body, "X"),
)  # fmt: skip


class Broken(Exception):
    """A promise that did not hold."""


def _tflite(data: bytes, _: Path) -> None:
    survey(data)
    read_tflite(data)


def _sealed_rlm(data: bytes, _: Path) -> None:
    try:
        sealed = blob_edit.sealed(data)
    except Exception:  # too short to have a header
        sealed = data
    read_blob(sealed)


def _reply(data: bytes, _: Path) -> None:
    for frame in Decoder().feed(data):
        for parse in REPLIES:
            try:
                parse(frame.body)
            except RelumeError as error:
                _one_line(error)


def _board(data: bytes, _: Path) -> None:
    parse_board(data.decode("utf-8", "replace"), "board.toml")


def _trace(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    load_trace(path, 1.0)


def _npy(data: bytes, path: Path) -> None:
    path = path.with_suffix(".npy")
    path.write_bytes(data)
    blob = read_blob(make_golden.BLOB.read_bytes())
    load_samples(path, blob.tensors[blob.input])


def _uf2(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    read_image(path, load_board("RPI_PICO"))


READERS: dict[str, Callable[[bytes, Path], None]] = {
    "tflite": _tflite, "rlm": _sealed_rlm, "reply": _reply, "board": _board, "trace": _trace,
    "npy": _npy, "uf2": _uf2,
}  # fmt: skip


def _npy_seed() -> bytes:
    file = io.BytesIO()
    blob = read_blob(make_golden.BLOB.read_bytes())
    np.save(file, np.zeros((2, *blob.tensors[blob.input].shape), np.float32))
    return file.getvalue()


def _uf2_seed() -> bytes:
    head = (0x0A324655, 0x9E5D5157, 0x2000)
    blocks = [
        np.array([*head, 0x10000000 + 256 * n, 256, n, 4, 0xE48BFF56], "<u4").tobytes()
        + bytes(476) + np.array([0x0AB16F30], "<u4").tobytes()
        for n in range(4)
    ]  # fmt: skip
    return b"".join(blocks)


@functools.cache
def sound(kind: str) -> tuple[bytes, ...]:
    """Inputs that are as they should be."""
    if kind == "tflite":
        nets = [netgen.random_net(seed) for seed in range(4)]
        return (small_net(), *nets, *(move_nets.moving_net(k, 1) for k in move_nets.SINGLE))
    if kind == "rlm":
        return (make_golden.BLOB.read_bytes(),)
    if kind == "reply":
        bodies = [bytes(range(n)) for n in (0, 1, 4, 9, 20, 28, 40, 200)]
        return tuple(encode(0x81, 7, body) for body in bodies)
    if kind == "board":
        return ((ROOT / "boards" / "RPI_PICO" / "board.toml").read_bytes(),)
    if kind == "trace":
        rows = "\n".join(f"{n * 0.1:.1f},{n * 1e-3}" for n in range(20))
        volts = "\n".join(f"{n}\t{n % 7 * 0.3:.2f}" for n in range(20))
        return (rows.encode(), b"time_ms,power_mW\n" + rows.encode(), volts.encode())
    return (_npy_seed(),) if kind == "npy" else (_uf2_seed(),)


def mutant(kind: str, seed: int) -> bytes:
    """A sound input with some edits."""
    draw = random.Random(f"{kind}{seed}")
    data = bytearray(draw.choice(sound(kind)))
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        _edit(data, draw)
    return bytes(data[:LONGEST])


def _edit(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    how = draw.randrange(8)
    if how == 0 or not data:
        data[at:at] = draw.randbytes(draw.choice((1, 2, 4, 40)))
    elif how == 1:
        del data[at : at + draw.choice((1, 4, 100))]
    elif how == 2:
        data[at:at] = data[at : at + draw.randrange(60)]
    elif how == 3:
        del data[at:]
    elif how == 4:
        data[at : at + draw.randrange(9)] = draw.choice(NUMBERS)
    elif how == 5:
        word = draw.choice((0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000))
        data[at & ~3 : (at & ~3) + 4] = word.to_bytes(4, "little")
    else:
        at = min(at, len(data) - 1)
        data[at] = draw.choice((data[at] ^ 1 << draw.randrange(8), draw.randrange(256)))


def _one_line(error: RelumeError) -> None:
    text = str(error)
    if not text or "\n" in text:
        raise Broken(f"not one line: {text!r}")


def run(kind: str, data: bytes, folder: Path) -> bool:
    """True: a result; False: refused in one line. Broken, or whatever was raised, otherwise."""
    began = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            READERS[kind](data, folder / "file")
        taken = True
    except RelumeError as error:
        _one_line(error)
        taken = False
    if time.monotonic() - began > PATIENCE_S:
        raise Broken(f"took {time.monotonic() - began:.0f} s")
    return taken


def attacks(kind: str, seeds: range, folder: Path) -> Counter[bool]:
    """Results and refusals of the mutants with these seeds."""
    return Counter(run(kind, mutant(kind, seed), folder) for seed in seeds)


def campaign(round: int, seconds: float, findings: Path) -> tuple[int, str]:
    """Mutants for so long: (how many, name of the file that broke a promise or "")."""
    end, done = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            for kind in READERS:
                seed = round << 32 | done
                done += 1
                try:
                    run(kind, mutant(kind, seed), Path(folder))
                except Exception as error:
                    findings.mkdir(parents=True, exist_ok=True)
                    name = f"host-{kind}-{seed:x}"
                    (findings / name).write_bytes(mutant(kind, seed))
                    print(f"{name}: {type(error).__name__}: {error}")
                    return done, name
    return done, ""
