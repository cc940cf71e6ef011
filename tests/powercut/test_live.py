"""What the C scheduler keeps and writes is what SPEC 3 and the planner say, at every boundary."""

from __future__ import annotations

import dataclasses
import random
import zlib

import pytest
from relume.blob.pack import pack
from relume.model.graph import Kind
from relume.plan.live import LiveMap
from relume.plan.memory import work_bytes
from relume.plan.types import Plan, Segment

from tests import native
from tests.powercut.plans import random_plan, skipping_plan
from tests.powercut.session import DONE, FLASH, FRAM, RL_DONE, RL_MORE, RL_OK, Board, Memory

NETS = range(30)
SKIPPING = 1000  # no random net: two readers of one tensor, of which the first needs more


def tile_by_tile(plan: Plan) -> Plan:
    """The plan with a segment for every tile and no shared home bytes."""
    segments = tuple(Segment(t, t + 1, 1, 1, 1.0, 0, 0.0) for t in range(len(plan.tiles)))
    offsets, total = [], 0
    for tensor in plan.graph.tensors:
        offsets.append(total)
        total += tensor.size
    return dataclasses.replace(
        plan, segments=segments, nvm_off=tuple(offsets), nvm_size=total
    )


def reference(blob: bytes, data: bytes) -> dict[int, bytes]:
    """Tensor -> its final bytes."""
    return native.accepted(blob).run(data)


def live_crc(ranges: list[tuple[int, int, int]], tensors: dict[int, bytes]) -> int:
    """CRC-32 of live bytes in order of tensor number."""
    crc = 0
    for tensor, lo, finished in ranges:
        crc = zlib.crc32(tensors[tensor][lo:finished], crc)
    return crc


def start(seed: int, nvm: str) -> tuple[Plan, Board, dict[int, bytes]]:
    """A board with the input committed."""
    if seed == SKIPPING:
        plan = tile_by_tile(skipping_plan(seed))
    else:
        plan = tile_by_tile(random_plan(seed, nvm=nvm, gates=seed % 2))
    blob = pack(plan)
    data = random.Random(seed).randbytes(plan.graph.tensors[plan.graph.input].size)
    kind, size = (FLASH, 8 * 4096) if nvm == "flash" else (FRAM, 256 + plan.nvm_size)
    board = Board(Memory(size, kind), blob)
    assert board.open() == RL_OK
    board.memory.log.clear()
    assert board.begin(1, data) == RL_OK
    return plan, board, reference(blob, data)


@pytest.mark.parametrize("seed", NETS)
def test_work_memory_is_what_the_planner_counts(seed: int) -> None:
    plan = random_plan(seed)
    board = Board(Memory(256 + plan.nvm_size), pack(plan))
    assert len(board.work) - 16 == work_bytes(plan.graph)


def test_random_plans_commit_in_the_middle_of_every_move() -> None:
    cut = set()
    for seed in NETS:
        plan = random_plan(seed)
        cut |= {plan.graph.ops[t.op].kind for t in plan.tiles if t.first}
    assert cut >= {Kind.GATHER, Kind.CONCATENATION}


@pytest.mark.parametrize("seed", [*NETS, SKIPPING])
def test_every_commit_writes_exactly_the_dirty_bytes_and_then_the_record(seed: int) -> None:
    plan, board, tensors = start(seed, "fram")
    live = LiveMap(plan.graph, plan.tiles)
    for tile in range(len(plan.tiles) + 1):
        if tile > 0:
            assert board.call("step") == (RL_DONE if tile == len(plan.tiles) else RL_MORE)
        *data, record = board.memory.writes()
        dirty = live.dirty(tile - 1 if tile > 0 else None, tile)
        want = [(256 + plan.nvm_off[t] + lo, end - lo) for t, lo, end in dirty]
        assert data == want, f"boundary {tile}"
        assert record == (64 * (board.record.seq & 1), 64)
        assert board.record.live_bytes == live.live_bytes[tile]
        assert board.record.live_crc == live_crc(live.live(tile), tensors), f"boundary {tile}"
    assert board.session.state == DONE


@pytest.mark.parametrize("seed", [*NETS, SKIPPING])
def test_every_restore_reads_exactly_the_live_bytes(seed: int) -> None:
    plan, board, tensors = start(seed, "fram")
    live = LiveMap(plan.graph, plan.tiles)
    for tile in range(len(plan.tiles)):
        board = Board(board.memory, board.checked.blob)
        assert board.mount() == RL_OK
        board.memory.log.clear()
        assert board.call("open") == RL_OK
        reads = [(at, n) for what, at, n in board.memory.log if what == "read" and at >= 256]
        want = [(256 + plan.nvm_off[t] + lo, end - lo) for t, lo, end in live.live(tile)]
        assert reads == want, f"boundary {tile}"
        assert board.step() in (RL_MORE, RL_DONE)
    assert board.output() == tensors[plan.graph.output]


@pytest.mark.parametrize("seed", NETS)
def test_flash_carries_all_live_bytes_at_every_boundary(seed: int) -> None:
    plan, board, tensors = start(seed, "flash")
    live = LiveMap(plan.graph, plan.tiles)
    before = 0
    for tile in range(len(plan.tiles) + 1):
        if tile > 0:
            assert board.step() == (RL_DONE if tile == len(plan.tiles) else RL_MORE)
        record = board.record
        assert record.live_bytes == live.live_bytes[tile]
        assert record.live_crc == live_crc(live.live(tile), tensors), f"boundary {tile}"
        pages = -(-record.live_bytes // 255) + 1
        assert record.nvm_bytes - before == 256 * pages
        before = record.nvm_bytes
        carried = b""
        for page in range(pages - 1):
            at = record.home + 256 * page
            assert board.memory.data[at + 255] == 0xFF
            carried += bytes(board.memory.data[at : at + 255])
        if record.home % 4096 + 256 * pages <= 4096:
            assert zlib.crc32(carried[: record.live_bytes]) == record.live_crc
