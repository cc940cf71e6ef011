"""Before the interpreter: memories that do not answer or are short, damaged models, records of
others, and an inference that comes first while another one runs.

SECURITY S2, S3, F6.
"""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Iterator

import pytest
from relume.blob.pack import pack
from relume.link.messages import EventKind, Kind

from tests import native
from tests.powercut.manyboard import LEFT, ManyBoard
from tests.powercut.plans import random_blob, random_plan
from tests.powercut.session import DONE, FLASH, FRAM, RL_DONE, RL_OK, RUNNING
from tests.powercut.slotflash import SlotFlash
from tests.powercut.test_many_models import begun

NOTHING, E_STATE, E_CRC, E_MODEL, E_FULL = 0, -14, -4, -16, -17
TWO = (random_blob(5), random_blob(6, nvm="flash"))
HALF = 0x80000000  # dues so far apart that neither comes before the other


def passing(seed: int) -> bytes:
    """A model of which one charge feeds hundreds of tiles, and sleep between them."""
    plan = random_plan(seed, paced=2)
    return pack(dataclasses.replace(plan, pace=dataclasses.replace(plan.pace, mv2=1 << 17)))


def find(slots: SlotFlash, room: int) -> int:
    """rl_early_find."""
    memory = (ctypes.c_uint64 * (room // 8 + 1))()
    models = ctypes.create_string_buffer(64)
    return int(native.librelume().rl_early_find(
        ctypes.byref(slots.memory.nvm), slots.image, memory, ctypes.c_uint32(room), models
    ))  # fmt: skip


def test_models_are_found_where_there_are_some_and_memory_for_them() -> None:
    assert find(SlotFlash(), 1 << 16) == E_STATE
    sizes = []
    for models in (TWO[:1], TWO):
        slots = ManyBoard(models).slots
        size = next(room for room in range(1 << 14) if find(slots, room) == RL_OK)
        assert size % 8 == 0 and find(slots, size - 1) == E_STATE
        sizes.append(size)
    assert sizes[1] == 2 * sizes[0]


@pytest.mark.parametrize("silent", [FRAM, FLASH])
def test_a_memory_that_does_not_answer_is_its_own_models_trouble(silent: int) -> None:
    answers, other = (1, 0) if silent == FRAM else (0, 1)
    board = ManyBoard(TWO)
    begun(board, answers)
    board.silent = {silent}
    asked = [board.ask(Kind.OUTPUT, answers, 100 + answers, 0), board.ask(Kind.STATUS, other),
             board.ask(Kind.STATUS, answers)]  # fmt: skip
    assert board.run(iter(asked)) == LEFT
    assert board.outputs() == [board.expected(answers)]
    assert board.statuses() == [], "the interpreter says why"


def test_where_nothing_runs_and_the_active_models_memory_is_silent_there_is_no_service() -> None:
    board = ManyBoard(TWO)
    assert board.rows[1].active
    board.silent = {FLASH}
    assert board.run(board.whole()) == NOTHING and board.frames == []
    board.silent = {FRAM}
    assert board.run(iter([board.give(1), board.ask(Kind.OUTPUT, 1, 101, 0)])) == LEFT
    assert board.outputs() == [board.expected(1)]


def test_without_any_memory_all_is_left_to_the_interpreter() -> None:
    board = ManyBoard(TWO)
    board.silent = {FRAM, FLASH}
    assert board.run(board.whole()) == NOTHING and board.frames == []


def test_an_inference_of_a_model_that_was_replaced_is_not_taken_up() -> None:
    """Its record stays in the part until somebody clears it."""
    old = ManyBoard([random_blob(1)])
    begun(old, 0)
    board = ManyBoard([random_blob(1, paced=1)])
    assert board.rows[0].store_at == old.rows[0].store_at and board.model(0) != old.model(0)
    board.state = old.state
    before = board.session(0)
    assert before.mount() == RL_OK and before.record.state == RUNNING
    board.run(iter([board.give(0), board.ask(Kind.STATUS, 0)]))
    assert board.events(EventKind.RESUMED, EventKind.DONE) == []
    after = board.session(0)
    assert after.open() == E_MODEL and after.record.model == old.model(0)
    assert after.store.attempts == 0


def test_a_damaged_model_is_never_run_and_the_others_are() -> None:
    board = ManyBoard(TWO)
    image = board.slots.image.raw
    at = image.index(board.rows[0].blob)
    board.slots.image.raw = image[: at + 200] + bytes([image[at + 200] ^ 1]) + image[at + 201 :]
    asked = [board.give(0) + board.give(1), board.ask(Kind.OUTPUT, 1, 101, 0)]
    assert board.run(iter(asked)) == LEFT
    first, second = board.replies(Kind.INPUT)
    assert (first[0], second[0]) == (-E_CRC, 0)
    assert board.outputs() == [board.expected(1)]


def steps(pieces: dict[int, bytes]) -> Iterator[bytes]:
    """What comes before each step."""
    for n in range(200):
        yield pieces.get(n, b"")


@pytest.mark.parametrize("step", range(4))
def test_one_that_comes_first_takes_over_behind_a_commit(step: int) -> None:
    """The running one passes ends of segments: it commits first, then waits."""
    board = ManyBoard([passing(11), passing(12)])
    begun(board, 1, due=HALF)
    board.run(iter([]), later=steps({step: board.give(0)}))
    kept = board.events(EventKind.COMMITTED, EventKind.DONE)
    assert [event.inference for event in kept] == [100, 101, 100, 101], "input, commit, two ends"
    assert kept[1].kind == EventKind.COMMITTED and kept[1].tile > 0
    for n in range(2):
        session = board.session(n)
        assert session.open() == RL_OK and session.record.state == DONE
        assert session.output() == board.expected(n)
        assert session.record.brownouts <= 1


def test_short_of_memory_a_request_does_not_take_that_of_one_that_runs() -> None:
    refused = 0
    for room in range(1800, 8000, 200):
        board = ManyBoard(TWO)
        begun(board, 0)
        board.room = room
        board.run(iter([]), later=steps({1: board.give(1)}))
        replies = board.replies(Kind.INPUT)
        if not replies:
            continue
        assert replies[0][0] in (0, -E_FULL)
        assert 100 in [event.inference for event in board.events(EventKind.DONE)]
        refused += replies[0][0] == -E_FULL
        session = board.session(0)
        assert session.open() == RL_OK and session.step() == RL_DONE
        assert session.output() == board.expected(0)
    assert refused


def test_short_of_memory_what_is_done_makes_room_for_the_next_input() -> None:
    served = []
    for room in range(1800, 3600, 64):
        board = ManyBoard(TWO)
        board.room = room
        asked = [piece for n in (0, 1, 0)
                 for piece in (board.give(n), board.ask(Kind.OUTPUT, n, 100 + n, 0))]  # fmt: skip
        board.run(iter(asked))
        served.append(board.outputs() == [board.expected(n) for n in (0, 1, 0)])
    assert served == sorted(served) and served[-1] and not served[0]


def test_short_of_memory_one_that_comes_first_closes_those_that_run() -> None:
    """Places in the queue go round: the third comes before the one that began behind it."""
    three = tuple(random_blob(seed) for seed in (11, 12, 13))
    all_done = 0
    for room in range(2800, 12000, 400):
        board = ManyBoard(three)
        begun(board, 0)
        begun(board, 2, due=HALF)
        board.room = room
        board.run(iter([]), later=steps({1: board.give(1)}))
        done = [event.inference for event in board.events(EventKind.DONE)]
        all_done += sorted(done) == [100, 101, 102]
        for inference in done:
            session = board.session(inference - 100)
            assert session.open() == RL_OK
            assert session.output() == board.expected(inference - 100)
            assert session.record.brownouts <= 1
    assert all_done
