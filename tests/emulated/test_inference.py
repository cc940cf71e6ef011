"""The whole way on the emulated Pico: real image, serial link, a capacitor that runs empty."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.blob.reader import Blob, read_blob
from relume.errors import LinkError
from relume.link.client import Board
from relume.link.inference import Result
from relume.link.ports import open_port
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.costs import CostModel
from relume.plan.planner import Budget, make_plan, sufficient_capacitor
from relume.plan.types import Pace
from relume_boards.virtual.emulated import EmulatedBoard
from relume_boards.virtual.fram import Fault

from tests import native
from tests.emulated.bench import BOARD
from tests.emulated.test_board_firmware import firmware
from tests.kernels import m0plus_ops
from tests.kernels.netgen import random_net
from tests.shared import ROOT, model_file, model_input

pytestmark = pytest.mark.emulated

SUPPLY = BOARD.supply


class Bench:
    """An emulated board that `-p emu:` gave, and the client that speaks to it."""

    def __init__(self, query: str) -> None:
        firmware()
        self.port = open_port(f"emu:RPI_PICO?{query}")
        assert isinstance(self.port.emulated, EmulatedBoard)
        self.emulated = self.port.emulated
        self.board = Board(self.port)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()


def blob_for(
    model: bytes, nvm: str = "fram", *, follows: bool = True
) -> tuple[bytes, Blob, float]:
    """The blob for the smallest capacitor that is proven sufficient, and that capacitor.

    follows: commits follow the supply's voltage; else every planned one is made."""
    graph = read_tflite(model)
    cap = 1.02 * sufficient_capacitor(
        graph, BOARD, SUPPLY.von_v, SUPPLY.voff_v, nvm, "exact", exchange=True
    )
    plan = make_plan(graph, BOARD, Budget(cap, SUPPLY.von_v, SUPPLY.voff_v), nvm)
    image = pack(plan if follows else replace(plan, pace=Pace()))
    return image, read_blob(image), cap


def random_bytes(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def infer_on_harvest(
    model: bytes, inputs: list[bytes], watts: str, nvm: str = "fram"
) -> tuple[list[Result], Bench]:
    image, blob, cap = blob_for(model, nvm)
    with Bench(f"cap={cap * 1e9:.0f}nF&power={watts}&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.unplug(empty=True)
        results = [bench.board.run(data, number=n, blob=blob) for n, data in enumerate(inputs)]
    return results, bench


def test_a_keyword_net_is_exact_through_many_brown_outs() -> None:
    model, data = model_file("kws").read_bytes(), model_input("kws")
    results, bench = infer_on_harvest(model, [data], "2mW")
    assert results[0].output == reference_output(model, data)
    assert results[0].brownouts >= 1
    assert results[0].charges == results[0].brownouts + 1
    assert bench.emulated.pico.record.brownouts >= results[0].brownouts


@pytest.mark.parametrize("seed", [3, 11])
def test_a_random_net_is_exact_with_checkpoints_in_flash(seed: int) -> None:
    model = random_net(seed)
    size = read_tflite(model)
    data = random_bytes(size.tensors[size.input].size, seed)
    results, _ = infer_on_harvest(model, [data, data], "6mW", "flash")
    expected = reference_output(model, data)
    assert [result.output for result in results] == [expected, expected]


def segment_cycles(
    query: str, model: bytes, data: bytes, *, traced: bool = False
) -> list[tuple[float, float]]:
    """Of each segment of a net: core cycles from commit to commit, and the plan's.

    traced: every XIP miss of the inference counts where it happens."""
    image, blob, _ = blob_for(model, follows=False)
    with Bench(query) as bench:
        bench.board.deploy(image, "net")
        bench.emulated.pico.traced = traced
        bench.board.run(data, blob=blob)
        events = [e for e in bench.emulated.events if e.kind == "committed"]
    assert [e.tile for e in events] == [0] + [s.end_tile for s in blob.segments]
    hz, store = BOARD.hz, BOARD.store
    byte = 8 * hz / CostModel(read_tflite(model), BOARD, "fram").spi_hz() + store.live_crc
    return [
        ((after.boot_us - before.boot_us) * 1e-6 * hz,
         segment.worst_cycles + store.step + segment.commit_bytes * byte)
        for before, after, segment in zip(events, events[1:], blob.segments, strict=False)
    ]


def test_no_segment_takes_longer_than_its_plan() -> None:
    """Exact cycles, without the XIP model, whose samples blur one segment into the next."""
    model, data = model_file("kws").read_bytes(), model_input("kws")
    for took, planned in segment_cycles("seed=2&xip=0", model, data):
        assert took <= planned


@pytest.mark.parametrize("seed", [3, 11])
def test_no_segment_takes_longer_than_its_plan_with_every_xip_miss(seed: int) -> None:
    model = random_net(seed)
    size = read_tflite(model)
    data = random_bytes(size.tensors[size.input].size, seed)
    for took, planned in segment_cycles("seed=2&xip=0", model, data, traced=True):
        assert took <= planned


def test_constants_are_fetched_by_bursts_and_the_output_is_exact() -> None:
    model = random_net(3)
    image, blob, _ = blob_for(model)
    data = random_bytes(blob.input_tensor.size, 5)
    assert any(op.stage_size for op in blob.ops)
    with Bench("seed=2") as bench:
        bench.board.deploy(image, "net")
        result = bench.board.run(data, blob=blob)
        chip, notes = bench.emulated.pico.chip, bench.emulated.run.notes
    assert result.output == reference_output(model, data)
    assert chip is not None and chip.ssi.bursts > sum(op.stage_size > 0 for op in blob.ops)
    assert not [note for note in notes if "flash controller" in note]


def test_weights_in_parts_come_behind_the_kernel_and_nothing_reads_flash_meanwhile() -> None:
    random = np.random.default_rng(0)
    plan = make_plan(m0plus_ops.dense_of(random, 128, 160), BOARD, Budget(1.0, 5.0, 1.8))
    assert plan.stages[0].chunk
    image, data = pack(plan), m0plus_ops.inputs(128, random)[0]
    blob = read_blob(image)
    with Bench("seed=2&xip=0") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.pico.traced = True
        result = bench.board.run(data, blob=blob)
        chip, notes = bench.emulated.pico.chip, bench.emulated.run.notes
    (wanted,) = native.run_program(native.runners()[0], [(image, data)])
    assert result.output == wanted.data
    assert chip is not None and chip.ssi.bursts > 3 * plan.stages[0].size // plan.stages[0].chunk
    assert not [note for note in notes if "flash controller" in note]


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["kws", "ad"])
def test_no_segment_of_a_real_net_takes_longer_with_every_xip_miss(name: str) -> None:
    model, data = model_file(name).read_bytes(), model_input(name)
    for took, planned in segment_cycles("seed=2&xip=0", model, data, traced=True):
        assert took <= planned


def test_all_segments_together_take_no_longer_than_planned_with_xip_misses() -> None:
    cycles = segment_cycles("seed=2", model_file("kws").read_bytes(), model_input("kws"))
    assert sum(took for took, _ in cycles) <= sum(planned for _, planned in cycles)


def test_boot_takes_no_longer_than_board_toml_says() -> None:
    image, _, _ = blob_for(random_net(3))
    with Bench("seed=2&cap=10mF&power=20mW&plugged=1") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.unplug(empty=True)
        assert bench.emulated.wait_until(
            lambda run: any(e.kind == "booted" for e in run.events[-1:]) and run.charges > 1, 60
        )
        booted = [e for e in bench.emulated.events if e.kind == "booted"][-1]
    assert booted.boot_us <= BOARD.boot.emulated_ms * 1.1e3


def test_a_damaged_model_is_refused_and_the_old_one_still_runs() -> None:
    model = random_net(3)
    image, blob, _ = blob_for(model)
    data = random_bytes(blob.input_tensor.size, 1)
    with Bench("seed=2") as bench:
        bench.board.deploy(image, "good")
        flipped = bytearray(image)
        flipped[-20] ^= 0x10
        broken = Blob(**{**blob.__dict__, "image": bytes(flipped)})
        with pytest.raises(LinkError, match="refuses"):
            bench.board.deploy(broken, "bad")
        result = bench.board.run(data, blob=blob)
    assert result.output == reference_output(model, data)


@pytest.mark.parametrize("kind", ["absent", "dead"])
def test_a_missing_or_dead_fram_is_one_clear_line_and_the_board_stays_usable(kind: str) -> None:
    model = random_net(3)
    image, blob, _ = blob_for(model)
    data = random_bytes(blob.input_tensor.size, 1)
    with Bench("seed=2") as bench:
        bench.board.deploy(image, "net")
        bench.emulated.pico.fram.fault = Fault(kind)
        with pytest.raises(LinkError, match=r"FRAM|NVM") as refused:
            bench.board.run(data, blob=blob)
        assert "\n" not in str(refused.value)
        bench.emulated.pico.fram.fault = None
        assert bench.board.run(data, blob=blob).output == reference_output(model, data)


def test_infer_py_prints_one_result_line_through_mpremote(tmp_path: Path) -> None:
    model = random_net(3)
    image, blob, _ = blob_for(model)
    with Bench(f"seed=2&state={tmp_path}") as bench:
        bench.board.deploy(image, "net")
        bench.board.exit()
        bench.board.stream.close()
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", bench.emulated.url, "run",
             str(ROOT / "firmware" / "infer.py")],
            capture_output=True, text=True, timeout=120, check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.strip().splitlines()[-1])
    expected = reference_output(model, bytes(blob.input_tensor.size))
    assert bytes(v & 0xFF for v in result["output"]) == expected
