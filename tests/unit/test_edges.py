"""Models with float32 or uint8 in and out: the host does what their conversions did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.blob.reader import BlobTensor, read_blob
from relume.board.profile import load_board
from relume.cli import main
from relume.errors import BlobError, ModelError
from relume.link.inputs import load_samples, quantize
from relume.link.outputs import in_file_type
from relume.model.dead import without_dead_channels
from relume.model.graph import HostType
from relume.model.tflite_reader import read_tflite, survey
from relume.plan.planner import Budget, make_plan

from tests import native
from tests.unit import blob_edit, fakeboard
from tests.unit.edge_nets import Array, dequantize_net, float_net, reference, uint8_net
from tests.unit.fakelines import TcpBoard
from tests.unit.tflite_nets import small_net

BYTES = np.random.default_rng(3).permutation(256).astype(np.uint8)
FLOATS = np.random.default_rng(1).normal(0, 3, 32).astype(np.float32)
FILES: dict[str, tuple[Callable[[], bytes], Array, HostType, HostType]] = {
    "float32": (float_net, FLOATS, HostType.FLOAT32, HostType.FLOAT32),
    "uint8": (uint8_net, BYTES, HostType.UINT8, HostType.UINT8),
    "uint8 in, float32 out": (
        lambda: uint8_net(last="FLOAT32"), BYTES, HostType.UINT8, HostType.FLOAT32,
    ),
}  # fmt: skip


def planned(model: bytes) -> bytes:
    graph = without_dead_channels(read_tflite(model))
    return pack(make_plan(graph, load_board("RPI_PICO"), Budget(1.0, 5.0, 1.8)))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_other_types_gives_tflites_values(name: str, tmp_path: Path) -> None:
    make, values, first, last = FILES[name]
    model = make()
    assert survey(model).supported
    blob = read_blob(planned(model))
    assert (blob.input_type, blob.output_type) == (first, last)
    np.save(tmp_path / "x.npy", values.reshape(blob.input_tensor.shape))
    samples = load_samples(tmp_path / "x.npy", blob.input_tensor, blob.input_type)
    output = native.accepted(blob.image).run(samples.items[0])[blob.output]
    mine, want = in_file_type(output, blob.output_tensor, last), reference(model, values)
    assert mine.dtype == want.dtype and np.array_equal(mine.reshape(-1), want)


@pytest.mark.parametrize("zero", [-128, -3, 127])
@pytest.mark.parametrize("scale", [1 / 256, 0.1, 0.7234567, 3e-9])
def test_every_output_byte_is_dequantised_as_tflite_does(scale: float, zero: int) -> None:
    data = BYTES.view(np.int8)
    tensor = BlobTensor("y", (1, 1, 256), 256, float(np.float32(scale)), zero, 0, 0)
    mine = in_file_type(data.tobytes(), tensor, HostType.FLOAT32)
    assert np.array_equal(mine.reshape(-1), reference(dequantize_net(scale, zero), data))


def test_floats_in_the_middle_are_refused_by_layer() -> None:
    with pytest.raises(ModelError, match="op 1, layer t2, DEQUANTIZE: "):
        read_tflite(float_net(island=True))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (uint8_net(source=(0.06, 135)), "model input t0: uint8 with scale 0.06, zero point 135"),
        (uint8_net(source=(0.05, 134)), "model input t0: uint8 with scale 0.05, zero point 134"),
        (uint8_net(target=(0.02, 117)), "model output t3: uint8 with scale 0.02, zero point 117"),
    ],
)
def test_uint8_of_another_quantization_is_refused_by_name(model: bytes, text: str) -> None:
    with pytest.raises(ModelError, match=f"{text} beside int8 .* 128 apart can be run"):
        read_tflite(model)
    assert text in survey(model).problems[0]


def test_just_below_a_half_is_rounded_down() -> None:
    tensor = read_blob(planned(float_net())).input_tensor
    value = np.nextafter(np.float32(0.5), np.float32(0)) * np.float32(tensor.scale)
    scaled = np.float32(value) / np.float32(tensor.scale)
    assert scaled < 0.5
    assert quantize(np.array([value]), tensor) == bytes([tensor.zero_point])


def test_a_model_of_int8_says_so() -> None:
    blob = read_blob(planned(small_net()))
    assert (blob.input_type, blob.output_type) == (HostType.INT8, HostType.INT8)


@pytest.mark.parametrize(("field", "offset"), [("input_type", 108), ("output_type", 109)])
@pytest.mark.parametrize("value", [0, 4, 255])
def test_an_unknown_type_is_refused_at_its_offset(field: str, offset: int, value: int) -> None:
    image = blob_edit.put(planned(small_net()), {f"header.{field}": value})
    with pytest.raises(BlobError, match=f"offset {offset}: unknown type {value}"):
        read_blob(image)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (float_net(), "float32 in, float32 out: converted on the host"),
        (uint8_net(last="FLOAT32"), "uint8 in, float32 out: converted on the host"),
        (small_net(), None),
    ],
)
def test_check_says_what_the_host_converts(
    model: bytes, line: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.tflite").write_bytes(model)
    assert main(["check", str(tmp_path / "net.tflite")]) == 0
    out = capsys.readouterr().out
    assert (line in out) if line else ("converted on the host" not in out)


def test_check_says_which_ops_the_host_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.tflite").write_bytes(uint8_net())
    assert main(["check", str(tmp_path / "net.tflite"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [op["note"] for op in facts["ops"]] == ["done by the host", "", "done by the host"]
    assert (facts["input_type"], facts["output_type"]) == ("uint8", "uint8")


@pytest.mark.parametrize("name", FILES)
def test_run_takes_and_gives_the_types_of_the_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, values, _, last = FILES[name]
    image = planned(make())
    blob = read_blob(image)

    def computed(image: bytes, data: bytes, size: int) -> bytes:
        return native.accepted(image).run(data)[blob.output]

    monkeypatch.setattr(fakeboard, "answer_of", computed)
    (tmp_path / "net.rlm").write_bytes(image)
    np.save(tmp_path / "x.npy", values.reshape(1, *blob.input_tensor.shape))
    board = TcpBoard(
        fakeboard.Kept(),
        lambda kept: fakeboard.FakeBoard(kept, input=values.size, output=blob.output_tensor.size),
    )
    paths = [str(tmp_path / name) for name in ("net.rlm", "x.npy", "y.npy")]
    arguments = ["run", paths[0], "-p", board.url, "-i", paths[1], "-o", paths[2], "--json"]
    try:
        assert main(arguments) == 0
    finally:
        board.stop()
    facts = json.loads(capsys.readouterr().out)
    want = reference(make(), values)
    assert np.array_equal(np.array(facts["values"], want.dtype), want)
    assert facts["type"] == last.name.lower() and facts["argmax"] == int(np.argmax(want))
    saved = np.load(paths[2])
    assert saved.dtype == want.dtype and saved.shape == (1, *blob.output_tensor.shape)
    assert np.array_equal(saved.reshape(-1), want)
    raw = in_file_type(np.array(facts["output"], np.int8).tobytes(), blob.output_tensor, last)
    assert np.array_equal(raw.reshape(-1), want)
