"""The engine gives the bytes of TFLite's reference kernels, for real models, tensor by tensor."""

from __future__ import annotations

import pytest

from tests import native
from tests.kernels import oracle
from tests.shared import MODELS, model_file, model_input, shared_file


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_of_a_real_model_is_exact(name: str) -> None:
    model, data = model_file(name).read_bytes(), model_input(name)
    packed = oracle.packed(model)
    wanted = oracle.run_reference(model, data)
    assert packed.mismatches(native.accepted(packed.blob).run(data), wanted) == []


@pytest.mark.parametrize("name", MODELS)
def test_answer_to_the_real_input_is_the_published_one(name: str) -> None:
    packed = oracle.packed(model_file(name).read_bytes(), seed=1)
    tensors = native.accepted(packed.blob).run(model_input(name))
    wanted = shared_file(f"models/mlperf_tiny/{name}.output.bin").read_bytes()
    assert tensors[packed.graph.output] == wanted


@pytest.mark.parametrize("name", ["kws", "ad"])
def test_every_tensor_is_exact_on_noise_too(name: str) -> None:
    model = model_file(name).read_bytes()
    packed = oracle.packed(model, seed=7)
    data = oracle.random_input(packed.input_size, 7)
    wanted = oracle.run_reference(model, data)
    assert packed.mismatches(native.accepted(packed.blob).run(data), wanted) == []
