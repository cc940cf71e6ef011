"""Two models on the emulated Pico, both with an inference, on a capacitor that runs empty again
and again and never starts the interpreter."""

from __future__ import annotations

import struct

import pytest
from relume.blob.pack import pack
from relume.blob.reader import Blob, read_blob
from relume.link.inference import inference_id
from relume.link.messages import CHUNK, Kind
from relume.model.reference import reference_output
from relume.model.tflite_reader import read_tflite
from relume.plan.planner import Budget, make_plan

from tests.emulated.bench import BOARD
from tests.emulated.test_early import kinds, smallest
from tests.emulated.test_inference import SUPPLY, Bench, random_bytes
from tests.kernels.netgen import random_net
from tests.shared import model_file, model_input

pytestmark = pytest.mark.emulated


def give(bench: Bench, model: int, data: bytes) -> int:
    """Sends an input whole; the id that Board.run() gives it."""
    number, at = inference_id(model, data, 0), 0
    while at < len(data):
        body = struct.pack("<III", number, len(data), at) + data[at : at + CHUNK]
        reply = bench.board.stream.request(Kind.INPUT, body + struct.pack("<I", model), 600)
        at = struct.unpack("<I", reply)[0]
    return number


def planned(model: bytes, nvm: str, cap_f: float, voff_v: float) -> Blob:
    budget = Budget(cap_f, SUPPLY.von_v, voff_v)
    return read_blob(pack(make_plan(read_tflite(model), BOARD, budget, nvm)))


@pytest.mark.parametrize("nvm", ["fram", "flash"])
def test_both_outputs_are_exact_though_the_power_dies_again_and_again(nvm: str) -> None:
    """The keyword net, and beside it another plan of it, or a net with checkpoints in flash."""
    keywords = model_file("kws").read_bytes()
    models = [keywords, keywords if nvm == "fram" else random_net(11)]
    cap = max(smallest(keywords), smallest(models[1], nvm))
    blobs = [
        planned(models[0], "fram", cap, SUPPLY.voff_v),
        planned(models[1], nvm, cap, SUPPLY.voff_v + 0.01),
    ]
    inputs = [model_input("kws"), random_bytes(blobs[1].input_tensor.size, 1)]
    with Bench(f"cap={cap * 1e9:.0f}nF&power=3mW&seed=4&plugged=1") as bench:
        for n, blob in enumerate(blobs):
            bench.board.deploy(blob, f"m{n}")
        bench.emulated.unplug(empty=True)
        ids = [give(bench, blob.meta_crc, data) for blob, data in zip(blobs, inputs, strict=True)]
        results = [
            bench.board.run(data, blob=blob, model=blob.meta_crc)
            for blob, data in zip(blobs, inputs, strict=True)
        ]
        run = bench.emulated.run
    assert [result.output for result in results] == [
        reference_output(*pair) for pair in zip(models, inputs, strict=True)
    ]
    assert [result.inference for result in results] == ids
    if nvm == "fram":  # what flash needs carries the keyword net whole
        assert sum(result.brownouts for result in results) >= 1
        assert kinds(run).count("resumed") >= 2
