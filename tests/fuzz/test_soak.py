"""A node for hours and days: an inference a minute under a harvest trace, power cuts wherever the
charge ends, deploys that are cut, a host that comes and goes.

Nothing is lost, nothing grows, flash wears as `relume plan` says.

SECURITY S2, S4, F2, F3, K5.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from relume.blob.pack import pack
from relume.plan.types import Plan
from relume.plan.wear import wear
from relume.power.trace import Trace, load_trace

from tests.fuzz.soaknode import Node
from tests.shared import shared_file
from tests.unit.plan_nets import BOARD, random_plan

HOUR, DAY = 3600.0, 86_400.0
MEAN_W = 3e-3
CHARGE_J = {"fram": 3.2e-3, "flash": 3e-3}
KINDS = ("fram", "flash")
USED = 7  # sectors of the model's part of the flash
TRACES = ("mementos_rf_1", "mementos_rf_2", "mementos_rf_3")


@functools.cache
def plans(nvm: str) -> tuple[Plan, ...]:
    """Three models; the second has an input of several frames."""
    return tuple(random_plan(seed, 6, 1.0, nvm) for seed in (3, 4, 5))


def bursts() -> Trace:
    """A harvest that comes and goes."""
    random = np.random.default_rng(5)
    times = np.concatenate(([0.0], np.cumsum(random.exponential(0.4, 400))))
    watts = random.exponential(1.0, 400) * (random.random(400) < 0.4)
    trace = Trace.make("bursts", times, watts)
    return trace.scaled(MEAN_W / trace.mean_w)


def lived(nvm: str, seconds: float, trace: Trace, seed: int = 1) -> Node:
    """A node behind so much of its life, whose every result was right and taken once."""
    node = Node([pack(plan) for plan in plans(nvm)], trace, CHARGE_J[nvm], seed)
    node.live(seconds)
    count = node.counts
    assert node.asked is None and count["results"] >= 0.4 * seconds / 60
    assert count["brownouts"] > count["results"] / 8 and count["torn"] > 0
    early, late = (node.mounts[part * len(node.mounts) // 4 :][: len(node.mounts) // 4]
                   for part in (1, 3))  # fmt: skip
    assert max(late) <= 1.15 * max(early), "a turn-on reads more and more"
    return node


def wears_as_planned(node: Node, nvm: str) -> None:
    """Brown-outs add the commits that were cut, and erases that were."""
    said = [wear(plan, BOARD) for plan in plans(nvm)]
    least = min(one.erases for one in said if one is not None)
    most = max(one.erases for one in said if one is not None)
    pages = max(one.pages for one in said if one is not None)
    count, erases = node.counts, node.erases
    assert sum(erases[USED:]) == 0, "the rest of the flash is not this model's"
    cut = (count["brownouts"] * pages + count["deploys"]) / 15 + count["torn"]
    assert least * count["results"] - USED <= sum(erases) <= most * count["results"] + cut + USED
    assert max(erases) <= 2 * min(erases[:USED]) + 2


@pytest.mark.parametrize("nvm", KINDS)
def test_an_hour_loses_nothing(nvm: str) -> None:
    node = lived(nvm, HOUR, bursts())
    if nvm == "flash":
        wears_as_planned(node, nvm)


@pytest.mark.heavy
@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("nvm", KINDS)
def test_a_day_loses_nothing(nvm: str, trace: str) -> None:
    recorded = load_trace(shared_file(f"traces/{trace}.txt"))
    node = lived(nvm, DAY, recorded.scaled(MEAN_W / recorded.mean_w), seed=2)
    assert node.counts["deploys"] >= 12 and node.counts["cut deploys"] >= 6
    if nvm == "flash":
        wears_as_planned(node, nvm)


def test_an_nvm_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Node.turn_on

    def forgets(self: Node) -> None:
        if self.whole and not self.got:
            self.data[:] = b"\xff" * len(self.data)
        real(self)

    monkeypatch.setattr(Node, "turn_on", forgets)
    node = Node([pack(plan) for plan in plans("fram")], bursts(), CHARGE_J["fram"], 1)
    with pytest.raises(AssertionError, match="charges and no result"):
        node.live(HOUR)


def test_outputs_that_are_wrong_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "expected", lambda self, number: b"\0")
    with pytest.raises(AssertionError, match="inference 1"):
        lived("fram", HOUR, bursts())
