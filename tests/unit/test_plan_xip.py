"""The flash cache against a slow model of it, and its price against figures done by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from relume.board.profile import Xip, load_board
from relume.plan.xip import LineCache, bytes_cycles

SMALL = Xip(line_bytes=8, miss_cycles=50, cache_bytes=64, ways=2)


def test_a_line_is_fetched_once_while_it_is_held() -> None:
    cache = LineCache(SMALL)
    assert [cache.read(at) for at in (0, 4, 7, 8, 0)] == [True, False, False, True, False]
    assert cache.misses == 2


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


@given(st.lists(st.integers(0, 255), max_size=60), st.sampled_from([1, 2, 4]))
def test_misses_are_those_of_a_list_of_every_read(addresses: list[int], ways: int) -> None:
    cache = LineCache(Xip(8, 50, 64, ways))
    sets = 8 // ways
    for number, address in enumerate(addresses):
        line = address // 8
        before = [at // 8 for at in addresses[:number] if at // 8 % sets == line % sets]
        recent: list[int] = []
        for old in reversed(before):
            if old not in recent:
                recent.append(old)
        assert cache.read(address) == (line not in recent[:ways])


def test_the_pico_reads_8_bytes_in_56_cycles_and_holds_16_kb() -> None:
    xip = load_board("RPI_PICO").xip
    assert bytes_cycles(xip, 16) == 112
    cache = LineCache(xip)
    for _ in range(2):
        for at in range(0, 16384, 4):
            cache.read(at)
    assert cache.misses == 2048
