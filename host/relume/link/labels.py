"""Names of a model's outputs: read from a file, put on a board's filesystem.

Beside a blob in a filesystem lies NAME.txt. A model in the flash of our firmware has
`labels/CRC.txt`, CRC its id (SPEC 2.1, meta_crc), so that no model shows the labels of another
one that had its name before.
"""

from __future__ import annotations

from pathlib import Path

from relume.blob.reader import Blob
from relume.errors import LinkError
from relume.link import stock
from relume.link.stock import Opener

_PATIENCE_S = 30.0

_TIDY = """
import os, relume
_k = ["%%08x.txt" %% m["meta_crc"] for m in relume.models()]
_d = %r
for _n in os.listdir(_d):
 if _n not in _k: os.remove(_d + "/" + _n)
print(0)
"""


def read(path: Path) -> list[str]:
    """One label a line. Errors: LinkError."""
    try:
        lines = path.read_text("utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LinkError(f"{path}: cannot be read as labels ({error})") from error
    return [line.strip() for line in lines]


def of_model(blob: Blob, net: Path, given: Path | None) -> list[str]:
    """The labels of a file, by default of the .txt beside the blob's file; none if there is none.

    Errors: LinkError: not as many as the model's output has channels.
    """
    beside = net.with_suffix(".txt")
    path = given or (beside if beside.is_file() else None)
    if path is None:
        return []
    labels, wanted = read(path), blob.output_tensor.shape[-1]
    if len(labels) != wanted:
        other = "" if given else ": move the file away, or name another with --labels"
        raise LinkError(f"{path}: {len(labels)} labels, {blob.name} has {wanted} outputs{other}")
    return labels


def as_file(labels: list[str]) -> bytes:
    """What relume.Model reads."""
    return "".join(f"{label}\n" for label in labels).encode()


def send(opener: Opener, blob: Blob, labels: list[str]) -> None:
    """Puts them on the filesystem of a board with our firmware, through resets; those of models
    that are gone leave it. Errors: LinkError."""
    there = stock.firmware(opener, _PATIENCE_S)
    folder = f"{there.root}/labels"
    files = {f"{folder}/{blob.meta_crc:08x}.txt": as_file(labels)}
    stock.copy(opener, there, files, lambda done: None, _PATIENCE_S)
    stock.ask(opener, _TIDY % folder, _PATIENCE_S)
