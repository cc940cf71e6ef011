"""What a layout gives to the packer: one op's constants as its kernel wants them, or why not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Packed:
    """Kernel id, bytes of the four arrays, p, scratch bytes of a tile, and what was found."""

    kernel: int
    weights: bytes
    bias: bytes
    multipliers: bytes
    shifts: bytes
    p: tuple[int, ...]
    scratch: int
    note: str

    @property
    def constant_bytes(self) -> int:
        """Bytes of the four arrays."""
        return sum(map(len, (self.weights, self.bias, self.multipliers, self.shifts)))


@dataclass(frozen=True)
class Refusal:
    """Why an op stays with the portable kernel: the proof that failed, the shape not served."""

    reason: str
