"""TFLite's reference kernels on the host: the oracle of every comparison.

ai-edge-litert 1.2.0 with OpResolverType.BUILTIN_REF. Later versions rescale an int8
FULLY_CONNECTED in floating point, round(acc * scale), while TensorFlow up to 2.19, TFLite Micro
and CMSIS-NN rescale with the quantized multiplier as all other kernels do; the two differ in about
one byte in 500. relume computes the latter.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import numpy as np

from relume.errors import ModelError

VERSION = "1.2.0"


def run_reference(model: bytes, data: bytes) -> dict[int, bytes]:
    """TFLite tensor number -> bytes, of the input and of every tensor that an op writes.

    model: a .tflite file; data: the input tensor's bytes, in the file's own type. Raises
    ModelError when ai-edge-litert is not installed or of another version.
    """
    _check_version()
    from ai_edge_litert.interpreter import (  # type: ignore[import-untyped]
        Interpreter,
        OpResolverType,
    )

    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    values = np.frombuffer(data, dtype=details["dtype"]).reshape(details["shape"])
    interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    written = sorted({int(i) for op in interpreter._get_ops_details() for i in op["outputs"]})
    return {int(details["index"]): data} | {
        i: interpreter.get_tensor(i).tobytes() for i in written
    }


def reference_output(model: bytes, data: bytes) -> bytes:
    """The output tensor's bytes alone. Errors: ModelError."""
    from relume.model.tflite_file import load

    return run_reference(model, data)[load(model).outputs[0]]


def _check_version() -> None:
    try:
        found = version("ai-edge-litert")
    except PackageNotFoundError:
        raise ModelError(f"no reference kernels: pip install ai-edge-litert=={VERSION}") from None
    if found != VERSION:
        raise ModelError(
            f"ai-edge-litert {found} rounds FULLY_CONNECTED otherwise: "
            f"pip install ai-edge-litert=={VERSION}"
        )
