"""relume simulate: table, JSON, picture, and one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from relume.blob.format import HEADER
from relume.blob.reader import read_blob
from relume.cli import main
from relume.sim.policies import POLICIES

from tests.kernels.netgen import random_net
from tests.shared import model_file, shared_file
from tests.unit.tflite_nets import small_net

KEYS = {"time_p50_s", "time_p95_s", "energy_mj", "wasted_mj", "nvm_bytes", "commits", "charges",
        "livelock"}  # fmt: skip
FEW = ["--starts", "20"]


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_net())
    return str(path)


def _json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float]]:
    assert main(["simulate", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["cap_f", "harvest", "commit_overhead", "policies"]
    policies: dict[str, dict[str, float]] = document["policies"]
    return policies


def test_json_has_every_policy_with_every_figure(
    net: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _json([net, "--cap", "1mF", "--trace", "3mW", *FEW], capsys)
    assert list(found) == list(POLICIES)
    assert all(set(row) == KEYS for row in found.values())


def test_processes_change_nothing(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [net, "--cap", "470uF", "--trace", "3mW", "--policy", "relume,oracle,stateful"]
    one = _json([*arguments, *FEW], capsys)
    assert list(one) == ["relume", "oracle", "stateful"]
    assert _json([*arguments, *FEW, "--jobs", "2"], capsys) == one


def test_the_table_and_the_picture_name_every_policy(
    net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "p.svg"
    arguments = ["simulate", net, "--cap", "1mF", "--trace", "3mW", *FEW, "-o", str(picture)]
    assert main(arguments) == 0
    out, svg = capsys.readouterr().out, picture.read_text("utf-8")
    assert all(name in out and f">{name}</text>" in svg for name in POLICIES)


def test_lists_of_capacitors_and_scales_are_studied_in_pairs(
    net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same figures as one by one, with and without processes; a panel each in the picture."""
    picture = tmp_path / "p.svg"
    shared = [net, "--trace", "3mW", "--policy", "relume,oracle,inas", *FEW]
    lists = ["simulate", *shared, "--cap", "470uF,1mF", "--scale", "1,2", "--json"]
    assert main([*lists, "-o", str(picture)]) == 0
    studies = json.loads(capsys.readouterr().out)["studies"]
    assert main([*lists, "--jobs", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["studies"] == studies
    pairs = [("470uF", "1"), ("470uF", "2"), ("1mF", "1"), ("1mF", "2")]
    for (cap, scale), study in zip(pairs, studies, strict=True):
        assert _json([*shared, "--cap", cap, "--scale", scale], capsys) == study["policies"]
    svg = picture.read_text("utf-8")
    assert svg.count(">inas</text>") == 4
    assert ">470 uF, constant 3 mW<" in svg and ">1 mF, constant 3 mW x2<" in svg


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["NET", "--trace", "3mW", "--policy", "magic"], "unknown policy 'magic'"),
        (["NET", "--trace", "3W"], "its power would not fail"),
        (["NET", "--trace", "3mW", "--nvm", "flash"], "costed for FRAM, use fram or fram-i2c"),
        (["x.rlm", "--trace", "3mW"], "x.rlm: No such file"),
        (["NET", "--trace", "3mW", "--blob", "b.rlm"], "--blob: one policy"),
        (["NET", "--trace", "3mW", "--policy", "sonic", "--blob", "b.rlm"], "cannot follow it"),
        (["NET", "--trace", "absent.csv"], "absent.csv: No such file"),
        (["NET", "--trace", "3mW", "-o", "p.png"], "the picture is an .svg"),
        (["NET", "--trace", "3mW", "--starts", "0"], "at least 1"),
        (["NET", "--trace", "3mW", "--scale", "1,x"], "numbers with commas between"),
        (["NET", "--trace", "3mW", "--cap", "1mF,"], "capacitance ''"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(
    net: str, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [net if argument == "NET" else argument for argument in arguments]
    assert main(["simulate", *given]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and text in err


def test_a_blob_stands_for_the_model_beside_it(
    net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = str(tmp_path / "small.rlm")
    assert main(["plan", net, "--cap", "680uF", "-o", blob]) == 0
    capsys.readouterr()
    shared = ["--trace", "3mW", "--policy", "relume,nodpa", *FEW]
    found = _json([blob, *shared], capsys)
    assert found == _json([net, "--cap", "680uF", *shared], capsys)
    Path(net).write_bytes(random_net(3))
    assert main(["simulate", blob, *shared]) == 1
    assert "planned from another model" in capsys.readouterr().err
    Path(net).unlink()
    assert main(["simulate", blob, *shared]) == 1
    assert "put small.tflite beside it" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["layerwise", "nodpa", "inasplus", "dynbal", "relume-fixed"])
def test_a_policy_is_written_as_a_plan_of_its_tiles(
    net: str, tmp_path: Path, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.rlm"
    arguments = ["simulate", net, "--cap", "1mF", "--trace", "3mW", "--policy", policy, *FEW]
    assert main([*arguments, "--blob", str(path)]) == 0
    blob = read_blob(path)
    if policy != "relume-fixed":
        assert [segment.end_tile for segment in blob.segments] == [*range(1, len(blob.tiles) + 1)]
    if policy == "layerwise":
        assert [tile.op for tile in blob.tiles] == [*range(len(blob.ops))]
    assert HEADER.parse(blob.image).mv2_cycles == 0, "the voltage decides nothing"


@pytest.mark.parametrize("name", ["kws", "vww"])
def test_reference_models_finish_near_the_oracle(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On recorded RF times 20 and 1 mF: the oracle is never passed, ours stays below twice it."""
    trace = str(shared_file("traces/mementos_rf_1.txt"))
    arguments = [str(model_file(name)), "--cap", "1mF", "--trace", trace, "--scale", "20"]
    found = _json([*arguments, "--starts", "100"], capsys)
    times = {policy: row["time_p50_s"] for policy, row in found.items()}
    assert all(time is None or time >= times["oracle"] for time in times.values())
    assert times["relume"] <= 2 * times["oracle"]
