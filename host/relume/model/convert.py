"""Keras model -> fully int8 TFLite model. The only place that imports TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relume.errors import ModelError

CALIBRATION_SAMPLES = 300
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Converted:
    """A TFLite image; accuracies are shares of the samples (None without labels)."""

    image: bytes
    samples: int
    accuracy_before: float | None
    accuracy_after: float | None


def convert(model: Path, samples: Path, labels: Path | None) -> Converted:
    """Converts a .keras/.h5 file or a SavedModel folder with post-training quantization.

    samples: .npy [n, *input shape], as the model takes them: they calibrate the quantization.
    labels: .npy [n] of class numbers: accuracy before and after is measured on them.
    Raises ModelError when TensorFlow is absent, a file does not fit, or TensorFlow refuses.
    """
    if not model.exists():
        raise ModelError(f"{model}: No such file or directory")
    data = load_array(samples, "samples").astype(np.float32)
    classes = None if labels is None else _load_labels(labels, len(data))
    tf = _tensorflow()
    with quiet(model):
        return _convert(tf, model, data, classes)


def load_array(path: Path, what: str) -> npt.NDArray[Any]:
    """A numeric .npy array with a leading axis of samples. Errors: ModelError."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a .npy array"
        raise ModelError(f"{path}: {what}: {reason or error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ModelError(f"{path}: {what}: not a .npy array of numbers")
    if array.ndim < 1 or len(array) == 0:
        raise ModelError(f"{path}: {what}: no samples along the first axis")
    return array


def _load_labels(path: Path, samples: int) -> IntArray:
    labels = load_array(path, "labels")
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise ModelError(
            f"{path}: labels of shape {list(labels.shape)} and type {labels.dtype}: "
            f"{samples} whole numbers are needed, one a sample"
        )
    return labels.astype(np.int64)


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    try:
        with _streams_to(tempfile.TemporaryFile("w+b")):
            tf = importlib.import_module("tensorflow")
    except ImportError as error:
        raise ModelError(
            "convert needs TensorFlow, which is not installed: pip install relume[convert]"
        ) from error
    tf.get_logger().setLevel("ERROR")
    return tf


@contextlib.contextmanager
def _streams_to(sink: Any) -> Iterator[Any]:
    """Both output descriptors go to a file: TensorFlow's C++ writes past sys.stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        for descriptor in (1, 2):
            os.dup2(sink.fileno(), descriptor)
        yield sink
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, old in zip((1, 2), saved, strict=True):
            os.dup2(old, descriptor)
            os.close(old)
        sink.close()


@contextlib.contextmanager
def quiet(model: Path) -> Iterator[None]:
    """Silences TensorFlow; what it raises becomes one ModelError that names `model`."""
    try:
        with _streams_to(tempfile.TemporaryFile("w+b")):
            yield
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{model}: TensorFlow refuses: {reason[0][:300]}") from error


def _convert(tf: Any, path: Path, data: FloatArray, labels: IntArray | None) -> Converted:
    if path.is_dir():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(path))
        shape, predict = _saved_model(tf, path)
    else:
        keras = tf.keras.models.load_model(path, compile=False)
        shape, predict = _input_shape(path, keras), lambda x: keras.predict(x, verbose=0)
        converter = tf.lite.TFLiteConverter.from_keras_model(keras)
    data = _shaped(data, shape)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row] for row in _calibration(data))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    image = bytes(converter.convert())
    if labels is None:
        return Converted(image, len(data), None, None)
    before = _accuracy(np.asarray(predict(data)), labels)
    return Converted(image, len(data), before, _accuracy(run_tflite(tf, image, data), labels))


def _input_shape(path: Path, keras: Any) -> tuple[int, ...]:
    if len(keras.inputs) != 1 or len(keras.outputs) != 1:
        raise ModelError(f"{path}: {len(keras.inputs)} inputs, {len(keras.outputs)} outputs: "
                         "only one of each can be run")  # fmt: skip
    return _fixed(path, keras.inputs[0].shape)


def _fixed(path: Path, shape: Any) -> tuple[int, ...]:
    axes = tuple(shape)[1:]
    if any(axis is None for axis in axes):
        raise ModelError(f"{path}: input shape {tuple(shape)}: only the batch may be open")
    return tuple(int(axis) for axis in axes)


def _saved_model(tf: Any, path: Path) -> tuple[tuple[int, ...], Callable[[FloatArray], Any]]:
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1 or len(signature.structured_outputs) != 1:
        raise ModelError(f"{path}: only one input and one output can be run")
    name, spec = next(iter(inputs.items()))

    def predict(data: FloatArray) -> Any:
        # The loaded object keeps the variables alive, the signature alone does not.
        assert loaded is not None
        return next(iter(signature(**{name: tf.constant(data)}).values()))

    return _fixed(path, spec.shape), predict


def _shaped(data: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Samples as [n, *shape]; axes of 1 may be missing."""
    wanted = [axis for axis in shape if axis != 1]
    if [axis for axis in data.shape[1:] if axis != 1] != wanted:
        raise ModelError(f"samples of shape {list(data.shape[1:])}, the model takes {list(shape)}")
    return data.reshape(len(data), *shape)


def _calibration(data: FloatArray) -> Iterator[FloatArray]:
    """Up to CALIBRATION_SAMPLES samples, evenly spread, one at a time."""
    count = min(len(data), CALIBRATION_SAMPLES)
    for index in np.linspace(0, len(data) - 1, count).round().astype(int):
        yield data[index : index + 1]


def _accuracy(scores: npt.NDArray[Any], labels: IntArray) -> float:
    """Share of samples whose highest score is their label; one output: above the middle."""
    flat = scores.reshape(len(labels), -1)
    guess = flat.argmax(axis=1) if flat.shape[1] > 1 else (flat[:, 0] > 0.5).astype(np.int64)
    return float(np.mean(guess == labels))


def run_tflite(tf: Any, image: bytes, data: FloatArray) -> FloatArray:
    """Real-valued outputs [n, ...] of an int8 model under TFLite's reference kernels."""
    interpreter = tf.lite.Interpreter(
        model_content=image,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = source["quantization"]
    out_scale, out_zero = target["quantization"]
    results = []
    for row in data:
        quantized = np.clip(np.round(row / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], quantized.reshape(source["shape"]))
        interpreter.invoke()
        raw = interpreter.get_tensor(target["index"]).astype(np.float32)
        results.append((raw[0] - out_zero) * out_scale)
    return np.asarray(results, dtype=np.float32)
