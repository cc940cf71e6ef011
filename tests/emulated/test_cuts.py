"""The whole firmware on the emulated Pico loses power at random instants, boots included.

SECURITY S2.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from relume_boards.virtual.pico import VirtualPico

from tests.emulated.cutting import HEAVY, Chain, Victim, newest, parse, prepared
from tests.powercut.tally import Tally

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("nvm", ["fram", "flash"])
def test_the_firmware_survives_cuts_at_random_instants(nvm: str) -> None:
    counts = Chain(9, nvm, 1, 12).run()
    assert counts["cuts"] >= 12 and counts["inferences"] >= 1
    assert counts["resumed"] >= 4


def test_a_chain_is_a_function_of_its_id() -> None:
    chain = Chain(16, "fram", 4, 4)
    assert parse(chain.name) == chain
    first, again = chain.run(), chain.run()
    assert first == again and replace(chain, seed=5).run() != first


def test_a_wrong_byte_of_the_output_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: one byte of the result is flipped while the power is off."""
    cut = VirtualPico.power_off

    def spoiling(pico: VirtualPico, cause: str) -> None:
        cut(pico, cause)
        record = newest(victim.subject.blob, "fram", b"", bytes(pico.fram.memory))
        if record is not None and record.state == 2:
            pico.fram.memory[256 + victim.subject.blob.output_tensor.nvm_off] ^= 1

    victim = Victim(prepared(16, "fram"), 4)
    monkeypatch.setattr(VirtualPico, "power_off", spoiling)
    with pytest.raises(AssertionError, match="another output"):
        victim.inference()


@pytest.mark.heavy
@pytest.mark.parametrize("chain", HEAVY, ids=lambda chain: chain.name)
def test_the_firmware_survives_a_thousand_cuts(chain: Chain) -> None:
    assert Tally("firmware").once(chain.name, chain.run)["cuts"] >= chain.cuts
