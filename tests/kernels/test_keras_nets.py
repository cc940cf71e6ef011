"""Nets that Keras and TensorFlow's converter made, with all their shape arithmetic, are exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import native
from tests.kernels import oracle

pytestmark = pytest.mark.heavy


def _unet(keras: Any) -> Any:
    layers = keras.layers
    source = layers.Input((16, 16, 2))
    high = layers.Conv2D(4, 3, padding="same", activation="relu")(source)
    low = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPool2D()(high))
    larger = layers.Resizing(16, 16, interpolation="nearest")(low)
    both = layers.Concatenate()([larger, high])
    return keras.Model(source, layers.Conv2D(1, 3, padding="same")(both))


def _inception(keras: Any) -> Any:
    layers = keras.layers
    source = layers.Input((14, 14, 3))
    net = layers.Conv2D(8, 3, strides=2, activation="relu")(source)
    pooled = layers.MaxPool2D(3, 1, padding="same")(net)
    net = layers.Concatenate()([
        layers.Conv2D(4, 1, activation="relu")(net),
        layers.Conv2D(6, 3, padding="same", activation="relu")(net),
        layers.Conv2D(4, 1)(pooled),
    ])  # fmt: skip
    net = layers.GlobalAveragePooling2D()(net)
    return keras.Model(source, layers.Dense(4, activation="softmax")(net))


def _shuffled(keras: Any) -> Any:
    layers = keras.layers
    source = layers.Input((8, 8, 8))
    net = layers.Permute((1, 2, 4, 3))(layers.Reshape((8, 8, 2, 4))(source))
    net = layers.Conv2D(4, 3)(layers.Reshape((8, 8, 8))(net))
    net = layers.Flatten()(layers.Cropping2D(1)(net))
    return keras.Model(source, layers.Dense(3)(net))


def _in_parts(keras: Any) -> Any:
    """Parts of channels; a Dense on three axes, whose shapes are computed while it runs."""
    layers = keras.layers
    source = layers.Input((8, 8, 8))
    first = layers.Conv2D(4, 3, padding="same")(source[:, :, :, :4])
    second = layers.Conv2D(4, 1)(source[:, :, :, 4:])
    net = layers.ZeroPadding2D(1)(layers.Concatenate(axis=1)([first, second]))
    net = layers.Reshape((-1, 4))(layers.Conv2D(4, 3, strides=2)(net))
    return keras.Model(source, layers.Dense(5)(net))


def _dilated(keras: Any) -> Any:
    """TensorFlow writes dilation as SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""
    layers = keras.layers
    source = layers.Input((12, 12, 3))
    net = layers.Conv2D(4, 3, padding="same", dilation_rate=2)(source)
    return keras.Model(source, layers.DepthwiseConv2D(3, dilation_rate=3)(net))


def _converted(tensorflow: Any, model: Any) -> bytes:
    random = np.random.default_rng(0)
    shape = (1, *model.input_shape[1:])
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.normal(size=shape).astype(np.float32)] for _ in range(20)
    )
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tensorflow.int8
    converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())


@pytest.mark.parametrize("build", [_unet, _inception, _shuffled, _in_parts, _dilated])
def test_a_net_of_keras_is_exact(build: Callable[[Any], Any]) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    tensorflow.keras.utils.set_random_seed(1)
    model = _converted(tensorflow, build(tensorflow.keras))
    for core in ("portable", "m0plus", "m4"):
        packed = oracle.packed(model, 1, core)
        checked = native.accepted(packed.blob)
        data = oracle.random_input(packed.input_size, 1)
        known = packed.graph.tensor_of
        reference = oracle.run_reference(model, data)
        wanted = {number: value for number, value in reference.items() if number in known}
        assert len(wanted) >= len(packed.graph.ops)
        assert packed.mismatches(checked.run(data, watch=True), wanted) == []
