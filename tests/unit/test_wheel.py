"""`make wheel`: an installation from the wheel alone can deploy to stock boards."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.native import ROOT

ARCHES = ("armv6m", "armv7m", "armv7emsp", "armv7emdp", "x64", "rv32imc")

ASK = """
import json
from dataclasses import replace
from relume.link import device
pico = device.Firmware("micropython", "1.25.0", "Pico", 4 << 10 | 0x306, "/lib", 4096, 1, 1)
print(json.dumps([device.__file__, sorted(device.package(pico)),
    sorted(device.package(replace(pico, mpy=5))),
    [len(device.native_module(arch)) for arch in %r]]))
"""


def test_an_installed_wheel_has_the_package_and_every_module(tmp_path: Path) -> None:
    natmod = ROOT / "build" / "natmod"
    made = [natmod / f"{arch}_6.3" / "_relume_native.mpy" for arch in ARCHES]
    if not all(path.is_file() for path in made) or not (natmod / "bytecode").is_dir():
        pytest.skip("the native modules are not built (make natmod)")
    done = subprocess.run(
        [str(ROOT / "firmware/tools/wheel.sh"), str(Path(sys.executable).relative_to(ROOT))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(done.stdout.strip().splitlines()[-1]) as wheel:
        wheel.extractall(tmp_path)
    answer = subprocess.run(
        [sys.executable, "-c", ASK % (ARCHES,)], cwd=tmp_path, capture_output=True, text=True,
        check=True, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    place, compiled, plain, sizes = json.loads(answer.stdout)
    assert place.startswith(str(tmp_path))
    assert [name.replace(".mpy", ".py") for name in compiled] == plain
    assert all(name.endswith(".mpy") for name in compiled) and "relume/model.py" in plain
    assert sizes == [path.stat().st_size for path in made]
