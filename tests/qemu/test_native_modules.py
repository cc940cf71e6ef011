"""Each architecture's native module in MicroPython's own firmware on QEMU."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.qemu.repl import Failed, Micropython, package
from tests.unix.nets import planned

ARCHITECTURES = {
    "CORTEX_M0": ("armv6m", "m0plus"), "CORTEX_M3": ("armv7m", "portable"),
    "CORTEX_M4": ("armv7emsp", "m4"), "CORTEX_M7": ("armv7emdp", "m4"),
    "RISCV32": ("rv32imc", "portable"),
}  # fmt: skip
SEEDS = (5, 16)


def installed(board: Micropython, architecture: str) -> None:
    """The module is loaded at once, and its file is dropped."""
    files = package(architecture)
    module = next(iter(files))
    board.put(module, files.pop(module))
    board.run("import _relume_native")
    board.drop(module)
    for path, data in files.items():
        board.put(path, data)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def board(request: pytest.FixtureRequest) -> Iterator[tuple[Micropython, str]]:
    """A machine that was given the package of its architecture, and whose kernels these are."""
    architecture, core = ARCHITECTURES[request.param]
    with Micropython(request.param) as made:
        with pytest.raises(Failed, match="ImportError"):
            made.run("import _relume")
        installed(made, architecture)
        made.run("import json, _relume_native as native, relume_pure as r")
        yield made, core


@pytest.mark.parametrize("seed", SEEDS)
def test_inferences_end_with_the_engines_bytes_through_restarts(
    board: tuple[Micropython, str], seed: int
) -> None:
    machine, core = board
    made = planned(seed, core=core)
    machine.put("net.rlm", made.blob)
    machine.run("nvm = bytearray(16384); blob = D['net.rlm']")
    machine.run(f"s = r.Session(blob, nvm); s.open(); s.begin(7, {made.input!r})")
    for _ in range(made.segments):
        # As after a power cut: nothing but the NVM is left.
        machine.run("s = r.Session(blob, nvm); s.open()")
        result = machine.run("print(s.step())").strip()
    assert result == "2", "done"
    assert bytes(json.loads(machine.run("print(list(s.output()))"))) == made.output


def test_it_is_the_native_module_that_checks_and_computes(board: tuple[Micropython, str]) -> None:
    """Without it the Python part would give the same bytes, later."""
    machine, core = board
    made = planned(SEEDS[0], core=core)
    flipped = bytearray(made.blob)
    flipped[-1] ^= 1
    machine.put("net.rlm", made.blob)
    machine.put("bad.rlm", bytes(flipped))
    assert machine.run("print(native.check(D['net.rlm'], True)[0])").strip() == "0"
    assert int(machine.run("print(native.check(D['bad.rlm'], True)[0])")) < 0
    assert machine.run("print(r._blob.native is native)").strip() == "True"


@pytest.mark.parametrize(
    ("name", "other"),
    [("CORTEX_M0", "armv7m"), ("CORTEX_M3", "armv7emsp"), ("RISCV32", "armv6m"),
     ("CORTEX_M4", "rv32imc")],
)  # fmt: skip
def test_a_module_of_another_core_is_refused_by_name(name: str, other: str) -> None:
    with (
        Micropython(name) as board,
        pytest.raises(Failed, match=r"incompatible \.mpy|native code in \.mpy unsupported"),
    ):
        board.put("_relume_native.mpy", package(other)["_relume_native.mpy"][:64])
        board.run("import _relume_native")
