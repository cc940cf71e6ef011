"""Tables of the unary ops: every input's output, as TFLite's reference kernels have it.

Sources: tensorflow/lite/kernels/activations.cc, elementwise.cc, quantize.cc and
internal/reference/hard_swish.h. Ratios of scales are float32 there, but double in QUANTIZE and
PRELU. A table [256] is indexed by the input's bits as an unsigned byte.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from relume.model.graph import Int8Array, Tensor
from relume.model.quantize import quantize_multiplier, round_half_away

INPUTS = tuple(range(-128, 128))
F32 = np.float32
MAX_LEVEL = 1 << 30  # TFLite converts levels to int32 unchecked
Clamp = tuple[int, int]


def clipped_linear(source: Tensor, out: Tensor, clamp: Clamp) -> Int8Array:
    """RELU and its kin: rescaled with the float32 ratio of the scales, then clamped."""
    scale = quantize_multiplier(float(F32(source.scale) / F32(out.scale)))
    return _table(lambda x: rescaled(x - source.zero_point, *scale) + out.zero_point, clamp)


def requantized(source: Tensor, out: Tensor) -> Int8Array:
    """QUANTIZE of int8 to int8."""
    scale = quantize_multiplier(source.scale / out.scale)
    return _table(lambda x: rescaled(x - source.zero_point, *scale) + out.zero_point)


def leaky_relu(source: Tensor, out: Tensor, alpha: float) -> Int8Array:
    """LEAKY_RELU."""
    above = quantize_multiplier(float(F32(source.scale) / F32(out.scale)))
    below = _signed(float(F32(source.scale) * F32(alpha) / F32(out.scale)))

    def value(x: int) -> int:
        x -= source.zero_point
        return rescaled(x, *(above if x >= 0 else below)) + out.zero_point

    return _table(value)


def prelu(source: Tensor, out: Tensor, alpha: int, alpha_scale: float) -> Int8Array:
    """PRELU with one alpha: int8 less its zero point, and its scale."""
    above = quantize_multiplier(source.scale / out.scale)
    below = quantize_multiplier(source.scale * alpha_scale / out.scale)

    def value(x: int) -> int:
        x -= source.zero_point
        return (rescaled(x, *above) if x >= 0 else rescaled(x * alpha, *below)) + out.zero_point

    return _table(value)


def absolute(source: Tensor, out: Tensor) -> Int8Array:
    """ABS; equal scales are not rescaled."""
    scale = quantize_multiplier(float(F32(source.scale) / F32(out.scale)))
    same = source.scale == out.scale

    def value(x: int) -> int:
        x = abs(x - source.zero_point)
        return (x if same else rescaled(x, *scale)) + out.zero_point

    return _table(value)


def of_function(source: Tensor, out: Tensor, function: Callable[[float], float]) -> Int8Array:
    """A function of float32 values, every step rounded to float32."""
    inverse = F32(1) / F32(out.scale)

    def value(x: int) -> int:
        real = F32(function(float(F32(source.scale) * F32(x - source.zero_point))))
        scaled = real * inverse
        if not abs(float(scaled)) < MAX_LEVEL:
            raise ValueError(f"output scale {out.scale:g} is too small")
        return round_half_away(float(scaled)) + out.zero_point

    return _table(value)


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)) in float32."""
    return float(F32(1) / (F32(1) + F32(_float_function("expf")(-x))))


def tanh(x: float) -> float:
    """tanh in float32."""
    return _float_function("tanhf")(x)


def gelu(x: float) -> float:
    """x / 2 * erfc(-x / sqrt(2)) in float32."""
    tail = F32(_float_function("erfcf")(float(F32(-x) * F32(math.sqrt(0.5)))))
    return float(F32(0.5) * F32(x) * tail)


def gelu_by_tanh(x: float) -> float:
    """GELU's approximation by tanh in float32."""
    real = F32(x)
    cubic = real + F32(0.044715) * real * real * real
    bent = F32(2 / math.sqrt(math.pi) * math.sqrt(0.5)) * cubic
    return float(F32(0.5) * real * (F32(1) + F32(tanh(float(bent)))))


def hard_swish(source: Tensor, out: Tensor) -> Int8Array:
    """HARD_SWISH in 16-bit fixed point. Raises ValueError where TFLite refuses the scales."""
    fine = F32(1.0 / 128.0) * F32(source.scale)
    by_out, out_shift = _multiplier16(float(fine / F32(out.scale)))
    by_relu, relu_shift = _multiplier16(float(fine / F32(3.0 / 32768.0)))
    if out_shift > 0:
        raise ValueError("HARD_SWISH with an output scale below 1/128 of the input's")

    def value(x: int) -> int:
        x = (x - source.zero_point) << 7
        gate = _int16(x << max(0, relu_shift - 1))
        gate = _high16(gate, by_relu)
        gate = _int16(gate << 1) if relu_shift > 0 else _divided(gate, -relu_shift)
        product = ((gate + 32768) >> 1) * _high16(x, by_out)
        product = abs(product) >> 15 if product >= 0 else -(abs(product) >> 15)
        return _divided(product, -out_shift) + out.zero_point

    return _table(value)


def added(p: Sequence[int], source: Tensor, constant: int, out: Tensor, clamp: Clamp) -> Int8Array:
    """ADD of one constant, less its zero point. p: SPEC 2.4, signs of the operands included."""
    left, *scales = p
    first, second = (-1 if p[7] & sign else 1 for sign in (1, 2))
    term = second * rescaled(constant << left, *scales[2:4])

    def value(x: int) -> int:
        total = first * rescaled((x - source.zero_point) << left, *scales[0:2]) + term
        return rescaled(total, *scales[4:6]) + out.zero_point

    return _table(value, clamp)


def multiplied(
    p: Sequence[int], source: Tensor, constant: int, out: Tensor, clamp: Clamp
) -> Int8Array:
    """MUL by one constant, less its zero point."""
    return _table(
        lambda x: rescaled((x - source.zero_point) * constant, *p[:2]) + out.zero_point, clamp
    )


def rescaled(x: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier."""
    x = ((x << max(0, shift)) * multiplier + (1 << 30)) >> 31
    return _divided(x, max(0, -shift))


def _signed(real: float) -> tuple[int, int]:
    multiplier, shift = quantize_multiplier(abs(real))
    return (-multiplier if real < 0 else multiplier), shift


def _table(value: Callable[[int], int], clamp: Clamp = (-128, 127)) -> Int8Array:
    """Outputs of inputs 0 to 127, then -128 to -1."""
    outputs = [min(max(value(x), clamp[0]), clamp[1]) for x in INPUTS]
    return np.roll(np.array(outputs, dtype=np.int8), 128)


def _divided(x: int, exponent: int) -> int:
    """x / 2^exponent, halves away from zero."""
    return (x - (x < 0) + (1 << (exponent - 1))) >> exponent if exponent > 0 else x


def _high16(a: int, b: int) -> int:
    """Rounding, saturating high half of twice the product of two int16."""
    return min((a * b + (1 << 14)) >> 15, 32767)


def _int16(x: int) -> int:
    return min(max(x, -32768), 32767)


def _multiplier16(real: float) -> tuple[int, int]:
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


@functools.cache
def _float_function(name: str) -> Callable[[float], float]:
    """The C library's function of a float, which TFLite calls too; else the double one rounded."""
    library = ctypes.util.find_library("m")
    function = getattr(ctypes.CDLL(library), name, None) if library else None
    if function is None:
        double: Callable[[float], float] = getattr(math, name.removesuffix("f"))
        return double
    function.restype, function.argtypes = ctypes.c_float, (ctypes.c_float,)
    return lambda x: float(function(x))
