"""Whether a model fits beside those that are on a board (docs/SPEC.md 5)."""

from __future__ import annotations

from collections.abc import Sequence

from relume.blob.reader import Blob
from relume.link.messages import Slot

MODELS = 8  # side by side
FLASH = 2  # of nvm_kind
_SECTOR = 4096
_PAGE = 256
WAYS = "relume deploy --remove NAME, or --only in place of all"


def store_bytes(blob: Blob) -> int:
    """The least part of its NVM that a model's inference needs."""
    from relume.plan.homes import RESERVED
    from relume.plan.planner import ring_bytes

    if blob.nvm == "flash":
        return ring_bytes(blob.nvm_size)
    return -(-(RESERVED + blob.nvm_size) // _PAGE) * _PAGE


def largest_gap(others: Sequence[Slot], room: int) -> int:
    """Bytes of the largest part of an NVM that no model has."""
    largest, at = 0, 0
    for slot in sorted(others, key=lambda slot: slot.store_at):
        largest = max(largest, slot.store_at - at)
        at = max(at, slot.store_at + slot.store_size)
    return max(largest, room - at)


def missing(slots: Sequence[Slot], blob: Blob, name: str, nvm_size: int) -> str:
    """What a deploy would lack, in one line; empty if nothing. nvm_size: of the blob's NVM, 0 if
    the board did not tell it.
    """
    others = [slot for slot in slots if slot.name != name and slot.meta_crc != blob.meta_crc]
    if len(others) >= MODELS:
        return f"{len(others)} models are on the board, which is the most: {WAYS}"
    if not others or nvm_size == 0:
        return ""  # the board tells
    flash = blob.nvm == "flash"
    beside = [slot for slot in others if (slot.nvm_kind == FLASH) == flash]
    grain = _SECTOR if flash else _PAGE
    gap = largest_gap(beside, nvm_size - nvm_size // 8 // grain * grain)
    need = store_bytes(blob)
    if need <= gap:
        return ""
    names = ", ".join(slot.name for slot in beside)
    return (
        f"{name} needs {need} bytes of {'flash' if flash else 'NVM'} for its commits, {gap} are"
        f" free beside {names}: {WAYS}"
    )
