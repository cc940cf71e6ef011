"""relume run: from a name, a .rlm or a .tflite and an input file to output and figures."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relume.blob.reader import BlobTensor, read_blob
from relume.cli import main
from relume.commands import run as command
from relume.errors import LinkError
from relume.link.inputs import load_samples, quantize
from relume.model.graph import HostType

from tests.unit.fakeboard import FakeBoard, Kept, answer_of
from tests.unit.fakelines import TcpBoard
from tests.unit.test_deploy import refusal
from tests.unit.test_link_drops import NEW

BLOB = read_blob(NEW)
SHAPE = BLOB.input_tensor.shape
SIZE = BLOB.input_tensor.size
OUT = BLOB.output_tensor.size


def make(kept: Kept) -> FakeBoard:
    return FakeBoard(kept, input=SIZE, output=OUT)


@pytest.fixture
def board() -> Iterator[TcpBoard]:
    made = TcpBoard(Kept(), make)
    yield made
    made.stop()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.rlm").write_bytes(NEW)
    sample = np.arange(SIZE, dtype=np.int16).astype(np.int8).reshape(SHAPE)
    np.save(tmp_path / "one.npy", sample)
    np.save(tmp_path / "two.npy", np.stack([sample, sample[::-1]]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def int8(data: bytes) -> list[int]:
    return [int(value) for value in np.frombuffer(data, np.int8)]


def test_a_rlm_is_deployed_once_and_its_output_is_exact(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "net.rlm", "-p", board.url, "--input", "one.npy", "--json"]) == 0
    caught = capsys.readouterr()
    facts = json.loads(caught.out)
    data = np.load("one.npy").tobytes()
    assert facts["output"] == int8(answer_of(NEW, data, OUT))
    assert facts["argmax"] == int(np.argmax(facts["output"]))
    assert facts["brownouts"] == 0 and facts["charges"] == 1
    assert facts["commits"] == board.kept.commits and facts["cycles"] == 8000
    assert facts["nvm_bytes"] == 64 * board.kept.commits
    assert f"{len(NEW)} bytes verified" in caught.err
    assert main(["run", "net.rlm", "-p", board.url, "--input", "one.npy", "--json"]) == 0
    assert "verified" not in capsys.readouterr().err


def test_several_samples_give_a_list(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "net.rlm", "-p", board.url, "--input", "two.npy", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    both = np.load("two.npy")
    assert [f["output"] for f in facts] == [int8(answer_of(NEW, x.tobytes(), OUT)) for x in both]


def test_a_person_sees_a_table_with_labels(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "labels.txt").write_text("".join(f"word{n}\n" for n in range(10)))
    arguments = ["run", "net.rlm", "-p", board.url, "-i", "two.npy", "--labels", "labels.txt"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    both = np.load("two.npy")
    for row in both:
        best = int(np.argmax(np.frombuffer(answer_of(NEW, row.tobytes(), OUT), np.int8)))
        assert f"word{best}" in out
    assert "brown-outs" in out and "NVM bytes" in out


def test_a_name_runs_what_is_on_the_board(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board.kept.models, board.kept.active = {"digits": NEW}, "digits"
    assert main(["run", "digits", "-p", board.url, "--input", "one.npy", "--json"]) == 0
    data = np.load("one.npy").tobytes()
    assert json.loads(capsys.readouterr().out)["output"] == int8(answer_of(NEW, data, OUT))


def test_a_name_that_is_not_there_is_told_with_what_is(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-p", board.url, "-i", "one.npy"]
    assert "no model cats on the board (there: none)" in refusal(
        ["run", "cats", *arguments], capsys
    )
    board.kept.models, board.kept.active = {"cats": NEW, "digits": NEW}, "digits"
    assert "(there: cats, digits)" in refusal(["run", "dogs", *arguments], capsys)


def test_a_raw_file_of_the_wrong_size_and_missing_files_are_one_line(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.bin").write_bytes(bytes(SIZE + 1))
    line = refusal(["run", "net.rlm", "-p", board.url, "-i", "x.bin"], capsys)
    assert f"{SIZE + 1} bytes, the model takes {SIZE}" in line
    assert "no.npy: no such file" in refusal(["run", "net.rlm", "-i", "no.npy"], capsys)
    assert "no.rlm: no such file" in refusal(["run", "no.rlm", "-i", "one.npy"], capsys)
    line = refusal(["run", "net.rlm", "-p", board.url, "-i", "one.npy", "--timeline", "x"], capsys)
    assert "--timeline needs an emulated board" in line
    assert board.kept.models == {}


class Emulated(TcpBoard):
    """Stands for an emulated board: plugged for the deploy, unplugged for the run."""

    has_supply = True

    def __init__(self) -> None:
        super().__init__(Kept(), make)
        self.run: Any = types.SimpleNamespace(charges=3, brownouts=2, end=1.5)

    def unplug(self) -> None:
        assert self.kept.models, "deployed before the plug was pulled"
        assert self.kept.begun == 0
        super().unplug()


def test_an_emulated_board_is_plugged_for_the_deploy_and_unplugged_for_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Emulated] = []
    asked: list[str] = []

    def open_emulated(spec: str) -> Emulated:
        asked.append(spec)
        made.append(Emulated())
        return made[-1]

    fake = types.SimpleNamespace(open_emulated=open_emulated)
    monkeypatch.setitem(sys.modules, "relume_boards.virtual", fake)
    pages: list[Any] = []
    timeline = types.SimpleNamespace(write_timeline=lambda run, path: pages.append((run, path)))
    monkeypatch.setitem(sys.modules, "relume.report.timeline", timeline)
    port = "emu:RPI_PICO?power=10mW"
    assert main(["run", "net.rlm", "-p", port, "-i", "one.npy", "--timeline", "t.html"]) == 0
    assert made[0].log == ["plug", "unplug"] and made[0]._stop.is_set()
    supply = f"&cap={BLOB.cap_f * 1e6:.10g}uF&von={BLOB.von_v:g}&voff={BLOB.voff_v:g}"
    assert asked == [port + supply]
    assert "3 turn-ons, 2 brown-outs in 1.50 s emulated" in capsys.readouterr().out
    assert pages == [(made[0].run, Path("t.html"))]


def test_a_capacitor_that_the_port_names_is_kept() -> None:
    port = "emu:RPI_PICO?cap=1mF&von=4&trace=x.csv"
    assert command.port_text(port, BLOB) == f"{port}&voff={BLOB.voff_v:g}"
    for other in ("emu:RPI_PICO", "/dev/ttyACM0", "socket://h:1?power=1"):
        assert command.port_text(other, BLOB) == other


# ---- Input files ---------------------------------------------------------------

TENSOR = BlobTensor("x", (4, 3, 2), 24, 0.5, -3, 0, 0)


def saved(path: Path, array: Any) -> Path:
    np.save(path / "x.npy", array, allow_pickle=True)
    return path / "x.npy"


@pytest.mark.parametrize("shape", [(4, 3, 2), (1, 4, 3, 2), (24,), (1, 24), (4, 3, 2, 1)])
def test_one_sample_is_taken_in_any_equivalent_shape(tmp_path: Path, shape: tuple[int]) -> None:
    array = np.arange(24, dtype=np.int8).reshape(shape)
    assert load_samples(saved(tmp_path, array), TENSOR).items == (bytes(range(24)),)


def test_a_leading_axis_counts_samples(tmp_path: Path) -> None:
    array = np.arange(120, dtype=np.int8).reshape(5, 4, 3, 2)
    items = load_samples(saved(tmp_path, array), TENSOR).items
    assert items == tuple(bytes(range(24 * n, 24 * n + 24)) for n in range(5))


def test_float_input_is_quantised_as_tflite_does_and_said_so(tmp_path: Path) -> None:
    array = np.linspace(-80, 80, 24, dtype=np.float32).reshape(4, 3, 2)
    samples = load_samples(saved(tmp_path, array), TENSOR)
    assert samples.items == (quantize(array, TENSOR),)
    assert "scale 0.5, zero -3" in samples.notes[0]


def test_quantising_rounds_half_away_from_zero_and_clamps() -> None:
    values = np.array([0.25, -0.25, 0.75, -0.75, 0.24, 100.0, -100.0], np.float32)
    assert int8(quantize(values, replace(TENSOR, zero_point=0))) == [1, -1, 2, -2, 0, 127, -128]
    assert int8(quantize(np.zeros(1), TENSOR)) == [-3]


def test_quantising_agrees_with_tflite() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    from tests.unit.tflite_quantize import tflite_quantize

    values = np.random.default_rng(5).normal(0, 30, 4000).astype(np.float32)
    values[:64] = (np.arange(64) - 32) * 0.25
    for scale, zero in ((0.5, -3), (0.0039215689, -128), (0.1, 7)):
        tensor = replace(TENSOR, scale=scale, zero_point=zero)
        assert quantize(values, tensor) == tflite_quantize(values, scale, zero).tobytes()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((4, 3, 3), np.int8), "the model takes 4 x 3 x 2"),
        (np.zeros((0, 4, 3, 2), np.int8), "shape 0 x 4 x 3 x 2"),
        (np.zeros((2, 2, 4, 3, 2), np.int8), "leading sample axis"),
        (np.zeros((4, 3, 2), np.uint8), "dtype uint8: give int8, or float32"),
        (np.zeros((4, 3, 2), np.int64), "dtype int64"),
        (np.full((4, 3, 2), np.nan, np.float32), "finite"),
        (np.array(["a"]), "shape 1"),
        (np.array([{}]), "not a NumPy array file"),
        (np.int8(3), "a single number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path: Path, array: Any, text: str) -> None:
    path = saved(tmp_path, array)
    with pytest.raises(LinkError, match=text) as caught:
        load_samples(path, TENSOR)
    assert str(path) in str(caught.value)


def test_uint8_is_taken_for_a_model_of_uint8_alone(tmp_path: Path) -> None:
    array = np.arange(116, 140, dtype=np.uint8).reshape(4, 3, 2)
    items = load_samples(saved(tmp_path, array), TENSOR, HostType.UINT8).items
    assert int8(items[0]) == list(range(-12, 12))
    for kind in (HostType.INT8, HostType.FLOAT32):
        with pytest.raises(LinkError, match="dtype uint8: give int8, or float32"):
            load_samples(saved(tmp_path, array), TENSOR, kind)
    with pytest.raises(LinkError, match="uint8 needs the model's input type"):
        load_samples(saved(tmp_path, array), None)


def test_int8_and_raw_bytes_are_the_tensors_own_for_every_model(tmp_path: Path) -> None:
    array = np.arange(-12, 12, dtype=np.int8).reshape(4, 3, 2)
    (tmp_path / "x.bin").write_bytes(array.tobytes())
    for kind in HostType:
        assert load_samples(saved(tmp_path, array), TENSOR, kind).items == (array.tobytes(),)
        raw = load_samples(tmp_path / "x.bin", TENSOR, kind)
        assert raw.items == (array.tobytes(),)
        assert bool(raw.notes) == (kind is HostType.UINT8)


def test_an_output_of_another_size_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = TcpBoard(Kept(), lambda kept: FakeBoard(kept, input=SIZE, output=OUT + 1))
    assert main(["run", "net.rlm", "-p", odd.url, "-i", "one.npy"]) == 1
    odd.stop()
    line = f"the board gave an output of {OUT + 1} bytes, the model's has {OUT}"
    assert line in capsys.readouterr().err


def test_an_output_file_needs_a_model_file(
    board: TcpBoard, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(["run", "digits", "-i", "one.npy", "-o", "y.npy"], capsys)
    assert "--output needs the model's output type: give digits.rlm or .tflite" in line
    assert not Path("y.npy").exists()


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for content in (b"", b"\x93NUMPY", b"hello", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(LinkError, match=r"x\.npy"):
            load_samples(path, TENSOR)
    with pytest.raises(LinkError, match="float32 needs the model's scale"):
        load_samples(saved(tmp_path, np.zeros(24, np.float32)), None)
