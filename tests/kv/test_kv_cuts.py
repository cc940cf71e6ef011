"""Keys and values through power cuts: the invariants K1 to K5 of docs/SECURITY.md.

SECURITY K1, K2, K3, K4, K5.
"""

from __future__ import annotations

import shutil

import pytest

from tests.kv import kvharness as kv
from tests.kv.kvharness import COVERED, SANITIZED, keeps

KINDS = ("fram", "flash", "file")
every_kind = pytest.mark.parametrize("kind", KINDS)
LARGER = ("--room", "16384")

CALLS = {
    "arguments": LARGER, "regions": LARGER, "full": LARGER, "index_full": LARGER,
    "collision": LARGER, "erased_ahead": LARGER, "long_chain": ("--room", "32768"),
    "rot_while_open": ("--room", "12288", "--steps", "12"),
}  # fmt: skip


@every_kind
def test_k1_all_or_none_of_a_commit_is_there_after_any_cut(kind: str) -> None:
    steps, shapes = ("120", "4") if kind == "flash" else ("50", "1")
    found = keeps(kind, "--steps", steps, "--seeds", shapes, "--after", "2")
    assert found["cuts"] > 2500 and found["snapshots"] > 20
    assert found["old"] > 100 and found["new"] > 40


@every_kind
def test_k1_holds_when_cuts_follow_each_other(kind: str) -> None:
    for seed in range(3):
        found = keeps(kind, "--depth", "3", "--every", "40" if kind == "flash" else "400",
                      "--seed", str(seed), "--seeds", "4", "--steps", "12", "--after", "1",
                      flags=SANITIZED)  # fmt: skip
        assert found["cuts"] > 800


@every_kind
def test_k1_holds_over_a_long_run_of_random_cuts(kind: str) -> None:
    for seed in range(8):
        found = keeps(kind, "--soak", "5000", "--steps", "400", "--seed", str(seed))
        assert found["cuts"] > 50


@every_kind
def test_k1_holds_on_a_chip_that_held_anything_before(kind: str) -> None:
    keeps(kind, "--fill", "300", "--base", "4096", "--size", "65536", "--steps", "40")
    keeps(kind, "--fill", "0", "--steps", "40", "--after", "1")


@every_kind
def test_k1_holds_when_sectors_are_erased_ahead(kind: str) -> None:
    keeps(kind, "--steps", "60", "--ahead", "900", "--seeds", "2")


@every_kind
def test_k1_a_driver_that_fails_is_noticed_at_once(kind: str) -> None:
    refused = keeps(kind, "--refuse", "1", "--steps", "24", "--most", "120")
    deaf = keeps(kind, "--deaf", "1", "--steps", "24")
    assert refused["cuts"] > 1000 and deaf["cuts"] > 20


@every_kind
def test_k2_any_content_is_opened_in_bounded_time(kind: str) -> None:
    for seed in range(3):
        found = keeps(kind, "--noise", "3000", "--seed", str(seed), flags=SANITIZED)
        assert found["cuts"] > 500 and found["old"] > 300  # opened; found to be damaged


@every_kind
def test_k3_a_spoilt_byte_is_an_error_or_a_state_that_was(kind: str) -> None:
    found = keeps(kind, "--rot", "1", "--room", "12288", flags=SANITIZED)
    assert found["erases"] > 100  # damaged, and begun anew


@every_kind
@pytest.mark.parametrize("call", CALLS)
def test_k3_k4_each_call_answers_as_it_says(kind: str, call: str) -> None:
    keeps(kind, "--api", call, *CALLS[call], flags=SANITIZED)


def test_a_chip_that_is_smaller_than_it_is_said_to_be_is_found() -> None:
    keeps("fram", "--api", "smaller_chip", *LARGER)


@pytest.mark.parametrize("sectors", [3, 4, 6, 9])
def test_k5_all_sectors_are_erased_equally_often(sectors: int) -> None:
    found = keeps("flash", "--wear", "100000", "--room", str(4096 * sectors))
    assert found["commits"] == 100_000 and found["wear_low"] > 300
    assert found["wear_high"] <= 2 * found["wear_low"]


def test_k5_cuts_do_not_make_the_wear_uneven() -> None:
    found = keeps("flash", "--soak", "9000", "--steps", "400", "--seeds", "3")
    assert found["wear_high"] - found["wear_low"] <= 8
    found = keeps("flash", "--wear", "9000", "--room", "20480")
    assert found["erases"] > 400


def test_every_branch_is_taken() -> None:
    if shutil.which("gcov") is None:
        pytest.skip("gcov is not installed")
    for kind in ("fram", "flash"):
        keeps(kind, "--steps", "50", "--after", "1", flags=COVERED)
        keeps(kind, "--refuse", "1", "--steps", "30", "--most", "400", flags=COVERED)
        keeps(kind, "--deaf", "1", "--steps", "8", flags=COVERED)
        keeps(kind, "--rot", "1", "--room", "12288", flags=COVERED)
        keeps(kind, "--noise", "4000", flags=COVERED)
        for call, arguments in CALLS.items():
            keeps(kind, "--api", call, *arguments, flags=COVERED)
    keeps("fram", "--api", "smaller_chip", *LARGER, flags=COVERED)
    assert kv.open_branches() == {name: [] for name in kv.KV}
