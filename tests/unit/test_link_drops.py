"""Deploys and runs over a line that drops and garbles end right, or with one clear error.

SECURITY F2.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relume.blob.reader import read_blob
from relume.errors import LinkError
from relume.link.client import Board
from relume.link.inference import inference_id
from relume.link.messages import Kind, State
from relume.link.ports import Port
from relume.link.stream import Refused, Stream, Timings

from tests.unit.fakeboard import FakeBoard, Kept, answer_of
from tests.unit.fakelines import Bench, Faults, grown

TINY = (Path(__file__).parent / "golden" / "tiny.rlm").read_bytes()
OLD = grown(TINY, 64, seed=2)
NEW = grown(TINY, 4096)
INPUT = bytes(range(256)) + bytes(44)
PATIENT = Timings(retry=0.5, hello=2.0, answer=60.0, progress=200.0, poll=2.0, fresh=0.2)
HASTY = Timings(retry=0.5, hello=1.0, answer=3.0, progress=6.0, poll=1.0, fresh=0.2)
MANY = settings(max_examples=120, derandomize=True, deadline=None)

DROPS = st.builds(
    Faults,
    cuts=st.lists(st.integers(0, 9000), max_size=12),
    flips=st.sampled_from([0.0, 0.02, 0.2]),
    repeats=st.sampled_from([0.0, 0.1]),
    keep_open=st.booleans(),
    off_s=st.sampled_from([0.01, 0.4, 5.0]),
    limit=st.just(400),
    seed=st.integers(0, 999),
)


def bench_of(
    faults: Faults, kept: Kept | None = None, timings: Timings = PATIENT, **kinds: int
) -> tuple[Board, Bench]:
    """(client, bench): a board with the old model on it, unless told otherwise."""
    if kept is None:
        kept = Kept(models={"old": OLD}, active="old")
    bench = Bench(kept, faults, lambda kept: FakeBoard(kept, **kinds))  # type: ignore[arg-type]
    stream = Stream(bench, timings, clock=bench.clock, sleep=bench.sleep, seq=faults.seed + 1)
    return Board(Port("bench"), stream=stream), bench


@MANY
@given(DROPS)
def test_a_deploy_through_any_drops_ends_with_the_whole_model(faults: Faults) -> None:
    client, bench = bench_of(faults)
    done = client.deploy(NEW, "new")
    assert bench.kept.models[bench.kept.active] == NEW
    assert done.size == len(NEW) and done.meta_crc == read_blob(NEW).meta_crc
    assert client.hello.model_name == "new"


@MANY
@given(DROPS)
def test_a_run_through_any_drops_gives_the_right_output_of_one_inference(faults: Faults) -> None:
    client, bench = bench_of(faults, tiles=20, output=300)
    result = client.run(INPUT)
    assert result.output == answer_of(OLD, INPUT, 300)
    assert bench.kept.begun == 1
    assert bench.kept.taken == [inference_id(read_blob(OLD).meta_crc, INPUT, 0)]
    assert result.brownouts == bench.kept.brownouts
    assert result.charges == result.brownouts + 1
    assert (result.commits, result.cycles) == (bench.kept.commits, 20_000)


@MANY
@given(st.lists(st.integers(0, 400), min_size=60, max_size=60), st.booleans(), st.integers(0, 99))
def test_a_board_that_never_gets_far_leads_to_one_line_and_no_half_model(
    cuts: list[int], keep_open: bool, seed: int
) -> None:
    faults = Faults(cuts=cuts * 40, keep_open=keep_open, off_s=0.3, seed=seed)
    client, bench = bench_of(faults, timings=HASTY)
    try:
        client.deploy(NEW, "new")
    except LinkError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
    kept = bench.kept
    assert kept.models[kept.active] in (OLD, NEW)
    assert all(image in (OLD, NEW) for image in kept.models.values())


@MANY
@given(st.integers(0, 12_000), st.booleans())
def test_an_upload_that_was_cut_goes_on_where_it_was(cut: int, keep_open: bool) -> None:
    client, bench = bench_of(Faults(cuts=[cut], keep_open=keep_open))
    client.deploy(NEW, "new")
    assert bench.kept.models["new"] == NEW
    again = client.deploy(NEW, "new")
    assert again.resumed == again.size


def test_a_second_client_resumes_the_upload_of_the_first() -> None:
    kept = Kept()
    first, _ = bench_of(Faults(cuts=[6000], off_s=1e9), kept, HASTY)
    with pytest.raises(LinkError):
        first.deploy(NEW, "new")
    assert 0 < len(kept.sectors) < len(NEW)
    second, _ = bench_of(Faults(), kept)
    assert second.deploy(NEW, "new").resumed > 0
    assert kept.models == {"new": NEW}


@pytest.mark.parametrize("cut", range(0, 1500, 7))
def test_a_cut_at_any_byte_of_input_run_and_output_is_survived(cut: int) -> None:
    client, bench = bench_of(Faults(cuts=[cut], keep_open=cut % 2 == 0), tiles=4)
    assert client.run(INPUT).output == answer_of(OLD, INPUT, 12)
    assert bench.kept.begun == 1 and len(bench.kept.taken) == 1


def test_a_run_takes_up_the_inference_that_an_earlier_client_left_running() -> None:
    kept = Kept(models={"old": OLD}, active="old")
    first, bench = bench_of(Faults(cuts=[900], off_s=1e9), kept, HASTY, tiles=40)
    with pytest.raises(LinkError, match=r"no progress for 6 s; last known: .* of 40"):
        first.run(INPUT)
    assert kept.state == State.RUNNING and bench.cut_count == 1
    second, _ = bench_of(Faults(), kept, tiles=40)
    result = second.run(INPUT)
    assert kept.begun == 1 and result.brownouts == 1
    assert result.notes == ("took up the inference that was running",)
    assert result.output == answer_of(OLD, INPUT, 12)


@pytest.mark.parametrize("state", [State.RUNNING, State.STUCK])
def test_another_pending_inference_is_given_up_and_said_so(state: State) -> None:
    kept = Kept(models={"old": OLD}, active="old", state=state, inference=77, tile=3)
    kept.model = read_blob(OLD).meta_crc
    client, _ = bench_of(Faults(), kept)
    result = client.run(INPUT)
    assert "inference 0000004d" in result.notes[0] and "gave up" in result.notes[0]
    assert result.output == answer_of(OLD, INPUT, 12)


def test_an_output_that_nobody_took_is_queued_and_said_so() -> None:
    kept = Kept(models={"old": OLD}, active="old", state=State.DONE, inference=77, input=b"old")
    kept.model = read_blob(OLD).meta_crc
    client, _ = bench_of(Faults(), kept)
    result = client.run(INPUT)
    assert result.notes == ("the output of inference 0000004d waits: relume run --results",)
    assert result.output == answer_of(OLD, INPUT, 12)
    assert kept.queue == [(kept.model, 77, answer_of(OLD, b"old", 12))]


@MANY
@given(DROPS)
def test_results_through_any_drops_come_whole_and_in_order(faults: Faults) -> None:
    kept = Kept(models={"old": OLD}, active="old", state=State.DONE, inference=5, input=b"x")
    kept.model = read_blob(OLD).meta_crc
    kept.queue = [(kept.model, n, bytes((n,)) * 500) for n in (9, 3)] + [(1, 2, b"")]
    waiting = list(kept.queue)
    client, _ = bench_of(faults, kept, output=300)
    client.connect()
    found = [(item.model, item.inference, item.data) for item in client.results()]
    assert found == [(kept.model, 5, answer_of(OLD, b"x", 300)), *waiting]
    assert kept.queue == [] and kept.state == State.IDLE
    assert list(client.results()) == []


def test_an_inference_of_another_model_is_given_up() -> None:
    kept = Kept(models={"old": OLD}, active="old", state=State.DONE, inference=9, model=123)
    client, _ = bench_of(Faults(), kept)
    result = client.run(INPUT)
    assert result.output == answer_of(OLD, INPUT, 12)
    assert result.notes[0].startswith("gave up inference 00000009 (done)")


class StuckBoard(FakeBoard):
    """Tile 5 never finishes."""

    def idle(self, seconds: float) -> None:
        if self.kept.state == State.RUNNING and self.kept.tile == 5:
            self.kept.state = State.STUCK
        super().idle(seconds)


def test_a_stuck_inference_names_tile_and_layer_and_says_what_helps() -> None:
    kept = Kept(models={"tiny": TINY}, active="tiny")
    bench = Bench(kept, Faults(), lambda kept: StuckBoard(kept))
    stream = Stream(bench, PATIENT, clock=bench.clock, sleep=bench.sleep)
    blob = read_blob(TINY)
    with pytest.raises(LinkError, match=f"stuck at tile 5 of layer {blob.layer_of(5)}.*capacitor"):
        Board(Port("bench"), stream=stream).run(INPUT, blob=blob)


def test_a_run_without_a_model_says_deploy() -> None:
    client, _ = bench_of(Faults(), Kept())
    with pytest.raises(LinkError, match="no model is on the board: relume deploy"):
        client.run(INPUT)


def test_an_input_of_the_wrong_size_is_refused_by_the_board_in_one_line() -> None:
    client, bench = bench_of(Faults())
    with pytest.raises(LinkError, match="the model's input has 300 bytes, not 5"):
        client.run(b"hello")
    assert bench.kept.begun == 0
    assert client.run(INPUT).output == answer_of(OLD, INPUT, 12)


def test_an_input_that_no_charge_can_take_is_an_error_that_says_so() -> None:
    faults = Faults(cuts=[450] * 4000, off_s=0.1)  # HELLO and one piece of input, not two
    client, bench = bench_of(faults, timings=HASTY)
    with pytest.raises(LinkError, match="power ends before the board has all 300 bytes of input"):
        client.run(INPUT)
    assert bench.kept.begun == 0


def test_a_board_that_dies_before_every_answer_is_said_to_lack_power() -> None:
    client, _ = bench_of(Faults(cuts=[20] * 4000, off_s=0.1), timings=HASTY)
    with pytest.raises(LinkError, match=r"comes and goes \(\d+ times\).*enough power"):
        client.deploy(NEW, "new")


def test_equal_samples_are_inferences_of_their_own() -> None:
    client, bench = bench_of(Faults())
    for number in range(3):
        assert client.run(INPUT, number=number).output == answer_of(OLD, INPUT, 12)
    assert bench.kept.begun == 3 and len(set(bench.kept.taken)) == 3


def test_a_long_silence_does_not_let_ctrl_c_in_the_data_stop_the_server() -> None:
    client, bench = bench_of(Faults())
    client.connect()
    board = bench.board
    assert board is not None
    board.now += 60
    bench.now += 60
    with pytest.raises(Refused):
        client.stream.request(Kind.PUT_DATA, b"\x03" * 200)
    assert board.interrupted == 0 and board.mode == "serving"


class LyingBoard(FakeBoard):
    """Says yes to PUT_END and keeps its old model."""

    def put_end(self, body: bytes) -> bytes:
        return b""


def test_a_deploy_is_not_done_until_the_board_lists_the_new_model() -> None:
    kept = Kept(models={"old": OLD}, active="old")
    bench = Bench(kept, Faults(), LyingBoard)
    stream = Stream(bench, PATIENT, clock=bench.clock, sleep=bench.sleep)
    missing = f"model {read_blob(NEW).meta_crc:08x} is not on the board"
    with pytest.raises(LinkError, match=missing):
        Board(Port("bench"), stream=stream).deploy(NEW, "new")


def test_events_are_shown_while_the_inference_runs() -> None:
    client, _ = bench_of(Faults())
    seen: list[int] = []
    client.run(INPUT, watch=lambda event: seen.append(event.tile))
    assert seen[-1] == 8 and seen == sorted(seen)
