"""Requantisation constants of the Cortex-M0+ kernels hold for every accumulator in reach."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.layouts.m0plus_requant import Steps, evaluate, fit
from relume.blob.layouts.requant import Channels, outputs, thresholds


def channel(
    multiplier: int, shift: int, zero_point: int, act: tuple[int, int], reach: tuple[int, int]
) -> Channels:
    """One channel."""
    figures = (np.array([value], dtype=np.int64) for value in (multiplier, shift, *reach))
    return Channels(*figures, zero_point, *act)


CHANNELS = st.builds(
    channel,
    multiplier=st.integers(1 << 30, (1 << 31) - 1),
    shift=st.integers(-16, 1),
    zero_point=st.sampled_from((-128, -128, -3, 0, 127)),
    act=st.tuples(st.sampled_from((-128, -128, -100)), st.sampled_from((127, 127, 90))),
    reach=st.tuples(st.integers(-400_000, 0), st.integers(0, 400_000)),
)


def reachable(one: Channels) -> np.ndarray:
    return np.arange(one.low[0], one.high[0] + 1, dtype=np.int64)


def fit_one(one: Channels) -> Steps:
    (steps,) = fit(one)
    return steps


@settings(max_examples=150, derandomize=True, deadline=None)
@given(CHANNELS)
def test_constants_give_the_reference_output_everywhere(one: Channels) -> None:
    acc = reachable(one)
    assert np.array_equal(evaluate(fit_one(one), one, acc), outputs(one, acc[None, :])[0])


@settings(max_examples=150, derandomize=True, deadline=None)
@given(CHANNELS)
def test_a_threshold_is_the_least_accumulator_that_reaches_its_output(one: Channels) -> None:
    found = outputs(one, reachable(one)[None, :])[0]
    wanted = one.low[0] + np.searchsorted(found, one.levels)
    assert np.array_equal(thresholds(one)[0], wanted)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(CHANNELS)
def test_no_product_leaves_32_bits(one: Channels) -> None:
    steps = fit_one(one)
    top = steps.limit - 1
    if steps.exact and top >= 0:
        assert top * steps.b < 1 << 32
        assert top * steps.a + (top * steps.b >> 14) < 1 << 32


def test_most_channels_need_no_wide_product() -> None:
    exact = sum(
        fit_one(
            channel((1 << 30) + 7_654_321 * n, -8, -128, (-128, 127), (-90_000, 90_000))
        ).exact
        for n in range(100)
    )
    assert exact >= 99


def test_wrapping_shifts_are_left_to_the_reference_arithmetic() -> None:
    steps = fit_one(channel(1 << 30, 12, 0, (-128, 127), (-(1 << 24), 1 << 24)))
    assert not steps.exact and steps.origin == -(1 << 24)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_channels_side_by_side_are_fitted_as_each_alone(data: st.DataObject) -> None:
    one = data.draw(CHANNELS)
    count = data.draw(st.integers(2, 9))
    numbers = np.arange(count, dtype=np.int64)
    several = Channels(
        np.repeat(one.multiplier, count) - 7_654_321 * numbers,
        np.repeat(one.shift, count) + numbers * data.draw(st.integers(-2, 2)),
        np.repeat(one.low, count) - 5000 * numbers,
        np.repeat(one.high, count) + 90_000 * numbers,
        one.zero_point,
        one.act_min,
        one.act_max,
    )
    assert fit(several) == [fit_one(several.only(numbers[n : n + 1])) for n in range(count)]
