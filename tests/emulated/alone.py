"""The firmware without a host: an inference whose input is in FRAM, on harvested power alone."""

from __future__ import annotations

import struct
import zlib

from relume.blob.format import NVM_NAMES
from relume.blob.pack import pack
from relume.link.messages import State
from relume.plan.types import Plan
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.record import BoardEvent
from relume_boards.virtual.supply import Harvest

from tests.emulated.bench import BOARD, supply
from tests.emulated.test_board_firmware import firmware
from tests.powercut.session import RL_OK, Board, Memory

INFERENCE = 7


def slot(blob: bytes) -> bytes:
    """The blob in its slot of flash (SPEC 5)."""
    meta_crc, data_crc = struct.unpack_from("<II", blob, 16)
    head = struct.pack("<4sIIII32s", b"RLSL", 1, len(blob), meta_crc, data_crc, b"net")
    head += struct.pack("<II", 0, BOARD.nvm_size(NVM_NAMES[blob[25]]))
    return (head + struct.pack("<I", zlib.crc32(head))).ljust(256, b"\xff") + blob


def committed(blob: bytes, data: bytes) -> bytes:
    """FRAM behind the commit of an input."""
    assert BOARD.fram is not None
    memory = Memory(BOARD.fram.size)
    board = Board(memory, blob)
    assert board.open() == RL_OK
    assert board.begin(INFERENCE, data) == RL_OK
    return bytes(memory.data)


class Alone:
    """A board whose capacitor is empty at first; emulated time only."""

    def __init__(
        self,
        plan: Plan,
        data: bytes,
        cap_f: float,
        harvest: float | Harvest,
        seed: int = 5,
        traced: bool = False,
    ) -> None:
        blob = pack(plan)
        self.plan = plan
        watts = harvest if isinstance(harvest, float) else None
        made = supply(cap_f, watts, None if watts else harvest)  # type: ignore[arg-type]
        self.pico = VirtualPico(
            BOARD,
            firmware(),
            seed=seed,
            fram=committed(blob, data),
            supply=made,
            traced=traced,
        )
        at = BOARD.regions["blobs"].offset
        image = slot(blob)
        self.pico.flash[at : at + len(image)] = image

    def run(self, seconds: float = 600.0) -> None:
        """To the output's commit, which a board that dies right behind it tells of when it is
        back."""
        while not any(event.state == State.DONE for event in self.events):
            assert self.pico.now < seconds and self.pico.advance(), "it does not end"

    @property
    def events(self) -> list[BoardEvent]:
        """What the firmware told."""
        return self.pico.run_record.events

    @property
    def charges(self) -> int:
        """Turn-ons so far."""
        return sum(change.on for change in self.pico.run_record.power)

    @property
    def commits(self) -> int:
        """Of the inference, by the newest record."""
        slots = [bytes(self.pico.fram.memory[at : at + 64]) for at in (0, 64)]
        newest = max(slots, key=lambda data: int.from_bytes(data[4:8], "little"))
        return int.from_bytes(newest[40:44], "little")

    def output(self) -> bytes:
        """The output's bytes at home."""
        tensor = self.plan.graph.output
        at = 256 + self.plan.nvm_off[tensor]
        return bytes(self.pico.fram.memory[at : at + self.plan.graph.tensors[tensor].size])
