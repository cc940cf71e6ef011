"""The programs in firmware/examples/ do what they say, also when their power goes at random."""

from __future__ import annotations

import importlib.util
import random
import re
import struct
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from relume.cli import main as relume

from tests.native import ROOT, accepted
from tests.unix.firmware import Machine
from tests.unix.nets import net
from tests.unix.test_model import ENGINES

pytestmark = pytest.mark.unix

EXAMPLES = ROOT / "firmware" / "examples"
CORES = {"c": (), "python": ("--core", "portable")}
MICROPHONE = """
import sys, struct
class machine:
    class ADC:
        file = open("sound.bin", "rb")
        def __init__(self, pin):
            assert pin == 26
        def read_u16(self):
            value = struct.unpack("<H", self.file.read(2))[0]
            return value << 4 | value >> 8
sys.modules["machine"] = machine
"""
ACCELEROMETER = """
import sys
class machine:
    class Pin:
        def __init__(self, number):
            pass
    class I2C:
        file = open("motion.bin", "rb")
        def __init__(self, number, sda, scl, freq):
            assert number == 0
        def writeto_mem(self, address, register, data):
            assert (address, register, data) == (0x68, 0x6B, b"\\0")
        def readfrom_mem(self, address, register, size):
            assert (address, register, size) == (0x68, 0x3B, 6)
            return self.file.read(6)
sys.modules["machine"] = machine
"""
COUNTED = """
import json, relume
print(json.dumps({key.decode(): int(value) for key, value in relume.Store().items()}))
"""
SLOT = """
import _relume, struct
blob = open("net.rlm", "rb").read()
_relume.slot_begin(len(blob), *struct.unpack_from("<II", blob, 16), "net")
for at in range(0, len(blob), 256):
    _relume.slot_write(at, blob[at:at + 256])
_relume.slot_end()
"""


def source(name: str) -> str:
    return (EXAMPLES / name / "main.py").read_text()


def module(path: Path) -> ModuleType:
    """A script of an example, imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def give(machine: Machine, name: str, core: tuple[str, ...] = ()) -> None:
    """The model and its labels as files of a machine."""
    pytest.importorskip("ai_edge_litert")
    folder, path = EXAMPLES / name, machine.folder / f"{name}.rlm"
    assert relume(["plan", str(folder / f"{name}.tflite"), "-o", str(path), *core]) == 0
    (machine.folder / f"{name}.txt").write_text((folder / f"{name}.txt").read_text())


def life(machine: Machine, code: str, seconds: float) -> str:
    """What a program printed before it was killed."""
    process = machine.start("-c", code)
    time.sleep(seconds)
    process.kill()
    out, errors = process.communicate()
    assert b"Traceback" not in errors, errors
    return out.decode()


@pytest.mark.parametrize("engine", ENGINES)
def test_digits_are_read(machine: Machine, engine: str) -> None:
    give(machine, "digits", CORES[engine])
    path = machine.folder / "digits.rlm"
    printed = machine.script(ENGINES[engine] + source("digits"))
    assert re.findall(r"this is (\w+)", printed) == ["three", "eight", "zero"]
    assert f"model: {path.stat().st_size} bytes" in printed


@pytest.mark.parametrize("engine", ENGINES)
def test_sounds_are_heard(machine: Machine, engine: str) -> None:
    """An ADC that gives the next sample whenever it is asked."""
    give(machine, "sounds", CORES[engine])
    made, rng = module(EXAMPLES / "sounds" / "make_sounds.py"), np.random.default_rng(11)
    names = [made.NAMES[n] for n in rng.permutation(np.arange(8) % 4)]
    parts = [part for name in names for part in (np.full(400, 2048), made.sound(rng, name))]
    (machine.folder / "sound.bin").write_bytes(np.concatenate(parts).astype("<u2").tobytes())
    code = source("sounds").replace("    main()\n", f"    main({len(names)})\n")
    printed = machine.script(ENGINES[engine] + MICROPHONE + code)
    assert re.findall(r"^(\w+) \(", printed, re.M) == names
    assert "power cut" not in printed


def test_a_sound_that_a_kill_interrupted_is_answered_at_the_next_start(machine: Machine) -> None:
    give(machine, "sounds")
    begin = """
import relume
model = relume.Model("sounds.rlm")
model.begin(1, model.quantised([0.25] * 96))
"""
    machine.script(begin)
    code = source("sounds").replace("    main()\n", "    main(1)\n")
    printed = machine.script(code)
    assert re.search(r"^\w+ \(\d+ %\), from before the power cut$", printed, re.M)


def test_every_gesture_is_counted_once(machine: Machine) -> None:
    """An accelerometer that gives the next row whenever it is asked; killed at random."""
    give(machine, "gestures")
    made, rng = module(EXAMPLES / "gestures" / "make_motions.py"), np.random.default_rng(5)
    names = [made.NAMES[n] for n in rng.permutation(np.arange(12) % 4)]
    for name in names:
        rows = np.round(made.motion(rng, name) * 16384).clip(-32768, 32767)
        (machine.folder / "motion.bin").write_bytes(rows.astype(">i2").tobytes())
        done = machine.value(COUNTED)
        number = done.get("counted", 0) + 1
        code = source("gestures").replace("RATE, ROWS = 50", "RATE, ROWS = 1000")
        code = ACCELEROMETER + code.replace("    main()\n", f"    main({number})\n")
        life(machine, code, 0.05 + rng.random() * 0.15)
        if machine.value(COUNTED) == done:
            machine.script(code)
        wanted = {**done, "counted": number, name: done.get(name, 0) + 1}
        assert machine.value(COUNTED) == wanted


def test_the_logger_s_log_is_what_it_has_counted(machine: Machine) -> None:
    code = source("sensor_node").replace("EVERY_S = 1", "EVERY_S = 0")
    code = code.replace("KEPT = 200", "KEPT = 20")
    fetch = (EXAMPLES / "sensor_node" / "fetch.py").read_text()
    assert machine.script(fetch) == "reading,celsius\n"
    for _ in range(4):
        life(machine, code, 0.2)
    lines = machine.script(fetch).strip().split("\n")[1:]
    newest = int(re.findall(r"with (\d+) readings", life(machine, code, 0.1))[0])
    assert [int(line.split(",")[0]) for line in lines] == list(range(newest - 19, newest + 1))
    assert all(20 <= float(line.split(",")[1]) < 25 for line in lines)


def test_a_sensor_node_s_statistics_survive_kills(machine: Machine) -> None:
    code = source("sensor_node").replace("EVERY_S = 1", "EVERY_S = 0")
    assert code != source("sensor_node")
    rng, seen = random.Random(3), 0
    for turn in range(1, 9):
        printed = life(machine, code, 0.1 + rng.random() * 0.2)
        behind = re.search(r"turn-on (\d+) with (\d+) readings", printed)
        assert behind, printed
        assert int(behind[2]) in (seen, seen + 1) and int(behind[1]) <= turn
        counted = re.findall(r"^(\d+) readings, mean (\S+), (\S+) to (\S+)\n", printed, re.M)
        seen = int(counted[-1][0]) if counted else int(behind[2])
        for number, mean, least, most in counted:
            assert float(least) - 0.01 <= float(mean) <= float(most) + 0.01, number
    assert seen > 20


def test_every_inference_of_the_loop_is_counted_once(machine: Machine) -> None:
    made, rng = net(8), random.Random(5)
    (machine.folder / "net.rlm").write_bytes(made.blob)
    machine.script(SLOT)
    code = source("infer_loop")
    for _ in range(8):
        life(machine, code, 0.03 + rng.random() * 0.1)
    state = machine.value("""
import json, relume, struct
print(json.dumps({key.decode(): struct.unpack("<I", value)[0]
                  for key, value in relume.Store().items()}))
""")
    done, checked = state.pop("done"), accepted(made.blob)
    assert done > 3
    wanted: dict[str, int] = {}
    for number in range(1, done + 1):
        data = bytes((number * 31 + i * 7) & 255 for i in range(len(made.input)))
        output = checked.run(data)[checked.header.output]
        values = struct.unpack(f"{len(output)}b", output)
        key = f"answer{values.index(max(values))}"
        wanted[key] = wanted.get(key, 0) + 1
    assert state == wanted


def test_each_example_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    folders = [path.name for path in EXAMPLES.iterdir() if path.is_dir()]
    assert folders and all(f"`{name}/" in listed for name in folders)
    for name in folders:
        assert [*(EXAMPLES / name).glob("main.py"), *(EXAMPLES / name).glob("code.py")], name
