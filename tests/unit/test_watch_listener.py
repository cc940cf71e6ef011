"""The monitor's ear: it hears all, asks little, changes nothing, and outlives any power cut.

SECURITY W1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from relume.link.frames import CTRL_C, Decoder, encode
from relume.link.messages import REPLY, Event, EventKind, Hello, Kind, State, Status
from relume.link.transport import Wire
from relume.watch.facts import Fact, Line, Note, Output, Taken
from relume.watch.listener import Listener, Manners

from tests.unit.fakeboard import Error, FakeBoard, Kept, answer_of
from tests.unit.fakelines import Bench, Faults
from tests.unit.test_link_drops import INPUT, OLD

CTRL_D = 4
READS = {Kind.HELLO, Kind.STATUS, Kind.OUTPUT}


class Tapped(Bench):
    """A bench whose lines write down what the host sends, and refuse the way to the REPL."""

    def __init__(self, kept: Kept, faults: Faults, make: Callable[[Kept], FakeBoard]) -> None:
        super().__init__(kept, faults, make)
        self.sent = bytearray()

    def open(self) -> Wire:
        wire: Any = super().open()
        write = wire.write

        def tap(data: bytes) -> None:
            self.sent.extend(data)
            write(data)

        def serve() -> None:
            raise AssertionError("the monitor went to the REPL")

        wire.write, wire.serve = tap, serve
        return wire  # type: ignore[no-any-return]

    @property
    def requests(self) -> list[int]:
        return [frame.kind for frame in Decoder().feed(bytes(self.sent))]


def running(**changes: Any) -> Kept:
    kept = Kept(models={"old": OLD}, active="old", state=State.RUNNING, inference=7, input=INPUT)
    for name, value in changes.items():
        setattr(kept, name, value)
    return kept


def tapped(kept: Kept, faults: Faults | None = None, **options: Any) -> Tapped:
    return Tapped(kept, faults or Faults(), lambda kept: FakeBoard(kept, **options))


def listener(bench: Bench, **options: Any) -> Listener:
    return Listener(bench, clock=bench.clock, sleep=bench.sleep, **options)


def hear(ear: Listener, seconds: float) -> list[Fact]:
    facts: list[Fact] = []
    while ear.now < seconds:
        facts += ear.poll(0.1)
    return facts


def of(kind: type[Any], facts: list[Fact]) -> list[Any]:
    return [fact.what for fact in facts if isinstance(fact.what, kind)]


def test_a_running_board_is_heard_to_its_result_and_keeps_it() -> None:
    bench = tapped(running(model=1, commits=1))
    facts = hear(listener(bench), 10)
    assert [event.kind for event in of(Event, facts)][-1] == EventKind.DONE
    assert of(Hello, facts)[0].board == "RPI_PICO"
    assert of(Status, facts)[-1].state == State.DONE
    assert of(Output, facts) == [Output(7, answer_of(OLD, INPUT, 12))]
    assert set(bench.requests) <= READS
    assert bench.kept.state == State.DONE and not bench.kept.taken


@pytest.mark.parametrize("number", [7, 0x03030303, 0x0D030400])
def test_what_it_sends_interrupts_no_board(number: int) -> None:
    """Inference 0x03030303 cannot be asked for without Ctrl-C."""
    bench = tapped(running(inference=number))
    facts = hear(listener(bench), 30)
    assert of(Output, facts) == [Output(number, answer_of(OLD, INPUT, 12))]
    assert bench.board is not None and not bench.board.interrupted
    assert bench.board.mode == "serving"


def test_while_no_stream_is_open_it_sends_no_key_that_stops_a_program() -> None:
    bench = tapped(running(), mode="program")
    hear(listener(bench), 60)
    assert bench.sent and not {CTRL_C, CTRL_D, 0x0A, 0x0D} & set(bench.sent)


def test_listening_only_sends_nothing() -> None:
    bench = tapped(running())
    facts = hear(listener(bench, asks=False), 20)
    assert of(Event, facts)[-1].state == State.DONE
    assert not bench.sent


def test_a_running_inference_is_asked_once_at_the_start_and_then_left_alone() -> None:
    bench = tapped(running(), tiles=10_000)
    hear(listener(bench), 60)
    assert bench.requests.count(Kind.STATUS) == 1 and bench.requests.count(Kind.HELLO) == 1


@pytest.mark.parametrize("keep_open", [False, True])
def test_power_cuts_are_facts_and_no_errors(keep_open: bool) -> None:
    faults = Faults(cuts=[90, 60, 150, 40, 200], keep_open=keep_open)
    bench = tapped(running(), faults, tiles=40)
    facts = hear(listener(bench), 60)
    assert bench.cut_count == 5
    assert of(Status, facts)[-1].brownouts == bench.kept.brownouts > 0
    assert of(Output, facts) == [Output(7, answer_of(OLD, INPUT, 12))]
    if not keep_open:
        assert sum(line.state == "gone" for line in of(Line, facts)) == 5


def test_an_absent_port_is_told_once_and_waited_for() -> None:
    bench = tapped(running(), Faults(cuts=[1], off_s=5.0))
    facts = hear(listener(bench, asks=False), 20)
    lines = [line.state for line in of(Line, facts)]
    assert lines == ["open", "gone", "absent", "open"]


def test_a_board_at_its_prompt_is_left_there() -> None:
    bench = tapped(Kept(), mode="repl")
    facts = hear(listener(bench), 120)
    assert bench.board is not None and bench.board.mode == "repl"
    assert bench.requests == [Kind.HELLO] and not of(Hello, facts)
    assert of(Note, facts) == [Note("the board is at its REPL and serves no link")]


def test_a_board_that_is_asked_to_serve_later_is_heard_again() -> None:
    bench = tapped(running(), mode="repl")
    ear = listener(bench)
    hear(ear, 20)
    assert bench.board is not None
    bench.board.mode, bench.board.decoder = "serving", Decoder()
    facts = hear(ear, 40)
    assert of(Hello, facts) and of(Output, facts)


def test_bit_flips_and_repeats_are_passed_over() -> None:
    faults = Faults(flips=0.2, repeats=0.2, limit=400, seed=5)
    facts = hear(listener(tapped(running(), faults)), 120)
    assert of(Output, facts)[-1:] == [Output(7, answer_of(OLD, INPUT, 12))]


class Two:
    """A second host's answers on the same line: what a pseudo-terminal beside a port hears."""

    name = "two"

    def __init__(self) -> None:
        self.now = 0.0
        self.come: list[bytes] = []
        self.sent = bytearray()

    def open(self) -> Any:
        return self

    def read(self, timeout: float) -> bytes:
        self.now += timeout
        return self.come.pop(0) if self.come else b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None: ...


def replies(kept: Kept, kind: Kind, body: bytes, seq: int) -> bytes:
    board = FakeBoard(kept)
    board.out.clear()
    board.feed(encode(kind, seq, body))
    return bytes(board.out)


def test_another_programs_answers_are_read_and_it_is_not_talked_over() -> None:
    line, kept = Two(), running(state=State.DONE)
    number = (7).to_bytes(4, "little")
    requests = [
        (Kind.HELLO, b""), (Kind.STATUS, b""), (Kind.OUTPUT, number + bytes(4)),
        (Kind.TAKE, number),
    ]  # fmt: skip
    line.come = [replies(kept, kind, body, 90 + n) for n, (kind, body) in enumerate(requests)]
    ear = Listener(line, clock=lambda: line.now, sleep=lambda s: None)
    facts = hear(ear, 9)
    assert not line.sent
    assert of(Hello, facts) and of(Status, facts)[0].state == State.DONE
    assert of(Output, facts) == [Output(7, answer_of(OLD, INPUT, 12))]
    assert of(Taken, facts) == [Taken()]
    hear(ear, 20)
    assert line.sent, "it asks again when the other one is gone"


def test_an_output_that_is_gone_is_not_asked_for_again_and_again() -> None:
    bench = tapped(running(state=State.DONE))
    assert bench.board is not None

    def gone(body: bytes) -> bytes:
        raise Error(14, "not possible in this state")

    bench.board.output = gone  # type: ignore[method-assign]
    facts = hear(listener(bench), 30)
    assert not of(Output, facts) and bench.requests.count(Kind.OUTPUT) == 1


def test_an_answer_of_another_layout_is_a_note_and_no_crash() -> None:
    line = Two()
    line.come = [
        encode(Kind.STATUS | REPLY, 3, b"\0abc"), encode(Kind.HELLO | REPLY, 4, b"\0"),
        encode(Kind.OUTPUT | REPLY, 5, b"\0"), encode(Kind.EVENT, 0, b"\x09"),
        encode(Kind.HELLO | REPLY, 6, b"", version=2), encode(Kind.STATUS | REPLY, 7, b""),
    ]  # fmt: skip
    facts = hear(Listener(line, asks=False, clock=lambda: line.now), 5)
    notes = [note.text for note in of(Note, facts)]
    assert any("another firmware version" in text for text in notes)
    assert "the board speaks link protocol 2, not 1" in notes


def test_a_silent_inference_is_asked_about_rarely() -> None:
    bench = tapped(running())
    assert bench.board is not None
    bench.board.idle = lambda seconds: None  # type: ignore[method-assign]
    hear(listener(bench), 61)
    manners = Manners()
    assert bench.requests.count(Kind.STATUS) <= 1 + 61 / manners.running
