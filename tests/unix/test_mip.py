"""`mpremote mip install` from a checkout: mpremote's own installer, the unix port as the board."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mpremote import mip  # type: ignore[import-untyped]

from tests.native import ROOT
from tests.unix.firmware import Machine
from tests.unix.nets import planned

pytestmark = pytest.mark.unix

FIRMWARE = ROOT / "firmware"
NATMOD = ROOT / "build" / "natmod" / "x64_6.3"


class Files:
    """What mpremote's installer asks of a board, on a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fs_exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def fs_mkdir(self, path: str) -> None:
        (self.root / path).mkdir()

    def fs_writefile(
        self, path: str, data: bytes, progress_callback: Callable[..., None] | None = None
    ) -> None:
        (self.root / path).write_bytes(data)


def installed(machine: Machine, package: Path) -> set[str]:
    """Names in the board's library folder."""
    mip._install_package(Files(machine.folder), str(package), "", "lib", None, True)
    lib = machine.folder / "lib"
    return {str(path.relative_to(lib)) for path in lib.rglob("*") if path.is_file()}


def run(machine: Machine, core: str) -> tuple[bool, bytes, bytes]:
    """(native, output, wanted) of a model, by the installed files alone."""
    net = planned(8, core=core)
    (machine.folder / "net.rlm").write_bytes(net.blob)
    native, output = machine.value(f"""
import sys, json
sys.path[:] = ["lib"]
import relume_pure
sys.modules["_relume"] = relume_pure
import relume
model = relume.Model("net.rlm")
print(json.dumps([relume_pure.engine.native is not None, list(model.run({net.input!r}))]))
""")
    return native, bytes(output), net.output


def test_the_python_part_alone(machine: Machine) -> None:
    names = installed(machine, FIRMWARE / "package_pure.json")
    assert "relume/model.py" in names and all(name.endswith(".py") for name in names)
    native, output, wanted = run(machine, "portable")
    assert not native and output == wanted


def test_the_native_module_with_its_bytecode(machine: Machine) -> None:
    if not (NATMOD / "package.json").is_file():
        pytest.skip("the native module is not built (make natmod)")
    names = installed(machine, NATMOD / "package.json")
    assert "_relume_native.mpy" in names and all(name.endswith(".mpy") for name in names)
    native, output, wanted = run(machine, "m0plus")
    assert native and output == wanted


def test_the_firmware_s_own_package_has_every_file(machine: Machine) -> None:
    names = installed(machine, FIRMWARE / "package.json")
    there = {f"relume/{path.name}" for path in (FIRMWARE / "relume").glob("*.py")}
    assert names == there - {"relume/__main__.py"}
    assert json.loads((FIRMWARE / "package.json").read_text())["version"]
