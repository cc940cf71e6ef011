"""The flash cache against a slow model of it, and its price against figures done by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from relume.board.profile import Xip, load_board
from relume.plan.xip import BURST_BYTES, LineCache, burst_cycles, bytes_cycles

SMALL = Xip(line_bytes=8, miss_cycles=50, cache_bytes=64, ways=2)


def test_halves_of_a_line_are_fetched_one_by_one_and_once_while_it_is_held() -> None:
    cache = LineCache(SMALL)
    assert [cache.read(at) for at in (0, 3, 4, 7, 8, 0)] == [True, False, True, False, True, False]
    assert cache.misses == 3


def test_a_line_that_left_comes_back_empty() -> None:
    cache = LineCache(SMALL)
    assert all(cache.read(at) for at in (0, 4, 32, 64, 4, 0))


def test_the_line_read_least_recently_leaves_a_full_set() -> None:
    cache = LineCache(SMALL)
    first, second, third = 0, 32, 64  # one set of four
    for at in (first, second, first, third):
        cache.read(at)
    assert not cache.read(first)
    assert cache.read(second)


def test_a_cleared_cache_fetches_again() -> None:
    cache = LineCache(SMALL)
    cache.read(0)
    cache.clear()
    assert cache.read(0) and cache.misses == 2


@given(
    st.lists(st.integers(0, 255), max_size=60), st.sampled_from([1, 2, 4]),
    st.sampled_from([2, 4, 8]),
)  # fmt: skip
def test_misses_are_those_of_a_list_of_every_read(
    addresses: list[int], ways: int, fill: int
) -> None:
    cache = LineCache(Xip(8, 50, 64, ways, fill))
    sets = 8 // ways
    for number, address in enumerate(addresses):
        line = address // 8
        before = [at for at in addresses[:number] if at // 8 % sets == line % sets]
        others: set[int] = set()  # lines read since, the latest read first
        held = False
        for old in reversed(before):
            if old // 8 != line:
                others.add(old // 8)
            elif len(others) >= ways:
                break
            else:
                held = held or old // fill == address // fill
                others.clear()
        assert cache.read(address) == (not held)


def test_the_pico_reads_4_bytes_in_48_cycles_and_holds_16_kb() -> None:
    xip = load_board("RPI_PICO").xip
    assert bytes_cycles(xip, 16) == 192
    cache = LineCache(xip)
    for _ in range(2):
        for at in range(0, 16384, 4):
            cache.read(at)
    assert cache.misses == 4096


def test_a_burst_costs_its_words_and_each_start() -> None:
    xip = Xip(8, 48, 16384, word_cycles=16, start_cycles=400)
    assert burst_cycles(xip, 5) == 2 * 16 + 400
    assert burst_cycles(xip, BURST_BYTES + 4) == (BURST_BYTES // 4 + 1) * 16 + 2 * 400
