"""Quantization parameters against exact arithmetic and TFLite's special cases."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.model import quantize

SCALES = st.floats(2.0**-12, 64.0, width=32)
REALS = st.floats(2.0**-31, 2.0**29)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(REALS)
def test_multipliers_are_the_nearest_q31_fraction(real: float) -> None:
    multiplier, shift = quantize.quantize_multiplier(real)
    assert 1 << 30 <= multiplier < 1 << 31 and -31 <= shift <= 30
    error = abs(Fraction(real) - Fraction(multiplier) * Fraction(2) ** (shift - 31))
    assert error <= Fraction(2) ** (shift - 32)


def test_a_fraction_that_rounds_up_to_one_moves_into_the_exponent() -> None:
    assert quantize.quantize_multiplier(math.nextafter(1.0, 0.0)) == (1 << 30, 1)
    assert quantize.quantize_multiplier(math.nextafter(0.5, 0.0)) == (1 << 30, 0)
    assert quantize.quantize_multiplier(0.5) == (1 << 30, 0)


def test_zero_and_vanishing_scales_give_zero() -> None:
    assert quantize.quantize_multiplier(0.0) == (0, 0)
    assert quantize.quantize_multiplier(2.0**-33) == (0, 0)
    assert quantize.quantize_multiplier(2.0**-32) == (1 << 30, -31)


def test_ratios_above_two_to_the_thirty_are_refused() -> None:
    with pytest.raises(ValueError, match="above 2\\^30"):
        quantize.quantize_multiplier(2.0**31)


def test_halves_round_away_from_zero() -> None:
    values = {0.5: 1, -0.5: -1, 1.5: 2, 2.5: 3, -2.5: -3, 0.49999999999999994: 0, -0.4: 0}
    assert {value: quantize.round_half_away(value) for value in values} == values


@settings(max_examples=200, derandomize=True, deadline=None)
@given(SCALES, SCALES, SCALES)
def test_per_tensor_products_are_made_in_float32_and_per_channel_ones_in_double(
    source: float, weight: float, out: float
) -> None:
    single = quantize.per_tensor(source, weight, out, 3)
    channels = quantize.per_channel(source, [weight], out, 3)
    product = float(np.float32(source) * np.float32(weight))
    want = quantize.quantize_multiplier(product / out)
    exact = quantize.quantize_multiplier(source * weight / out)
    assert [(int(m), int(s)) for m, s in zip(*single, strict=True)] == [want] * 3
    assert [(int(m), int(s)) for m, s in zip(*channels, strict=True)] == [exact] * 3


@pytest.mark.parametrize(
    ("activation", "scale", "zero", "clamp"),
    [
        ("NONE", 0.1, 3, (-128, 127)),
        ("RELU", 0.1, 3, (3, 127)),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU6", 0.1, -100, (-100, -40)),
        ("RELU6", 0.01, 0, (0, 127)),
        ("RELU_N1_TO_1", 0.5, 10, (8, 12)),
        ("RELU6", 4.0, 0, (0, 2)),  # 6 / 4 = 1.5 rounds away from zero
    ],
)
def test_fused_activations_clamp_as_tflite_does(
    activation: str, scale: float, zero: int, clamp: tuple[int, int]
) -> None:
    assert quantize.activation_range(activation, scale, zero) == clamp


def test_add_scales_both_inputs_to_twice_the_larger() -> None:
    shift, m0, e0, m1, e1, mo, eo = quantize.add_parameters(0.25, 0.5, 2.0)
    assert shift == 20
    assert Fraction(m0) * Fraction(2) ** (e0 - 31) == Fraction(1, 4)
    assert Fraction(m1) * Fraction(2) ** (e1 - 31) == Fraction(1, 2)
    assert Fraction(mo) * Fraction(2) ** (eo - 31) == Fraction(1, 2) / 2**20


def test_softmax_differences_below_the_radius_vanish() -> None:
    multiplier, shift, diff_min = quantize.softmax_parameters(1.0, 0.125)
    assert (multiplier, shift) == (1 << 30, 24)
    assert diff_min == -math.floor(31 * 2**26 / 2**24)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(SCALES, SCALES, st.integers(1, 4000))
def test_mean_divides_by_the_count_in_the_multiplier(
    source: float, out: float, count: int
) -> None:
    multiplier, exponent = quantize.mean_parameters(source, out, count)
    got = Fraction(multiplier) * Fraction(2) ** (exponent - 31)
    want = Fraction(source) / Fraction(out) / count
    assert 0 <= multiplier < 1 << 31 and abs(got / want - 1) < Fraction(1, 1 << 28)
