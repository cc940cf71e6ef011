"""The example for CircuitPython on the unix port, with modules in the shape of CircuitPython's:
Adafruit's FRAM driver, microcontroller.nvm, alarm. And what its stubs and circup say of it."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.native import ROOT, accepted
from tests.unix.firmware import Machine
from tests.unix.nets import Net, planned
from tests.unix.test_model import ENGINES

FIRMWARE = ROOT / "firmware"
CODE = FIRMWARE / "examples" / "circuitpython" / "code.py"

# A file behind slices, as adafruit_fram and microcontroller.nvm have them.
MEMORY = """
import os
class Memory:
    def __init__(self, path, size):
        try:
            os.stat(path)
        except OSError:
            with open(path, "wb") as file:
                file.write(bytes(size))
        self.file, self.size = open(path, "r+b"), size
    def __len__(self):
        return self.size
    def __getitem__(self, at):
        assert at.step is None and 0 <= at.start <= at.stop <= self.size
        self.file.seek(at.start)
        return bytearray(self.file.read(at.stop - at.start))
    def __setitem__(self, at, data):
        assert isinstance(data, (bytes, bytearray)) and at.stop - at.start == len(data)
        self.file.seek(at.start)
        self.file.write(data)
        self.file.flush()
"""
ALARM = """
import sys
class time:
    class TimeAlarm:
        def __init__(self, *, monotonic_time):
            self.at = monotonic_time
def light_sleep_until_alarms(*alarms):
    print("light sleep")
    if CUT:
        sys.exit()  # the power goes while it sleeps
    return alarms[0]
def exit_and_deep_sleep_until_alarms(*alarms):
    print("deep sleep")
    sys.exit()
"""
MODULES = {
    "cp_memory": MEMORY,
    "microcontroller": "from cp_memory import Memory\nnvm = Memory('nvm', 8192)\n",
    "board": "D5 = 5\ndef SPI():\n    return None\n",
    "digitalio": "class DigitalInOut:\n    def __init__(self, pin):\n        self.pin = pin\n",
    "adafruit_fram": "from cp_memory import Memory\ndef FRAM_SPI(bus, cs):\n"
                     "    assert cs.pin == 5\n    return Memory('fram', 262144)\n",
}  # fmt: skip
TIME = "class _Time:\n    def monotonic():\n        return 5.0\nsys.modules['time'] = _Time\n"
ABSENT = {"adafruit_fram": "def FRAM_SPI(bus, cs):\n    raise OSError('FRAM not found')\n"}


def modules(machine: Machine, net: Net, *, cut: bool, changed: dict[str, str]) -> None:
    """The board's files. cut: the power goes in each light sleep."""
    folder = machine.folder / "modules"
    folder.mkdir()
    for name, text in {**MODULES, "alarm": f"CUT = {cut}\n{ALARM}", **changed}.items():
        (folder / f"{name}.py").write_text(text)
    (machine.folder / "net.rlm").write_bytes(net.blob)


def start(machine: Machine) -> str:
    """What is printed from a turn-on to the next."""
    path = f"sys.path.append({str(machine.folder / 'modules')!r})\n"
    return machine.script(ENGINES["python"] + path + TIME + CODE.read_text())


def starts(machine: Machine, net: Net) -> list[str]:
    """The same, turn-on after turn-on, until the board sleeps deeply."""
    printed = []
    for _ in range(net.segments + 2):
        printed.append(start(machine))
        if "deep sleep" in printed[-1]:
            return printed
    raise AssertionError(printed)


def best(output: bytes) -> int:
    return max(range(len(output)), key=lambda i: output[i] ^ 128)


def small(seed: int) -> Net:
    net = planned(seed, core="portable")
    data = bytes(i * 7 & 255 for i in range(len(net.input)))
    checked = accepted(net.blob)
    output = bytes(checked.run(data)[checked.header.output])
    return Net(net.blob, data, output, net.tiles, net.segments)


@pytest.mark.unix
@pytest.mark.parametrize("seed", [4, 8])
@pytest.mark.parametrize("memory", ["fram", "nvm"])
@pytest.mark.parametrize("cut", [False, True])
def test_the_example_ends_with_the_engine_s_answer_through_cuts_in_its_sleep(
    machine: Machine, seed: int, memory: str, cut: bool
) -> None:
    net = small(seed)
    modules(machine, net, cut=cut, changed=ABSENT if memory == "nvm" else {})
    printed = starts(machine, net)
    assert f"inference 1: class {best(net.output)}" in printed[-1]
    sleeps = sum(one.count("light sleep") for one in printed)
    assert sleeps == net.segments - 1 and len(printed) == (net.segments if cut else 1)


@pytest.mark.unix
@pytest.mark.parametrize("lost", [(0, 4096), (256, 8192), (0, 8192)])
def test_what_a_cut_takes_from_the_chip_s_own_nvm_is_computed_again(
    machine: Machine, lost: tuple[int, int]
) -> None:
    """A page is erased before it is written; FRAM has no such moment."""
    net = small(8)
    nvm = machine.folder / "nvm"
    modules(machine, net, cut=True, changed=ABSENT)
    for _ in range(2):
        assert "light sleep" in start(machine)
    torn = bytearray(nvm.read_bytes())
    torn[lost[0] : lost[1]] = b"\xff" * (lost[1] - lost[0])
    nvm.write_bytes(torn)
    printed = starts(machine, net)
    assert f"inference 1: class {best(net.output)}" in printed[-1]
    assert len(printed) == net.segments


# ---- Types --------------------------------------------------------------------------------


def test_the_example_and_the_memory_s_shape_agree_with_circuitpython_s_stubs(
    tmp_path: Path,
) -> None:
    boards = importlib.util.find_spec("board_definitions")
    if boards is None or not boards.submodule_search_locations:
        pytest.skip("the Python package circuitpython-stubs is not installed")
    feather = Path(boards.submodule_search_locations[0]) / "feather_nrf52840_express"
    (tmp_path / "stubs").mkdir()
    shutil.copytree(feather, tmp_path / "stubs" / "board")
    for package in ("relume", "relume_pure"):  # beside them are MicroPython's modules
        shutil.copytree(FIRMWARE / "typings" / package, tmp_path / "stubs" / package)
    code = tmp_path / "code.py"  # the stubs have alarm.time as a module that is imported
    lines = CODE.read_text("utf-8").replace("import alarm\n", "import alarm\nimport alarm.time\n")
    code.write_text(lines)
    more = tmp_path / "more.py"
    more.write_text("import microcontroller\nimport relume\nimport relume_pure\n"
                    "assert microcontroller.nvm is not None\n"
                    "relume_pure.Bytes(microcontroller.nvm)\n"
                    "relume.Session('net.rlm', microcontroller.nvm)\n")  # fmt: skip
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import alarm\nimport microcontroller\n"
                     "alarm.light_sleep_until_alarm()\nmicrocontroller.nvm['a']\n")  # fmt: skip
    command = [sys.executable, "-m", "mypy", "--config-file=", "--check-untyped-defs",
               "--ignore-missing-imports", f"--cache-dir={tmp_path}"]  # fmt: skip
    env = {**os.environ, "MYPYPATH": str(tmp_path / "stubs")}
    said = {}
    for path in (code, more, wrong):
        done = subprocess.run(
            [*command, str(path)], capture_output=True, text=True, check=False, env=env
        )
        said[path] = done.stdout
    assert "Success" in said[code] and "Success" in said[more], said
    assert "light_sleep_until_alarm" in said[wrong] and said[wrong].count("error:") > 1


def test_the_python_part_imports_nothing_that_circuitpython_lacks() -> None:
    """Outside of try, and apart from what comes with the C module."""
    has = {"os", "struct", "array", "binascii", "time", "sys"}
    files = [*(FIRMWARE / "relume_pure").glob("*.py"),
             *(FIRMWARE / "relume" / f"{name}.py"
               for name in ("__init__", "board", "model", "older"))]  # fmt: skip
    for path in files:
        tree = ast.parse(path.read_text("utf-8"))
        guarded = {node for one in ast.walk(tree) if isinstance(one, ast.Try)
                   for node in ast.walk(one)}  # fmt: skip
        for node in ast.walk(tree):
            if node in guarded:
                continue
            if isinstance(node, ast.Import):
                assert {one.name for one in node.names} <= has, path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module in has, path


# ---- circup -------------------------------------------------------------------------------


def test_the_bundle_is_laid_out_as_circup_reads_it(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, str(FIRMWARE / "tools" / "bundle.py"), str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = Path(made.stdout.strip())
    name = path.stem
    assert re.fullmatch(r"relume-circuitpython-bundle-py-\d{8}", name)
    with zipfile.ZipFile(path) as bundle:
        files = {one: bundle.read(one).decode("utf-8") for one in bundle.namelist()}
    assert all(one.startswith(f"{name}/") for one in files)
    for package in ("relume", "relume_pure"):
        init = files[f"{name}/lib/{package}/__init__.py"]
        assert re.search(r'^__version__ = "0\.1\.0"$', init, re.M)
        assert f"{name}/requirements/{package}/requirements.txt" in files
        ast.parse(init)
    listed = {one.split("/lib/")[1] for one in files if "/lib/" in one}
    assert {"relume/model.py", "relume_pure/session.py"} <= listed
    assert files[f"{name}/requirements/relume/requirements.txt"] == "relume_pure\n"
    assert files[f"{name}/examples/relume_inference.py"] == CODE.read_text("utf-8")
