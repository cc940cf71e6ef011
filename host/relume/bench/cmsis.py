"""The same layers by CMSIS-NN, from a checkout that the user has: nothing of it is shipped here.

Its integer sources are compiled for the same core with the flags of the firmware, run on the same
machine with code and data in SRAM, and give bytes and core cycles to put beside ours. Buffers that
its functions ask for are there; cycles are of arm_convolve_wrapper_s8,
arm_depthwise_conv_wrapper_s8 and arm_fully_connected_s8 as a caller sees them.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from relume.bench.image import compile_elf
from relume.bench.machine import SRAM, Machine
from relume.errors import RelumeError
from relume.model.graph import Graph, Kind, Op

CALL = Path(__file__).with_name("cmsis_call.c")
ENTRY = "relume_cmsis"
FOLDERS = ("ConvolutionFunctions", "FullyConnectedFunctions", "NNSupportFunctions")
NEEDED = (
    "Include/arm_nnfunctions.h",
    "Include/arm_nn_types.h",
    "Source/ConvolutionFunctions/arm_convolve_wrapper_s8.c",
    "Source/ConvolutionFunctions/arm_depthwise_conv_wrapper_s8.c",
    "Source/FullyConnectedFunctions/arm_fully_connected_s8.c",
)
FOREIGN = ("_f16", "_f32", "_s4", "_lstm", "_svdf", "_transpose", "_batch_", "_maxpool")
BUFFER_BYTES = 1 << 16
SERVED = (Kind.CONV_2D, Kind.DEPTHWISE_CONV_2D, Kind.FULLY_CONNECTED)


@dataclass(frozen=True)
class Rival:
    """What CMSIS-NN gave for a layer: core cycles, output bytes."""

    cycles: int
    output: bytes


class Cmsis:
    """A checkout of CMSIS-NN, compiled for a core and loaded into a machine of its own."""

    def __init__(self, root: Path, checkout: Path, core: str) -> None:
        self.machine = Machine(_build(root, checkout, core), core)

    def run(self, graph: Graph, op: Op, data: bytes) -> Rival:
        """One op of `graph` on its input's bytes. Errors: RelumeError."""
        if op.kind not in SERVED:
            raise RelumeError(f"bench: {op.kind.name} is not compared with CMSIS-NN")
        words, output, size = self._place(graph, op, data)
        self.machine.write(SRAM, struct.pack(f"<{len(words)}i", *words))
        status, count = self.machine.call(ENTRY, SRAM)
        if status:
            code = status - (1 << 32) if status >> 31 else status
            raise RelumeError(f"bench: CMSIS-NN refuses {op.name} (status {code})")
        return Rival(count.cycles, self.machine.read(output, size))

    def _place(self, graph: Graph, op: Op, data: bytes) -> tuple[list[int], int, int]:
        """(words as cmsis_call.c reads them, address and size of the output); arrays written."""
        source, out = graph.tensors[op.inputs[0]], graph.tensors[op.output]
        assert op.weights is not None and op.multipliers is not None and op.shifts is not None
        bias = b"" if op.bias is None else op.bias.astype("<i4").tobytes()
        arrays = (
            op.multipliers.astype("<i4").tobytes(),
            op.shifts.astype("<i4").tobytes(),
            op.weights.tobytes(),
            bias or bytes(4 * out.shape[2]),
            data,
            bytes(out.size),
            bytes(BUFFER_BYTES),
        )
        at, free = [], SRAM + 0x400
        for array in arrays:
            self.machine.write(free, array)
            at.append(free)
            free += (len(array) + 31) // 16 * 16
        w, dense = op.window, op.kind is Kind.FULLY_CONNECTED
        depth = op.weights[0].size if dense else source.shape[2]
        words = [
            source.shape[0], source.shape[1], depth, *out.shape, w.kh, w.kw, w.sh, w.sw,
            w.pad_top, w.pad_left, w.dil_h, w.dil_w, -source.zero_point, out.zero_point,
            op.act_min, op.act_max, max(1, op.depth_mult), *at, BUFFER_BYTES, int(op.kind),
        ]  # fmt: skip
        return words, at[5], out.size


def _build(root: Path, checkout: Path, core: str) -> Path:
    for name in NEEDED:
        if not (checkout / name).is_file():
            raise RelumeError(f"bench: {checkout} is no checkout of CMSIS-NN: it has no {name}")
    sources = sorted(
        path
        for folder in FOLDERS
        for path in (checkout / "Source" / folder).glob("*.c")
        if not any(part in path.name for part in FOREIGN)
    )
    headers = sorted((checkout / "Include").rglob("*.h"))
    digest = hashlib.sha256(core.encode())
    for path in (CALL, *sources, *headers):
        digest.update(path.name.encode() + path.read_bytes())
    elf = root / "build" / "bench" / f"cmsis-{core}-{digest.hexdigest()[:16]}.elf"
    if not elf.exists():
        # Not freestanding: its loads of four bytes are memcpy, which gcc then turns into LDR.
        options = ["-fhosted", "-ftree-loop-distribute-patterns", "-ffunction-sections"]
        options += ["-Wl,--gc-sections", f"-Wl,-u,{ENTRY}"]
        compile_elf(core, [CALL, *sources], [checkout / "Include"], elf, options)
    return elf
