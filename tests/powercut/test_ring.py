"""The ring of flash pages: order, erases and headers, seen at every call of the NVM.

SECURITY S1.
"""

from __future__ import annotations

import ctypes
import struct
import zlib

import pytest

from tests.powercut import session as rl
from tests.powercut.boards import FLASH_BLOB, SECTORS, board, store_call
from tests.powercut.session import FLASH, RL_ERASED, RL_OK, Board, Memory, Record

MAGIC, PAGE, SECTOR, RING = 0x31534C52, 256, 4096, 15


def u32(value: int) -> ctypes.c_uint32:
    return ctypes.c_uint32(value)


def header(count: int, magic: int = MAGIC, open_mark: int = 0xFFFF_FFFF) -> bytes:
    """SPEC 4.3: the header of a sector that was erased `count` times."""
    head = struct.pack("<II", magic, count)
    return head + struct.pack("<II", zlib.crc32(head), open_mark)


def ring(offset: int) -> int:
    """Ring number of a page."""
    return offset // SECTOR * RING + offset % SECTOR // PAGE - 1


def commit(b: Board, live: int) -> tuple[int, int]:
    """Ring numbers of first page and record page of a commit of so many bytes."""
    status = RL_ERASED
    while status == RL_ERASED:
        status = store_call(b, "room", u32(live))
    assert status == RL_OK
    assert store_call(b, "begin", u32(live)) == RL_OK
    data = ctypes.create_string_buffer((bytes(range(1, 201)) * (live // 200 + 1))[:live])
    assert store_call(b, "put", u32(0), data, u32(live), u32(0)) == RL_OK
    record = Record()
    record.live_bytes, record.state = live, rl.RUNNING
    assert store_call(b, "end", ctypes.byref(record)) == RL_OK
    return ring(b.record.home), b.store.at


def opened(memory: Memory | None = None) -> Board:
    b = board(FLASH, memory)
    assert b.mount() == RL_OK
    return b


def test_commits_follow_each_other_around_the_ring_without_a_gap() -> None:
    b, pages = opened(), SECTORS * RING
    expected = 0
    for live in [1, 255, 256, 600, 1300] * 30:
        first, record = commit(b, live)
        assert (first - expected) % pages == 0, "begins where the last one ended"
        assert (record - first) % pages == -(-live // 255)
        expected = (record + 1) % pages


@pytest.mark.parametrize("left", [1, 254, 300])
def test_a_commit_that_was_given_up_leaves_nothing_in_the_next(left: int) -> None:
    b = opened()
    commit(b, 10)
    assert store_call(b, "begin", u32(400)) == RL_OK
    data = ctypes.create_string_buffer(b"\x5a" * left, left)
    assert store_call(b, "put", u32(0), data, u32(left), u32(0)) == RL_OK
    commit(b, 300)
    back = ctypes.create_string_buffer(300)
    assert store_call(b, "get", u32(0), u32(0), back, u32(300)) == RL_OK
    assert back.raw == (bytes(range(1, 201)) * 2)[:300]


def test_no_sector_of_a_record_that_runs_over_the_end_of_the_ring_is_erased() -> None:
    b, live = opened(), 255 * 20
    home = record = 0
    while record >= home:
        home, record = commit(b, live)
    kept = [home // RING, *range(home // RING + 1, SECTORS), *range(record // RING + 1)]
    mark = record // RING * SECTOR + (record % RING + 1) * 256 + 96
    assert b.memory.data[mark] == 0xFF
    marked = bytearray(b.memory.data)
    marked[mark] = 0xFE  # an erase is marked in the record
    before = [bytes(marked[s * SECTOR : (s + 1) * SECTOR]) for s in kept]
    erased = [store_call(b, "room", u32(255 * RING * SECTORS)) for _ in range(SECTORS)]
    assert [bytes(b.memory.data[s * SECTOR : (s + 1) * SECTOR]) for s in kept] == before
    assert erased.count(RL_ERASED) == SECTORS - len(set(kept)), "all others are"


@pytest.mark.parametrize("wrong", [header(7, magic=MAGIC + 1), header(7)[:8] + bytes(4)])
def test_a_sector_whose_header_is_wrong_is_erased_before_it_is_used(wrong: bytes) -> None:
    b = board(FLASH)
    for sector in range(SECTORS):
        b.memory.data[sector * SECTOR : sector * SECTOR + 12] = wrong[:12]
    assert b.mount() == RL_OK
    assert b.store.wear == 0
    assert store_call(b, "begin", u32(1)) == rl.RL_E_FULL
    assert store_call(b, "room", u32(1)) == RL_ERASED
    assert [at for what, at, _ in b.memory.log if what == "erase"] == [0]


def test_an_erase_goes_on_from_the_sectors_own_count() -> None:
    b = board(FLASH)
    for sector in range(SECTORS):
        b.memory.data[sector * SECTOR : sector * SECTOR + 16] = header(10 * sector, open_mark=0)
    assert b.mount() == RL_OK
    assert b.store.wear == 10 * (SECTORS - 1)
    for _ in range(SECTORS):
        assert store_call(b, "room", u32(255 * RING * SECTORS)) == RL_ERASED
    for sector in range(SECTORS):
        page = bytes(b.memory.data[sector * SECTOR : sector * SECTOR + PAGE])
        assert page == header(10 * sector + 1) + b"\xff" * (PAGE - 16)


@pytest.mark.parametrize("worn", [0, 1, SECTORS - 1])
def test_a_sector_without_a_header_is_taken_for_the_most_worn(worn: int) -> None:
    b = board(FLASH)
    b.memory.data[worn * SECTOR : worn * SECTOR + 16] = header(40)
    assert b.mount() == RL_OK
    assert b.store.wear == 40
    assert store_call(b, "room", u32(255 * RING * SECTORS)) == RL_ERASED
    first = SECTOR if worn == 0 else 0
    assert bytes(b.memory.data[first : first + PAGE]) == header(41) + b"\xff" * (PAGE - 16)
    assert b.store.wear == 41


def used() -> Board:
    """All sectors with valid headers, each with a page in use; no record."""
    b = board(FLASH)
    for sector in range(SECTORS):
        at = sector * SECTOR
        b.memory.data[at : at + 16] = header(3)
        b.memory.data[at + PAGE] = 0
    assert b.mount() == RL_OK
    b.memory.log.clear()
    return b


def test_the_open_mark_is_all_that_changes_before_an_erase() -> None:
    b, seen = used(), []

    def spoil(what: str, at: int, n: int) -> bool:
        seen.append((what, at, bytes(b.memory.data[at : at + PAGE])))
        return False

    b.memory.spoil = spoil
    assert store_call(b, "room", u32(255 * RING * SECTORS)) == RL_ERASED
    erase = next(n for n, (what, _, _) in enumerate(seen) if what == "erase")
    assert seen[erase][2] == header(3, open_mark=0) + b"\xff" * (PAGE - 16)


def failing_call(b: Board, number: int) -> list[int]:
    """The NVM refuses its call `number` from now on; [calls so far], counted on."""
    calls = [0]

    def spoil(what: str, at: int, n: int) -> bool:
        calls[0] += 1
        return calls[0] == number + 1

    b.memory.spoil = spoil
    return calls


def test_a_refused_call_of_an_erase_is_told_and_ends_it() -> None:
    total = len(_calls(used()))
    for number in range(total):
        b = used()
        calls = failing_call(b, number)
        assert store_call(b, "room", u32(255 * RING * SECTORS)) == rl.RL_E_NVM
        assert calls[0] == number + 1, "nothing is done after a failure"
        b.memory.spoil = lambda what, at, n: False
        assert store_call(b, "room", u32(1)) == rl.RL_E_NVM, "until it is opened again"


def _calls(b: Board) -> list[tuple[str, int, int]]:
    assert store_call(b, "room", u32(255 * RING * SECTORS)) == RL_ERASED
    return list(b.memory.log)


@pytest.mark.parametrize("live", [10, 1000])
def test_a_refused_call_of_a_commit_is_told_and_ends_it(live: int) -> None:
    """Also of the search for room, of each page's program and of its read-back."""
    b = opened()
    commit(b, 10)
    b.memory.log.clear()
    commit(b, live)
    total = len(b.memory.log)
    for number in range(total):
        b = opened()
        commit(b, 10)
        calls = failing_call(b, number)
        with pytest.raises(AssertionError):
            commit(b, live)
        assert calls[0] == number + 1 and b.store.broken == 1


def test_the_smallest_ring_has_three_whole_sectors() -> None:
    for size, status in ((2, -10), (3, RL_OK)):
        assert Board(Memory(size * SECTOR, FLASH), FLASH_BLOB).mount() == status
    for base, size in ((256, 3 * SECTOR), (0, 3 * SECTOR + 256)):
        assert Board(Memory(5 * SECTOR, FLASH), FLASH_BLOB, base, size).mount() == -10


def placed(memory: Memory, at: int, seq: int, home: int, live: int) -> None:
    """A record page that is right but for what it says."""
    words = (0x31524C52, seq, 1, 1, 0, 1 | 2 << 8, 0, live, 0, 0, 0, 0, 0, home, 0)
    data = struct.pack("<15I", *words)
    page = data + zlib.crc32(data).to_bytes(4, "little") + b"\xff" * (PAGE - 65) + b"\0"
    memory.data[at : at + PAGE] = page


@pytest.mark.parametrize("seq", [0, 1, 0x7FFF_FFFF, 0x9000_0000, 0xFFFF_FFFF])
def test_the_only_record_is_the_newest_whatever_its_number(seq: int) -> None:
    b = board(FLASH)
    placed(b.memory, 512, seq, 256, 255)
    assert b.mount() == RL_OK
    assert (b.record.magic, b.record.seq, b.store.at) == (0x31524C52, seq, 1)


@pytest.mark.parametrize(("home", "at"), [(SECTOR, SECTOR + 512), (3 * SECTOR, 3 * SECTOR + 512)])
def test_a_record_whose_data_would_begin_in_a_header_is_none(home: int, at: int) -> None:
    """The page before it is as far from the record as its data would be."""
    b = board(FLASH)
    placed(b.memory, at, 1, home, 2 * 255)
    assert b.mount() == RL_OK
    assert b.record.magic == 0


def fits(pages: int, sectors: int) -> bool:
    """The next commit of so many pages finds room, wherever the newest one lies."""
    for start in range(RING):
        touched = (start + pages - 1) // RING + 1
        if touched >= sectors or pages > (sectors - touched) * RING:
            return False
    return True


@pytest.mark.parametrize("sectors", range(3, 9))
def test_a_plan_fits_when_every_commit_finds_room_beside_the_newest(sectors: int) -> None:
    b = Board(Memory(sectors * SECTOR, FLASH), FLASH_BLOB)
    assert b.mount() == RL_OK
    for live in range(0, sectors * RING * 255, 85):
        expected = RL_OK if fits(-(-live // 255) + 1, sectors) else rl.RL_E_NVM_SIZE
        assert store_call(b, "fits", u32(live)) == expected


@pytest.mark.parametrize("sectors", [3, 4, 6])
def test_the_largest_commit_that_fits_always_finds_room(sectors: int) -> None:
    pages = max(n for n in range(2, sectors * RING) if fits(n, sectors))
    for before in range(RING):
        b = Board(Memory(sectors * SECTOR, FLASH), FLASH_BLOB)
        assert b.mount() == RL_OK
        for live in [1] * before + [(pages - 1) * 255] * 4:
            commit(b, live)


def test_a_commit_may_take_every_page_beside_the_newest_record() -> None:
    b = Board(Memory(3 * SECTOR, FLASH), FLASH_BLOB)
    assert b.mount() == RL_OK
    for page in range(RING):
        assert commit(b, 0) == (page, page)
    assert commit(b, (2 * RING - 1) * 255) == (RING, 3 * RING - 1)
