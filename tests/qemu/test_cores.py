"""The shipped kernels on a Cortex-M0 and a Cortex-M4F of QEMU, against TFLite's reference."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from relume.bench.image import CC
from relume.blob.pack import pack
from relume.board.profile import load_board
from relume.model.graph import Kind
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan

from tests import native
from tests.kernels import m0plus_depthwise_ops, m0plus_ops, m4_ops, test_m0plus_add
from tests.kernels.netgen import random_net
from tests.kernels.oracle import packed, random_input, run_reference
from tests.native import Header
from tests.qemu import machine
from tests.shared import MODELS, model_file, model_input

CORES = tuple(machine.MACHINES)
SEEDS = range(16)
Cases = list[tuple[bytes, bytes]]


def tensors_of(blob: bytes, data: bytes, written: bytes) -> dict[int, bytes]:
    """Every tensor, from what the tiles wrote one after the other."""
    header = Header.of(blob)
    tensors = {header.input: bytearray(data)}
    at = 0
    for tile in range(header.n_tiles):
        op, first, count = header.tile(blob, tile)
        out, units, unit_bytes = header.op(blob, op)
        size = count * unit_bytes
        tensor = tensors.setdefault(out, bytearray(units * unit_bytes))
        tensor[first * unit_bytes : first * unit_bytes + size] = written[at : at + size]
        at += size
    assert at == len(written)
    return {number: bytes(tensor) for number, tensor in tensors.items()}


@pytest.mark.parametrize("core", CORES)
def test_random_nets_are_exact_tensor_by_tensor(core: str) -> None:
    models = [random_net(seed) for seed in SEEDS]
    nets = [packed(model, seed, core) for seed, model in zip(SEEDS, models, strict=True)]
    inputs = [random_input(net.input_size, seed) for seed, net in zip(SEEDS, nets, strict=True)]
    cases = [(net.blob, data) for net, data in zip(nets, inputs, strict=True)]
    for model, net, data, outcome in zip(
        models, nets, inputs, machine.run(core, cases), strict=True
    ):
        assert outcome.status == "RL_OK"
        tensors = tensors_of(net.blob, data, outcome.data)
        assert not net.mismatches(tensors, run_reference(model, data))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("core", CORES)
def test_a_real_model_is_exact_tensor_by_tensor(core: str, name: str) -> None:
    model, data = model_file(name).read_bytes(), model_input(name)
    net = packed(model, None, core)
    (outcome,) = machine.run(core, [(net.blob, data)])
    tensors = tensors_of(net.blob, data, outcome.data)
    assert not net.mismatches(tensors, run_reference(model, data))


def test_constants_that_are_copied_to_sram_give_the_same_bytes() -> None:
    board, cases = load_board("RPI_PICO"), []
    for seed in SEEDS:
        graph = read_tflite(random_net(seed))
        plan = make_plan(graph, board, Budget(1.0, 5.0, 1.8))
        cases.append((pack(plan), random_input(graph.tensors[graph.input].size, seed)))
    wanted = native.run_program(native.runners()[0], cases)
    assert machine.run("m0plus", cases, staged=True) == wanted


# ---- Does the emulated core notice? ------------------------------------------------------


@functools.cache
def ops(core: str) -> tuple[tuple[bytes, bytes], ...]:
    """Single ops of every kind that the core has kernels for, on inputs of all sorts."""
    if core == "m4":
        made = [m4_ops.case(kind, seed) for kind in m4_ops.KINDS for seed in range(12)]
        return tuple((one.fast, data) for one in made for data in one.inputs[:2])
    kinds = (Kind.CONV_2D, Kind.FULLY_CONNECTED)
    others = [m0plus_ops.case(kind, seed) for kind in kinds for seed in range(8)]
    others += [m0plus_depthwise_ops.case(seed) for seed in range(40)]
    others += [test_m0plus_add.case(seed) for seed in range(4)]
    return tuple((one.fast, data) for one in others for data in one.inputs[:2])


@functools.cache
def wanted(core: str) -> list[native.Outcome]:
    """What the portable C on the host gives for them."""
    return native.run_program(native.runners()[0], ops(core))


@pytest.mark.parametrize("core", CORES)
def test_single_ops_are_exact(core: str) -> None:
    assert machine.run(core, ops(core)) == wanted(core)


def routines(core: str, folder: Path) -> Iterator[str]:
    """Global labels of the core's assembly."""
    for source in sorted((native.NATIVE / "kernels" / core).glob("*.S")):
        made = folder / f"{source.name}.o"
        flags = ["-mthumb", *machine.MACHINES[core].flags, f"-I{native.NATIVE}"]
        subprocess.run([CC, *flags, "-c", str(source), "-o", str(made)], check=True)
        with made.open("rb") as file:
            symbols = ELFFile(file).get_section_by_name(".symtab").iter_symbols()
            yield from (
                one.name for one in symbols
                if one["st_info"]["bind"] == "STB_GLOBAL" and one["st_shndx"] != "SHN_UNDEF"
            )  # fmt: skip


def with_code(elf: Path, symbol: str, code: bytes, made: Path) -> Path:
    """The ELF with other code where a routine begins."""
    image = bytearray(elf.read_bytes())
    with elf.open("rb") as file:
        parsed = ELFFile(file)
        (found,) = parsed.get_section_by_name(".symtab").get_symbol_by_name(symbol)
        address = found["st_value"] & ~1
        (at,) = parsed.address_offsets(address)
    image[at : at + len(code)] = code
    made.write_bytes(image)
    return made


RETURN, UNDEFINED = b"\x70\x47", b"\x00\xde"


@pytest.mark.parametrize("core", CORES)
def test_every_routine_of_assembly_is_run_and_needed(core: str, tmp_path: Path) -> None:
    elf = machine.program(core)
    unnoticed = []
    for name in routines(core, tmp_path):
        made = with_code(elf, name, RETURN, tmp_path / "made.elf")
        try:
            if machine.run(core, ops(core), elf=made) == wanted(core):
                unnoticed.append(name)
        except machine.Stopped:
            continue
    assert not unnoticed


@pytest.mark.parametrize("core", CORES)
def test_a_fault_of_the_core_ends_the_program_with_an_error(core: str, tmp_path: Path) -> None:
    made = with_code(
        machine.program(core), "rl_engine_tile", UNDEFINED, tmp_path / "made.elf"
    )
    with pytest.raises(machine.Stopped):
        machine.run(core, ops(core)[:1], elf=made)
