"""Runs the ops of a blob on a `Machine`, one by one, from given inputs."""

from __future__ import annotations

from dataclasses import dataclass

from relume.bench.machine import SRAM, XIP, Count, Machine
from relume.blob.reader import Blob, read_blob
from relume.errors import RelumeError

BLOB_STRUCT, _FAULT, ARENA = SRAM, SRAM + 64, SRAM + 0x100


@dataclass(frozen=True)
class OpRun:
    """One op's output bytes and what its tiles cost together."""

    output: bytes
    count: Count


class Runner:
    """A blob loaded into the machine's flash, checked by the engine's own checker."""

    def __init__(self, machine: Machine, image: bytes) -> None:
        self.machine = machine
        self.blob: Blob = read_blob(image)
        machine.write(XIP, image)
        status, _ = machine.call("rl_blob_check", XIP, len(image), 1, BLOB_STRUCT, _FAULT,
                                 count=False)
        if status:
            raise RelumeError(f"bench: the engine refuses the blob (status {status - (1 << 32)})")

    def put(self, tensor: int, data: bytes) -> None:
        """Writes a tensor's bytes into the arena."""
        self.machine.write(ARENA + self.blob.tensors[tensor].arena_off, data)

    def get(self, tensor: int) -> bytes:
        """Reads a tensor's bytes from the arena."""
        entry = self.blob.tensors[tensor]
        return self.machine.read(ARENA + entry.arena_off, entry.size)

    def run(self, op: int, count: bool = True) -> OpRun:
        """All tiles of one op; its inputs must lie in the arena."""
        total = Count(0, 0, 0)
        for number, tile in enumerate(self.blob.tiles):
            if tile.op == op:
                _, one = self.machine.call("rl_engine_tile", BLOB_STRUCT, ARENA, number,
                                           count=count, xip=count)
                total = Count(total.cycles + one.cycles, total.instructions + one.instructions,
                              total.xip_fills + one.xip_fills)
        return OpRun(self.get(self.blob.ops[op].out), total)

    def inputs(self, op: int) -> tuple[int, ...]:
        """Tensors that an op reads."""
        entry = self.blob.ops[op]
        return (entry.in0,) if entry.in1 is None else (entry.in0, entry.in1)


def tensors_of(runner: Runner, data: bytes) -> dict[int, bytes]:
    """Runs a whole model uncounted; every tensor's bytes by number."""
    values = {runner.blob.input: data}
    runner.put(runner.blob.input, data)
    for number, op in enumerate(runner.blob.ops):
        values[op.out] = runner.run(number, count=False).output
    return values
