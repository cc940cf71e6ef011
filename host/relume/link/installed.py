"""What our firmware on a running board says of itself, and what an update leaves there."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from relume.blob import format as fmt
from relume.board.profile import Region
from relume.errors import LinkError

PROBE = """
import os, _relume as r
o = 'relume.owner' in os.listdir('/') if hasattr(os, 'listdir') else False
b = (getattr(r, 'BLOB_MAJOR', 0), getattr(r, 'BLOB_MINOR', 0))
s = [x[0] for x in r.slots()] if hasattr(r, 'slots') else []
print(repr((r.VERSION, r.board(), b, r.regions(), s, o)))
"""
"""Run at the board's prompt; parse() reads what it prints. Written so that any version answers."""

# What is in each region of flash but the firmware's own.
HELD = {
    "blobs": "its models",
    "store": "what inferences and programs keep in flash",
    "filesystem": "its files and the owner's key",
}


@dataclass(frozen=True)
class Installed:
    """Firmware of ours. blob: version that it reads; regions: (offset, size) in flash; owner: the
    board has one."""

    version: str
    board: str
    blob: tuple[int, int]
    regions: Mapping[str, tuple[int, int]]
    models: tuple[str, ...]
    owner: bool

    def moved(self, regions: Mapping[str, Region]) -> list[str]:
        """Regions of HELD that the new firmware has at another place or in another size: what is
        in them is not found again. Those that the board has not got hold nothing."""
        return [
            name for name in HELD
            if name in self.regions
            and (name not in regions
                 or (regions[name].offset, regions[name].size) != self.regions[name])
        ]  # fmt: skip

    def notes(self) -> list[str]:
        """What else is to be known before an update."""
        major, minor = self.blob
        if self.models and (major != fmt.MAJOR or minor > fmt.MINOR):
            ours = f"{fmt.MAJOR}.{fmt.MINOR}"
            return [f"its models are blobs of version {major}.{minor}, relume here has {ours}:"
                    " plan and deploy them again behind the update"]  # fmt: skip
        return []


def parse(text: str) -> Installed:
    """What PROBE printed. Errors: LinkError when it is something else."""
    try:
        version, board, blob, regions, models, owner = ast.literal_eval(text.strip())
        found = Installed(
            str(version), str(board), (int(blob[0]), int(blob[1])),
            {str(name): (int(at), int(size)) for name, (at, size) in regions.items()},
            tuple(map(str, models)), bool(owner),
        )  # fmt: skip
    except (ValueError, TypeError, SyntaxError, AttributeError, IndexError, MemoryError) as error:
        raise LinkError(
            f"the board's firmware says {text.strip()[:60]!r} of itself: start its loader by hand"
            " and give --drive"
        ) from error
    if not (found.version + found.board + "".join(found.models)).isprintable():
        raise LinkError("the board's firmware has a version or a model whose name is no text")
    return found
