"""The programs in firmware/examples/ do what they say, also when their power goes at random."""

from __future__ import annotations

import random
import re
import struct
import time
from pathlib import Path

import pytest
from relume.cli import main as relume

from tests.native import ROOT, accepted
from tests.unix.firmware import Machine
from tests.unix.nets import net
from tests.unix.test_model import ENGINES

pytestmark = pytest.mark.unix

EXAMPLES = ROOT / "firmware" / "examples"
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
    pytest.importorskip("ai_edge_litert")
    path = machine.folder / "digits.rlm"
    core = ["--core", "portable"] if engine == "python" else []
    tflite = EXAMPLES / "digits" / "digits.tflite"
    assert relume(["plan", str(tflite), "-o", str(path), *core]) == 0
    labels = (EXAMPLES / "digits" / "digits.txt").read_text()
    (machine.folder / "digits.txt").write_text(labels)
    printed = machine.script(ENGINES[engine] + source("digits"))
    assert re.findall(r"this is (\w+)", printed) == ["three", "eight", "zero"]
    assert f"model: {path.stat().st_size} bytes" in printed


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
    assert folders and all(f"`{name}/`" in listed for name in folders)
    assert all(Path(EXAMPLES / name / "main.py").is_file() for name in folders)
