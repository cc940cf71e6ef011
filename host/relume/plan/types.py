"""The plan: what runs when, where every byte lives, what each segment costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relume.model.graph import Graph
from relume.power.capacitor import Budget


@dataclass(frozen=True)
class Tile:
    """Units [first, first + count) of op number `op`."""

    op: int
    first: int
    count: int


@dataclass(frozen=True)
class Stage:
    """A block of SRAM for an op's constants, `off` bytes from the arena's start; size 0: none.

    chunk: bytes in front of it that hold a part of the weights at a time, the rest of the block
    the other arrays, if there is a rest; 0: all constants are copied at once (SPEC 2.8).
    """

    off: int = 0
    size: int = 0
    chunk: int = 0


@dataclass(frozen=True)
class Segment:
    """Tiles [start, end), then a commit. Energies in microjoule, at worst.

    worst_uj: restore + tiles + commit (the boot comes on top), restore_uj its first part.
    commit_bytes: data that the commit writes when every commit before it was made. obligatory:
    homes are given on behind this commit (SPEC 3), so no supply voltage allows to leave it out.
    """

    start: int
    end: int
    worst_cycles: int
    typical_cycles: int
    worst_uj: float
    commit_bytes: int
    restore_uj: float
    obligatory: bool = False


@dataclass(frozen=True)
class OpPace:
    """Worst-case cycles: of a tile beside its units, of a unit, of a copy of constants."""

    tile: int
    unit: int
    stage: int


@dataclass(frozen=True)
class Pace:
    """The cost model for the board (relume.plan.pace), cycles. mv2: of a square millivolt, times
    2^16; 0: the board does not look at the voltage. byte, access: written. crc: a live byte."""

    mv2: int = 0
    commit: int = 0
    byte: int = 0
    access: int = 0
    crc: int = 0
    ops: tuple[OpPace, ...] = ()

    def op(self, number: int) -> OpPace:
        """Of op `number`; zeros where nothing is known."""
        return self.ops[number] if self.ops else OpPace(0, 0, 0)


@dataclass(frozen=True)
class Plan:
    """A graph planned for one board, one NVM and one power budget. Offsets and sizes in bytes.

    arena_off, nvm_off: per tensor. scratch_off: per tile; empty: all behind the arena.
    boot_uj, charge_uj: one boot, one charge. worst_uj: the largest
    Segment.worst_uj, or the input's commit if that is larger. core: whose kernels it may use
    (relume.blob.layouts.select). stages: op number -> block of SRAM for its constants
    (relume.plan.staging). exchange_uj: a boot in which a host hands over the input, which a charge
    must hold if that is to go on harvested power. saved, price: bytes of SRAM that finer
    tiles save, and the share of cycles that they cost. pace: what the board counts with.
    tensor_of: TFLite tensor number -> blob tensor number.
    """

    graph: Graph
    board: str
    nvm: str
    budget: Budget
    tiles: tuple[Tile, ...]
    segments: tuple[Segment, ...]
    arena_off: tuple[int, ...]
    arena_size: int
    scratch_size: int
    nvm_off: tuple[int, ...]
    nvm_size: int
    boot_uj: float
    charge_uj: float
    worst_uj: float
    core: str = "portable"
    stages: Mapping[int, Stage] = field(default_factory=dict)
    exchange_uj: float = 0.0
    scratch_off: tuple[int, ...] = ()
    saved: int = 0
    price: float = 0.0
    pace: Pace = Pace()

    def stage(self, op: int) -> Stage:
        """Where an op's constants lie in SRAM."""
        return self.stages.get(op, Stage())

    @property
    def tensor_of(self) -> Mapping[int, int]:
        """TFLite tensor number -> blob tensor number."""
        return self.graph.tensor_of

    @property
    def worst_cycles(self) -> int:
        """Cycles of all segments, at worst."""
        return sum(segment.worst_cycles for segment in self.segments)

    def forecast(self) -> tuple[int, float]:
        """(charges, microjoule) of one inference at worst, nothing harvested while it runs.

        Each charge boots, restores and runs the segments that still fit; a cut falls only
        between segments here, so real runs may need one segment more per charge.
        """
        charges, total, left = 0, 0.0, 0.0
        for segment in self.segments:
            need = segment.worst_uj - segment.restore_uj
            if need > left:
                charges += 1
                left = self.charge_uj - self.boot_uj - segment.restore_uj
                total += self.boot_uj + segment.restore_uj
            left -= need
            total += need
        return charges, total
