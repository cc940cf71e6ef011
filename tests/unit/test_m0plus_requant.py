"""Requantisation constants of the Cortex-M0+ kernels hold for every accumulator in reach."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.layouts.m0plus_requant import Channel, evaluate, fit, outputs, thresholds

CHANNELS = st.builds(
    Channel,
    multiplier=st.integers(1 << 30, (1 << 31) - 1),
    shift=st.integers(-16, 1),
    zero_point=st.sampled_from((-128, -128, -3, 0, 127)),
    act_min=st.sampled_from((-128, -128, -100)),
    act_max=st.sampled_from((127, 127, 90)),
    acc_min=st.integers(-400_000, 0),
    acc_max=st.integers(0, 400_000),
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(CHANNELS)
def test_constants_give_the_reference_output_everywhere(channel: Channel) -> None:
    acc = np.arange(channel.acc_min, channel.acc_max + 1, dtype=np.int64)
    steps = fit(channel)
    assert np.array_equal(evaluate(steps, channel, acc), outputs(channel, acc))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(CHANNELS)
def test_a_threshold_is_the_least_accumulator_that_reaches_its_output(channel: Channel) -> None:
    acc = np.arange(channel.acc_min, channel.acc_max + 1, dtype=np.int64)
    levels = np.arange(channel.act_min + 1, channel.act_max + 1)
    wanted = channel.acc_min + np.searchsorted(outputs(channel, acc), levels)
    assert np.array_equal(thresholds(channel), wanted)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(CHANNELS)
def test_no_product_leaves_32_bits(channel: Channel) -> None:
    steps = fit(channel)
    top = steps.limit - 1
    if steps.exact and top >= 0:
        assert top * steps.b < 1 << 32
        assert top * steps.a + (top * steps.b >> 14) < 1 << 32


def test_most_channels_need_no_wide_product() -> None:
    exact = sum(
        fit(Channel((1 << 30) + 7_654_321 * n, -8, -128, -128, 127, -90_000, 90_000)).exact
        for n in range(100)
    )
    assert exact >= 99


def test_wrapping_shifts_are_left_to_the_reference_arithmetic() -> None:
    steps = fit(Channel(1 << 30, 12, 0, -128, 127, -(1 << 24), 1 << 24))
    assert not steps.exact and steps.origin == -(1 << 24)
