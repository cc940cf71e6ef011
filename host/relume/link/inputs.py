"""Input files for a model: .npy arrays or raw bytes -> samples as the board takes them."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relume.blob.reader import BlobTensor
from relume.errors import LinkError
from relume.model.graph import HostType


@dataclass(frozen=True)
class Samples:
    """One bytes object per sample, each the size of the input tensor; notes for the user."""

    items: tuple[bytes, ...]
    notes: tuple[str, ...] = ()


def quantize(values: np.ndarray[Any, Any], tensor: BlobTensor) -> bytes:
    """float -> the tensor's int8 bytes, as TFLite's QUANTIZE: half away from zero, clamped.

    values: any shape, in the units of the model's float input. The quotient is a float32.
    """
    with np.errstate(over="ignore"):  # infinity is clamped like any number
        scaled = (np.asarray(values, np.float32) / np.float32(tensor.scale)).astype(np.float64)
    rounded = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)  # a float32 sum would round
    return bytes(np.clip(rounded + tensor.zero_point, -128, 127).astype(np.int8).tobytes())


def load_samples(
    path: Path, tensor: BlobTensor | None, kind: HostType = HostType.INT8
) -> Samples:
    """Reads a .npy (int8, float, uint8) or a raw int8 file; a leading axis counts samples.

    tensor: the model's input; None when only the board knows it, which then checks the size.
    kind: what the model's file takes; uint8 is taken for a model of uint8 alone, and int8 is
    always the tensor's own bytes. Errors: LinkError naming the file.
    """
    if path.suffix.lower() != ".npy":
        samples = _raw(path, _read(path), tensor)
        note = f"{path}: raw bytes are taken as int8; this model's own input is uint8, give a .npy"
        return replace(samples, notes=(note,)) if kind is HostType.UINT8 else samples
    try:
        array = np.lib.format.read_array(io.BytesIO(_read(path)), allow_pickle=False)
    except Exception as error:  # the header is Python text: its tokenizer's errors come too
        reason = " ".join(str(error).split())
        raise LinkError(f"{path}: not a NumPy array file ({reason})") from error
    return _array(path, array, tensor, kind)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LinkError(f"{path}: {error.strerror or error}") from error


def _raw(path: Path, data: bytes, tensor: BlobTensor | None) -> Samples:
    size = len(data) if tensor is None else tensor.size
    if not data or len(data) % size:
        raise LinkError(f"{path}: {len(data)} bytes, the model takes {size} for each sample")
    return Samples(tuple(data[at : at + size] for at in range(0, len(data), size)))


def _array(
    path: Path, array: np.ndarray[Any, Any], tensor: BlobTensor | None, kind: HostType
) -> Samples:
    rows = _rows(path, array, tensor)
    if array.dtype == np.int8:
        return Samples(tuple(row.tobytes() for row in rows))
    if array.dtype == np.uint8 and kind is HostType.UINT8:
        return Samples(tuple((row ^ 0x80).tobytes() for row in rows))
    if tensor is None and (array.dtype.kind == "f" or array.dtype == np.uint8):
        what = "input type" if array.dtype == np.uint8 else "scale"
        needs = f"{array.dtype} needs the model's {what}"
        raise LinkError(f"{path}: {needs}: give its .rlm or .tflite")
    if tensor is None or array.dtype.kind != "f":
        types = "uint8, int8" if kind is HostType.UINT8 else "int8"
        raise LinkError(f"{path}: dtype {array.dtype}: give {types}, or float32 to be quantised")
    if not np.isfinite(array).all():
        raise LinkError(f"{path}: not all values are finite numbers")
    note = f"{array.dtype} input quantised: scale {tensor.scale:.6g}, zero {tensor.zero_point}"
    return Samples(tuple(quantize(row, tensor) for row in rows), (note,))


def _rows(
    path: Path, array: np.ndarray[Any, Any], tensor: BlobTensor | None
) -> np.ndarray[Any, Any]:
    """[samples][bytes of one]: the array has the tensor's shape, with or without leading axes."""
    if tensor is None:
        count = array.shape[0] if array.ndim == 4 else 1
        return array.reshape(count, -1) if array.size else _refuse(path, array, "is empty")
    wanted = (_trim(tensor.shape), _trim((tensor.size,)))
    for axes in range(2):
        if array.size and _trim(array.shape[axes:]) in wanted:
            return array.reshape(-1, tensor.size)
    shape = " x ".join(str(n) for n in tensor.shape)
    return _refuse(path, array, f"the model takes {shape}, alone or with a leading sample axis")


def _trim(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of length 1 carry nothing: 49 x 10 is 1 x 49 x 10 x 1."""
    return tuple(n for n in shape if n != 1)


def _refuse(path: Path, array: np.ndarray[Any, Any], text: str) -> np.ndarray[Any, Any]:
    shape = " x ".join(str(n) for n in array.shape) or "a single number"
    raise LinkError(f"{path}: shape {shape}: {text}")
