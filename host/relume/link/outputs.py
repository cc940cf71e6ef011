"""The board's int8 output -> values as the model's file gives them."""

from __future__ import annotations

from typing import Any

import numpy as np

from relume.blob.reader import BlobTensor
from relume.errors import LinkError
from relume.model.graph import HostType


def in_file_type(data: bytes, tensor: BlobTensor, kind: HostType) -> np.ndarray[Any, Any]:
    """Values [h][w][c] of the output `tensor`: int8, uint8 (int8 + 128), or float32 dequantised.

    float32 is TFLite's DEQUANTIZE: scale * (q - zero point), a double rounded once.
    Errors: LinkError if `data` has another size.
    """
    if len(data) != tensor.size:
        raise LinkError(
            f"the board gave an output of {len(data)} bytes, the model's has {tensor.size}: deploy"
            " the model again"
        )
    raw = np.frombuffer(data, np.int8).reshape(tensor.shape)
    if kind is HostType.UINT8:
        return raw.view(np.uint8) ^ np.uint8(0x80)
    if kind is HostType.FLOAT32:
        shifted = raw.astype(np.float64) - tensor.zero_point
        return (np.float64(np.float32(tensor.scale)) * shifted).astype(np.float32)
    return raw
