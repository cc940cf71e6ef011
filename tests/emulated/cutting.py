"""The emulated Pico with the real firmware, its power cut at any cycle of any boot.

Emulated time only: a chain of lives is a function of its seed. What the NVM holds is read here by
SPEC 4, not by the code under test.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from relume.blob.pack import pack
from relume.blob.reader import Blob, read_blob
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan
from relume_boards.virtual.pico import VirtualPico

from tests.emulated.bench import BOARD, supply
from tests.emulated.test_board_firmware import firmware
from tests.kernels.netgen import random_net
from tests.powercut import session

RUNNING, DONE = 1, 2
FIRST = 1  # inference
FIRST_TILE_S = 9.7e-3  # of a small net (test_first_milliseconds.py)
LONGEST_S = 60e-3  # past the interpreter's first lines
COMMIT_S = {"fram": 0.0, "flash": 15e-3}  # what a life wants beside its tiles: a sector's erase
MOST = 60  # lives that one inference may take, then it is a livelock
assert BOARD.fram is not None
FRAM_SIZE = BOARD.fram.size
CAPACITOR_F = {"fram": 130e-6, "flash": 12e-3}
_VOLTS = BOARD.supply
_RECORD = struct.Struct("<4IHHBBHIIQIIHHIII")


@dataclass(frozen=True)
class Record:
    """The newest record, SPEC 4.1, and the live bytes that it names (of the output, when done)."""

    seq: int
    inference: int
    tile: int
    state: int
    brownouts: int
    live: bytes


@dataclass(frozen=True)
class Subject:
    """A net on an NVM: the file that it came from, and a flash with its model in a slot."""

    model: bytes
    image: bytes
    blob: Blob
    nvm: str
    flash: bytes

    @property
    def seconds(self) -> float:
        """The inference, at worst."""
        return sum(segment.worst_cycles for segment in self.blob.segments) / BOARD.hz

    def input_of(self, number: int) -> bytes:
        """Of inference `number`."""
        random = np.random.default_rng(number)
        return random.integers(0, 256, self.blob.input_tensor.size, np.uint8).tobytes()


def newest(blob: Blob, nvm: str, flash: bytes, fram: bytes) -> Record | None:
    """What the store holds."""
    region = BOARD.regions["store"]
    if nvm == "fram":
        found = [_fram_record(blob, fram, slot) for slot in (0, 64)]
    else:
        store = flash[region.offset : region.offset + region.size]
        pages = (at for at in range(0, len(store), 256) if at % 4096)
        found = [_flash_record(store, at) for at in pages]
    valid = [record for record in found if record is not None]
    return max(valid, key=lambda record: record.seq, default=None)


def _unpack(data: bytes) -> tuple[int, ...] | None:
    fields = _RECORD.unpack(data[:64])
    right = fields[0] == 0x31524C52 and fields[-1] == zlib.crc32(data[:60])
    return fields if right else None


def _fram_record(blob: Blob, fram: bytes, slot: int) -> Record | None:
    fields = _unpack(fram[slot : slot + 64])
    if fields is None:
        return None
    out = blob.tensors[blob.output]
    at = 256 + out.nvm_off
    return Record(fields[1], fields[3], fields[4], fields[6], fields[14], fram[at : at + out.size])


def _flash_record(store: bytes, at: int) -> Record | None:
    fields = _unpack(store[at : at + 64])
    if fields is None or store[at + 255] != 0:
        return None
    live, page = b"", fields[16]
    while len(live) < fields[10]:
        live += store[page : page + 255]
        page = (page + 256) % len(store)
        page += 256 * (page % 4096 == 0)
    return Record(fields[1], fields[3], fields[4], fields[6], fields[14], live[: fields[10]])


def prepared(seed: int, nvm: str) -> Subject:
    """A random net with its plan in a model slot (SPEC 5)."""
    model = random_net(seed)
    budget = Budget(CAPACITOR_F[nvm], _VOLTS.von_v, _VOLTS.voff_v)
    image = pack(make_plan(read_tflite(model), BOARD, budget, nvm))
    flash = bytearray(b"\xff" * BOARD.flash_bytes)
    head = b"RLSL" + struct.pack("<II", 1, len(image)) + image[16:24] + b"net".ljust(32, b"\0")
    head += struct.pack("<II", 0, BOARD.nvm_size(nvm))
    head += struct.pack("<I", zlib.crc32(head))
    slot = BOARD.regions["blobs"].offset
    flash[slot : slot + 256 + len(image)] = head.ljust(256, b"\xff") + image
    return Subject(model, image, read_blob(image), nvm, bytes(flash))


class Victim:
    """One board in emulated time, all the lives that it loses, and the host that feeds it."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self.subject, self.seed, self.random = subject, seed, random.Random(seed)
        self.supply = supply(1.0, 0.1)  # what cuts the power is the test
        self.cuts, self.cycles, self.number = 0, 0, FIRST - 1
        self.pico = VirtualPico(
            BOARD, firmware(), seed=seed, supply=self.supply, flash=subject.flash,
            fram=b"\xff" * FRAM_SIZE, fram_size=FRAM_SIZE, hold=False, xip=False,
        )  # fmt: skip

    @property
    def where(self) -> str:
        """What a failure says."""
        cut = self.pico.run_record.cuts[-1:]
        return f"seed {self.seed}, inference {self.number}, cut {self.cuts}: {cut} {self.record()}"

    def record(self) -> Record | None:
        """The newest record of the NVM."""
        of = self.subject
        return newest(of.blob, of.nvm, bytes(self.pico.flash), bytes(self.pico.fram.memory))

    def hand_over(self) -> None:
        """What the host does between two inferences, by its own session: take, next input."""
        fram = self.subject.nvm == "fram"
        store = BOARD.regions["store"]
        there = slice(0, FRAM_SIZE) if fram else slice(store.offset, store.offset + store.size)
        kept = self.pico.fram.memory if fram else self.pico.flash
        memory = session.Memory(there.stop - there.start, session.FRAM if fram else session.FLASH)
        memory.data[:] = kept[there]
        board = session.Board(memory, self.subject.image)
        assert board.open() == session.RL_OK, self.where
        if self.number >= FIRST:
            assert board.take(self.number) == session.RL_OK, self.where
        self.number += 1
        data = self.subject.input_of(self.number)
        assert board.begin(self.number, data) == session.RL_OK, self.where
        kept[there] = memory.data

    def life(self, fruitless: int) -> None:
        """One boot, cut at a random instant; later after `fruitless` lives without a commit."""
        self.supply.fill(_VOLTS.von_v)
        self.pico.advance()
        assert self.pico.chip is not None
        self.pico.run(self._length(fruitless))
        self.cycles += self.pico.chip.cycles
        self.pico.power_off("cut")
        self.cuts += 1

    def _length(self, fruitless: int) -> float:
        """Seconds: most in what goes on with the inference, some in boot, some in the
        interpreter's start."""
        roll = self.random.random()
        mean = (self.subject.seconds / 2 + COMMIT_S[self.subject.nvm]) * (1 + fruitless)
        if roll < 0.15:
            return self.random.uniform(0, FIRST_TILE_S)
        if roll < 0.95:
            return FIRST_TILE_S + self.random.expovariate(1 / mean)
        return self.random.uniform(FIRST_TILE_S, LONGEST_S)

    def inference(self) -> None:
        """Lives until the next inference is done; its output must be TFLite's."""
        self.hand_over()
        last, fruitless = -1, 0
        for _ in range(MOST):
            self.life(fruitless)
            record = self.record()
            assert record is not None and record.inference == self.number, self.where
            assert record.seq >= last and record.state in (RUNNING, DONE), self.where
            fruitless = fruitless + 1 if record.seq == last else 0
            last = record.seq
            if record.state == DONE:
                data = self.subject.input_of(self.number)
                wanted = reference_output(self.subject.model, data)
                assert record.live == wanted, f"another output; {self.where}"
                return
        raise AssertionError(f"{MOST} lives did not end it; {self.where}")


@dataclass(frozen=True)
class Chain:
    """Inferences on one board until its power was cut `cuts` times. The id replays them all."""

    net: int
    nvm: str
    seed: int
    cuts: int

    @property
    def name(self) -> str:
        """The id."""
        return f"pico/{self.net}/{self.cuts}/{self.nvm}:{self.seed}"

    def run(self) -> dict[str, int]:
        """Counts. A failure names the id and the cut."""
        victim = Victim(prepared(self.net, self.nvm), self.seed)
        inferences = 0
        while victim.cuts < self.cuts:
            try:
                victim.inference()
            except AssertionError as error:
                raise AssertionError(f"{error}\nid: {self.name}") from error
            inferences += 1
        kinds = Counter(event.kind for event in victim.pico.run_record.events)
        return {
            "cuts": victim.cuts, "inferences": inferences, "resumed": kinds["resumed"],
            "inside_writes": sum(cut.operation != "" for cut in victim.pico.run_record.cuts),
            "interpreter": kinds["booted"], "megacycles": victim.cycles // 1_000_000,
        }  # fmt: skip


def parse(text: str) -> Chain:
    """The chain of an id. Errors: ValueError."""
    match = re.fullmatch(r"pico/(\d+)/(\d+)/(fram|flash):(\d+)", text)
    if match is None:
        raise ValueError(f"{text}: not the id of a chain")
    return Chain(int(match[1]), match[3], int(match[4]), int(match[2]))


def replay(text: str) -> tuple[int, str]:
    """(0, the counts), or (1, why it failed). Errors: ValueError."""
    try:
        return 0, str(parse(text).run())
    except AssertionError as error:
        return 1, f"FAILED: {error}"


NETS = {"fram": (9, 16, 4, 21), "flash": (9, 16, 4, 0)}
HEAVY = tuple(
    Chain(net, nvm, seed, 45) for nvm, nets in NETS.items() for net in nets for seed in range(3)
)
