"""relume.Model on the emulated Pico, whose floats have 32 bits."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from relume.blob.reader import read_blob
from relume.link.inputs import quantize
from relume.link.outputs import in_file_type
from relume.model.graph import HostType

from tests.emulated.alone import slot
from tests.emulated.bench import BOARD, Repl
from tests.unix.nets import Net, planned

pytestmark = pytest.mark.emulated


@functools.cache
def board() -> tuple[Net, Repl]:
    """The firmware at its prompt, with an active model in flash."""
    made = planned(8)
    flash = bytearray(b"\xff" * BOARD.flash_bytes)
    at, image = BOARD.regions["blobs"].offset, slot(made.blob)
    flash[at : at + len(image)] = image
    repl = Repl(flash=bytes(flash))
    repl.boot()
    repl.type("import relume, json; from array import array")
    repl.type("m = relume.Model()")
    return made, repl


def test_an_output_is_the_engine_s_in_real_values() -> None:
    made, repl = board()
    blob = read_blob(made.blob)
    repl.type(f"y = m.predict({made.input!r})")
    output = np.frombuffer(bytes(json.loads(repl.type("print(list(bytes(y)))"))), np.float32)
    wanted = in_file_type(made.output, blob.output_tensor, HostType.FLOAT32)
    assert (output == wanted.reshape(-1)).all()
    assert repl.type("print(m.state, m.len, m.resumed)") == f"3 {blob.size} False"


def test_floats_are_quantised_as_the_host_and_tflite_do() -> None:
    """Halves and their neighbours, and values beyond the range."""
    made, repl = board()
    tensor = read_blob(made.blob).input_tensor
    rng = np.random.default_rng(5)
    halves = ((rng.integers(-200, 200, tensor.size) + 0.5) * np.float64(tensor.scale)).astype("f4")
    beside = np.nextafter(halves, np.float32(1e9), dtype=np.float32)
    values = np.where(rng.random(tensor.size) < 0.5, halves, beside)
    values[:4] = [1e30, -1e30, 0, -0.0]
    repl.type(f"x = array('f', {bytes(4 * tensor.size)!r})")
    raw = values.astype("f4").tobytes()
    for at in range(0, len(raw), 64):
        part = list(raw[at : at + 64])
        repl.type(f"import uctypes; memoryview(uctypes.bytearray_at(uctypes.addressof(x),"
                  f" {len(raw)}))[{at}:{at + len(part)}] = bytes({part})")  # fmt: skip
    found = json.loads(repl.type("print(list(bytes(m.quantised(x))))"))
    assert bytes(found) == quantize(values.astype("f4"), tensor)
