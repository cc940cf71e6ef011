"""A blob's self-test: the output is TFLite's, and what computes wrongly is found."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from relume.blob.pack import with_test
from relume.blob.reader import read_blob
from relume.cli import main
from relume.errors import ModelError
from relume.link import selftest as host

from tests.native import accepted
from tests.pure.twin import engine
from tests.unit.tflite_nets import small_net

pytest.importorskip("ai_edge_litert")
from tests.unit.edge_nets import float_net, uint8_net

NETS: dict[str, Callable[[], bytes]] = {
    "int8": small_net,
    "float32": float_net,
    "uint8": uint8_net,
    "uint8 in, float32 out": lambda: uint8_net(last="FLOAT32"),
}


def planned(folder: Path, model: bytes, *options: str) -> bytes:
    """What `relume plan` writes."""
    (folder / "net.tflite").write_bytes(model)
    net, out = str(folder / "net.tflite"), folder / "net.rlm"
    assert main(["plan", net, "-o", str(out), *options]) == 0
    return out.read_bytes()


@pytest.mark.parametrize("name", NETS)
def test_plan_puts_tflite_s_output_into_the_blob(tmp_path: Path, name: str) -> None:
    blob = planned(tmp_path, NETS[name](), "--core", "portable")
    engine()
    from relume_pure import selftest

    crc, wanted, _ = selftest.run(blob)
    assert crc == wanted == read_blob(blob).test_crc != 0


def test_the_c_engine_s_output_is_the_wanted_one(tmp_path: Path) -> None:
    blob = planned(tmp_path, small_net())
    checked, facts = accepted(blob), read_blob(blob)
    data = host.known_input(facts.input_tensor.size)
    assert zlib.crc32(checked.run(data)[facts.output]) == facts.test_crc


def test_both_sides_have_one_input() -> None:
    engine()
    from relume_pure import selftest

    assert bytes(selftest.known_input(70_000)) == host.known_input(70_000)
    assert len(set(host.known_input(2000))) == 256


def test_a_changed_weight_is_found(tmp_path: Path) -> None:
    blob = bytearray(planned(tmp_path, small_net(), "--core", "portable"))
    at = struct.unpack_from("<I", blob, struct.unpack_from("<I", blob, 56)[0] + 48)[0]
    blob[at] ^= 0x55
    (meta,) = struct.unpack_from("<I", blob, 12)
    struct.pack_into("<I", blob, 20, zlib.crc32(blob[meta:]))
    sealed = with_test(bytes(blob), read_blob(tmp_path / "net.rlm").test_crc)
    engine()
    from relume_pure import selftest

    crc, wanted, _ = selftest.run(sealed)
    assert crc != wanted


def test_without_the_reference_kernels_there_is_none_and_plan_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(model: bytes, data: bytes) -> bytes:
        raise ModelError("absent")

    monkeypatch.setattr(host, "reference_output", absent)
    blob = planned(tmp_path, small_net(), "--json")
    assert read_blob(blob).test_crc == 0
    assert json.loads(capsys.readouterr().out)["test_crc"] is None
    planned(tmp_path, small_net())
    assert "ai-edge-litert" in capsys.readouterr().out
