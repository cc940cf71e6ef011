"""relume.Model on MicroPython: numbers in and out, on the C engine and on the one in Python."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.reader import Blob, read_blob
from relume.link.inputs import quantize
from relume.link.outputs import in_file_type
from relume.model.graph import HostType

from tests.unix.firmware import Machine
from tests.unix.nets import Net, planned

pytestmark = pytest.mark.unix

FIRMWARE = Path(__file__).resolve().parent.parent.parent / "firmware"
ENGINES = {
    "c": f"import sys; sys.path[:] = [{str(FIRMWARE)!r}]\n",
    "python": f"""
import sys; sys.path[:] = [{str(FIRMWARE)!r}]
import relume_pure
sys.modules["_relume"] = relume_pure
""",
}
START = """
import json, relume
from array import array
model = relume.Model({path!r})
def said(x):
    try:
        model.quantised(x)
    except (TypeError, ValueError) as error:
        return str(error)
"""


def net(seed: int = 4) -> Net:
    return planned(seed, core="portable")


def typed(blob: bytes, kind: HostType) -> bytes:
    """The blob of a model whose file has another input and output type."""
    made = bytearray(blob)
    made[108] = made[109] = {HostType.INT8: 1, HostType.UINT8: 2, HostType.FLOAT32: 3}[kind]
    (meta,) = struct.unpack_from("<I", made, 12)
    made[16:20] = bytes(4)
    made[16:20] = struct.pack("<I", zlib.crc32(made[:meta]))
    return bytes(made)


def install(machine: Machine, kind: HostType = HostType.INT8, seed: int = 4) -> Blob:
    """net.rlm in the board's files."""
    blob = typed(net(seed).blob, kind)
    (machine.folder / "net.rlm").write_bytes(blob)
    return read_blob(blob)


def ask(machine: Machine, source: str, engine: str = "c", path: str = "net.rlm") -> Any:
    return machine.value(ENGINES[engine] + START.format(path=path) + source)


def real_output(blob: Blob, output: bytes) -> list[float]:
    values = in_file_type(output, blob.output_tensor, HostType.FLOAT32)
    return single(values.reshape(-1))


def single(values: Any) -> list[float]:
    """As float32: the board prints a digit less than a float64 has."""
    return [float(value) for value in np.asarray(values, np.float32)]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_output_is_the_engine_s_in_real_values(machine: Machine, engine: str) -> None:
    blob = install(machine)
    source = f"print(json.dumps([list(model.predict({net().input!r})), model.state]))"
    output, state = ask(machine, source, engine)
    assert single(output) == real_output(blob, net().output)
    assert state == 3  # taken


@pytest.mark.parametrize("kind", HostType)
def test_attributes_are_the_model_s_with_openmv_s_names(machine: Machine, kind: HostType) -> None:
    blob = install(machine, kind)
    source = """
names = [end + part for end in ("input", "output")
         for part in ("_shape", "_scale", "_zero_point", "_dtype")]
print(json.dumps([getattr(model, name) for name in names] + [model.len, model.ram_size]))
"""
    facts = ask(machine, source)
    dtype, up = {"INT8": ("b", 0), "UINT8": ("B", 128), "FLOAT32": ("f", 0)}[kind.name]
    for tensor, (shape, scale, zero, has) in zip(
        (blob.input_tensor, blob.output_tensor), (facts[:4], facts[4:8]), strict=True
    ):
        assert shape == [[1, *tensor.shape]] and has == [dtype]
        assert single(scale) == [tensor.scale] and zero == [tensor.zero_point + up]
    assert facts[8] == blob.size and facts[9] == blob.arena_size + blob.scratch_size


@pytest.mark.parametrize("form", ["list", "nested", "floats", "bytearray", "view"])
def test_every_form_of_an_input_gives_the_same(machine: Machine, form: str) -> None:
    blob = install(machine, HostType.FLOAT32)
    real = in_file_type(net().input, blob.input_tensor, HostType.FLOAT32)
    forms = {
        "list": f"{real.reshape(-1).tolist()}",
        "nested": f"{real.tolist()}",
        "floats": f"array('f', {real.reshape(-1).tolist()})",
        "bytearray": f"bytearray({net().input!r})",
        "view": f"memoryview(array('b', {np.frombuffer(net().input, np.int8).tolist()}))",
    }
    source = f"x = {forms[form]}\nprint(json.dumps(list(bytes(model.quantised(x)))))"
    assert bytes(ask(machine, source)) == net().input


def test_integers_are_the_model_s_own_type(machine: Machine) -> None:
    install(machine, HostType.UINT8)
    own = [byte ^ 128 for byte in net().input]
    forms = [f"{own}", f"bytes({own})", f"array('h', {own})", f"array('B', {own})"]
    source = "print(json.dumps([list(bytes(model.quantised(x))) for x in [" + ",".join(forms)
    for data in ask(machine, source + "]]))"):
        assert bytes(data) == net().input


@settings(deadline=None, max_examples=8)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40),
       st.integers(0, 1 << 30))  # fmt: skip
def test_floats_are_quantised_as_the_host_and_tflite_do(
    tmp_path_factory: pytest.TempPathFactory, odd: list[float], seed: int
) -> None:
    """Halves, their neighbours, values beyond the range and any others."""
    machine = Machine(tmp_path_factory.mktemp("board"))
    blob = install(machine)
    tensor, rng = blob.input_tensor, np.random.default_rng(seed)
    halves = ((rng.integers(-300, 300, tensor.size) + 0.5) * np.float64(tensor.scale)).astype("f4")
    beside = np.nextafter(halves, np.float32(rng.choice([-1e9, 1e9])), dtype=np.float32)
    others = rng.normal(0, 60, tensor.size) * tensor.scale
    values = np.choose(rng.integers(0, 3, tensor.size), [halves, beside, others]).astype("f4")
    values[: len(odd)] = odd[: tensor.size]
    raw = values.tobytes()
    source = f"x = array('f', range({tensor.size}))\nmemoryview(x)[:] = array('f', {raw!r})\n"
    source += "print(json.dumps(list(bytes(model.quantised(x)))))"
    assert bytes(ask(machine, source)) == quantize(values, tensor)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("[1, 2, 3]", "input has 3 values, the model takes (1, "),
        ("bytes(5)", "input has 5 values, the model takes (1, "),
        ("[0] * (SIZE - 1) + [200]", "200 at {last}, the model takes int8, -128 to 127"),
        ("array('h', [0] * (SIZE - 1) + [-129])", "-129 at {last}, the model takes int8"),
        ("[0.0] * (SIZE - 1) + [float('nan')]", "the value at {last} is not a finite number"),
        ("[0.0] * (SIZE - 1) + [float('-inf')]", "the value at {last} is not a finite number"),
        ("[None] * SIZE", "None at 0 is no number"),
        ("'text'", "a list, an array or bytes, not str"),
        ("7", "a list, an array or bytes, not int"),
        ("None", "a list, an array or bytes, not NoneType"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(machine: Machine, given: str, line: str) -> None:
    size = install(machine).input_tensor.size
    text = ask(machine, f"SIZE = {size}\nprint(json.dumps(said({given})))")
    assert line.format(last=size - 1) in text and "\n" not in text


def test_an_array_of_another_shape_is_refused(machine: Machine) -> None:
    """Arrays that have a shape, as ulab's do."""
    tensor = install(machine).input_tensor
    source = f"""
class Shaped(bytearray):
    pass
good, bad = Shaped({tensor.size}), Shaped({tensor.size})
good.shape = {tensor.shape}
bad.shape = ({tensor.size // 2}, 2)
print(json.dumps([said(good), said(bad)]))
"""
    good, bad = ask(machine, source)
    assert good is None
    assert f"input has shape ({tensor.size // 2}, 2), the model takes (1, " in bad


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_inference_is_finished_first_and_says_so(
    machine: Machine, engine: str
) -> None:
    blob = install(machine, seed=8)
    begin = f"""
nvm = None if {engine == "c"} else relume_pure.File("nvm.bin", 65536)
model = relume.Model("net.rlm", nvm)
model.begin(7, {net(8).input!r})
model.step()
print(json.dumps(model.state))
"""
    go_on = f"""
nvm = None if {engine == "c"} else relume_pure.File("nvm.bin", 65536)
model = relume.Model("net.rlm", nvm)
asked = []
def read():
    asked.append(1)
    return [0] * {blob.input_tensor.size}
first = list(model.predict(read))
said = [model.resumed, len(asked)]
model.predict(read)
print(json.dumps([first, said, [model.resumed, len(asked)]]))
"""
    assert ask(machine, begin, engine) == 1
    first, before, after = ask(machine, go_on, engine)
    assert single(first) == real_output(blob, net(8).output)
    assert before == [True, 0] and after == [False, 1]


def test_an_output_that_nobody_has_taken_is_given_once(machine: Machine) -> None:
    blob = install(machine)
    ask(machine, f"model.run({net().input!r})\nprint(json.dumps(model.state))")
    source = """
first, resumed = list(model.predict(None)), model.resumed
print(json.dumps([first, resumed, model.state]))
"""
    first, resumed, state = ask(machine, source)
    assert single(first) == real_output(blob, net().output) and resumed and state == 3


def test_another_model_s_inference_is_kept_and_the_way_out_told(machine: Machine) -> None:
    install(machine)
    ask(machine, f"model.begin(7, {net().input!r})\nprint(1)")
    (machine.folder / "other.rlm").write_bytes(net(8).blob)
    source = """
try:
    model.predict(b"")
except OSError as error:
    text = str(error)
model.clear()
print(json.dumps([text, len(model.predict([0] * model.info["input_size"]))]))
"""
    text, outputs = ask(machine, source, path="other.rlm")
    assert "another model" in text and "clear() gives it up" in text
    assert outputs == len(net(8).output)


def test_labels_lie_beside_the_blob(machine: Machine) -> None:
    blob = install(machine)
    names = [f"name {n}" for n in range(blob.output_tensor.size)]
    (machine.folder / "net.txt").write_text("\r\n".join(names) + "\n")
    output = real_output(blob, net().output)
    source = f"""
print(json.dumps([model.labels, model.label({output}), relume.Model(model=open("net.rlm", "rb")
      .read()).labels, relume.Model("net.rlm", labels=["x"]).labels]))
"""
    labels, label, none, given = ask(machine, source)
    assert labels == names and label == names[output.index(max(output))]
    assert none is None and given == ["x"]


def test_without_labels_a_label_is_a_number(machine: Machine) -> None:
    install(machine)
    assert ask(machine, "print(json.dumps([model.labels, model.label([1, 3, 3])]))") == [None, 1]


def test_a_list_of_one_input_gives_a_list_of_one_output(machine: Machine) -> None:
    """As OpenMV's predict() has it."""
    install(machine)
    source = f"""
x = {net().input!r}
print(json.dumps([list(model.predict(x)), [list(y) for y in model.predict([x])]]))
"""
    one, listed = ask(machine, source)
    assert listed == [one]


def test_a_deployed_model_is_found_by_name(machine: Machine) -> None:
    deploy = """
import _relume
blob = open("net.rlm", "rb").read()
import struct
_relume.slot_begin(len(blob), *struct.unpack_from("<II", blob, 16), "mine")
for at in range(0, len(blob), 256):
    _relume.slot_write(at, blob[at:at + 256])
_relume.slot_end()
"""
    install(machine)
    (machine.folder / "mine.txt").write_text("a\nb")
    machine.script(deploy)
    source = f"print(json.dumps([list(model.predict({net().input!r})), model.labels]))"
    output, labels = ask(machine, source, path="mine")
    assert len(output) == len(net().output) and labels == ["a", "b"]
    assert json.loads(machine.script(ENGINES["c"] + "import relume; print(relume.Model().len)"))
