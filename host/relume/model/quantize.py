"""Integer quantization parameters, computed exactly as TFLite's Prepare functions do.

Source: tensorflow/lite/kernels/internal/quantization_util.cc, kernel_util.cc, add.cc,
activations.cc, reduce.cc. Scales are float32 there; products that TFLite makes in float32 are made
in float32 here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from relume.model.graph import Int8Array, Int32Array

Q31_ONE = 1 << 31
ADD_LEFT_SHIFT = 20
SOFTMAX_INTEGER_BITS = 5


def round_half_away(value: float) -> int:
    """C's round(): halves away from zero."""
    floor = math.floor(abs(value))
    rounded = floor + 1 if abs(value) - floor >= 0.5 else floor
    return int(math.copysign(rounded, value)) if rounded else 0


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(Q31 multiplier, exponent) with real = multiplier * 2^(exponent - 31).

    Raises ValueError above 2^30, where TFLite's own arithmetic overflows.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    fixed = round_half_away(fraction * Q31_ONE)
    if fixed == Q31_ONE:
        fixed //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise ValueError(f"scale ratio {real:g} is above 2^30")
    return fixed, shift


def per_channel(
    in_scale: float, weight_scales: Sequence[float], out_scale: float, channels: int
) -> tuple[Int32Array, Int8Array]:
    """Multipliers and exponents [channels] of the convolutions and of per-channel FC."""
    scales = list(weight_scales) * channels if len(weight_scales) == 1 else list(weight_scales)
    pairs = [quantize_multiplier(in_scale * scale / out_scale) for scale in scales]
    return _arrays(pairs)


def per_tensor(
    in_scale: float, weight_scale: float, out_scale: float, channels: int
) -> tuple[Int32Array, Int8Array]:
    """FULLY_CONNECTED with one weight scale: TFLite multiplies the two scales in float32."""
    product = float(np.float32(in_scale) * np.float32(weight_scale))
    return _arrays([quantize_multiplier(product / out_scale)] * channels)


def _arrays(pairs: Sequence[tuple[int, int]]) -> tuple[Int32Array, Int8Array]:
    multipliers = np.array([pair[0] for pair in pairs], dtype=np.int32)
    shifts = np.array([pair[1] for pair in pairs], dtype=np.int8)
    return multipliers, shifts


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Output clamp of a fused activation: NONE or one of the RELUs."""

    def at(real: float) -> int:
        return zero_point + round_half_away(float(np.float32(real) / np.float32(scale)))

    if activation == "RELU":
        return max(-128, at(0.0)), 127
    if activation == "RELU6":
        return max(-128, at(0.0)), min(127, at(6.0))
    if activation == "RELU_N1_TO_1":
        return max(-128, at(-1.0)), min(127, at(1.0))
    if activation == "RELU_0_TO_1":
        return max(-128, at(0.0)), min(127, at(1.0))
    if activation == "NONE":
        return -128, 127
    raise ValueError(activation)


def add_parameters(scale0: float, scale1: float, out_scale: float) -> tuple[int, ...]:
    """p[0..6] of ADD: left shift, then multiplier and exponent of in0, in1 and the output."""
    twice_max = 2.0 * max(scale0, scale1)
    first = quantize_multiplier(scale0 / twice_max)
    second = quantize_multiplier(scale1 / twice_max)
    output = quantize_multiplier(twice_max / ((1 << ADD_LEFT_SHIFT) * out_scale))
    return (ADD_LEFT_SHIFT, *first, *second, *output)


def mul_parameters(scale0: float, scale1: float, out_scale: float) -> tuple[int, int]:
    """p[0], p[1] of MUL: multiplier and exponent of scale0 * scale1 / out_scale, in float32."""
    product = np.float32(scale0) * np.float32(scale1)
    return quantize_multiplier(float(product / np.float32(out_scale)))


def softmax_parameters(beta: float, scale: float) -> tuple[int, int, int]:
    """p[0..2] of SOFTMAX: input multiplier, input left shift, smallest difference that counts."""
    real = min(beta * scale * (1 << (31 - SOFTMAX_INTEGER_BITS)), Q31_ONE - 1.0)
    multiplier, shift = quantize_multiplier(real)
    return multiplier, shift, -_input_radius(shift)


def _input_radius(shift: int) -> int:
    """CalculateInputRadius(5, shift, 31)."""
    top = float((1 << SOFTMAX_INTEGER_BITS) - 1) * (1 << (31 - SOFTMAX_INTEGER_BITS))
    return math.floor(top / 2.0**shift)


def mean_parameters(in_scale: float, out_scale: float, count: int) -> tuple[int, int]:
    """p[1], p[2] of MEAN: in_scale / out_scale / count, divided as TFLite's reference kernel does.

    The multiplier of in_scale / out_scale is shifted left by floor(log2(count)), but not by so
    much that the exponent falls below -31, and then divided by count, rounding down.
    """
    multiplier, exponent = quantize_multiplier(in_scale / out_scale)
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return (multiplier << shift) // count, exponent - shift


def scaled(
    acc: npt.NDArray[np.int64], multiplier: npt.NDArray[np.int64], shift: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """MultiplyByQuantizedMultiplier of int32 accumulators: acc * multiplier * 2^(shift - 31).

    A left shift wraps as int32 does; a product is rounded up at halves, a right shift away from 0.
    """
    x = (acc << np.maximum(shift, 0)) & 0xFFFFFFFF
    x = x - ((x >> 31) << 32)
    x = (x * multiplier + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    half = np.where(right > 0, 1 << np.maximum(right - 1, 0), 0)
    rounded: npt.NDArray[np.int64] = (x - ((x < 0) & (right > 0)) + half) >> right
    return rounded
