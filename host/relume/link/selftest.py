"""One inference whose output is known: what a board computes to show that it is sound (SPEC 2.1).

The output is TFLite's own, by its reference kernels, where they are installed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from relume.blob.reader import Blob
from relume.errors import ModelError
from relume.link.inputs import quantize
from relume.link.outputs import in_file_type
from relume.model.graph import HostType
from relume.model.reference import reference_output


def known_input(size: int) -> bytes:
    """The self-test's input of `size` bytes, int8 as the input tensor has them."""
    state, data = 1, bytearray(size)
    for i in range(size):
        data[i] = state >> 8 & 255
        state = (75 * state + 74) % 65537
    return bytes(data)


def known_crc(path: Path, blob: Blob) -> int:
    """CRC-32 of the int8 output for the known input; 0 without ai-edge-litert 1.2.0.

    path: the .tflite file that the blob was made from.
    """
    data = known_input(blob.input_tensor.size)
    given = in_file_type(data, blob.input_tensor, blob.input_type).tobytes()
    try:
        output = reference_output(path.read_bytes(), given)
    except ModelError:
        return 0
    if blob.output_type is HostType.UINT8:
        output = bytes(byte ^ 0x80 for byte in output)
    elif blob.output_type is HostType.FLOAT32:
        output = quantize(np.frombuffer(output, np.float32), blob.output_tensor)
    return zlib.crc32(output)
