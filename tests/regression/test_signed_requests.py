"""A signed request is sent once while the board checks its signature, for seconds if need be.

Repetitions queued up behind the check, each as slow as the first: a slow board never got through
them, and a change of the owner that had succeeded was reported as refused.
"""

from __future__ import annotations

from relume.link.client import Board
from relume.link.frames import Decoder, encode
from relume.link.messages import REPLY, Kind
from relume.link.ports import Port
from relume.link.stream import EMULATED, Stream, Timings

CHECK_S = {Timings(): 2.0, EMULATED: 40.0}  # longer than the timings' retry


class Signing:
    """A line to a board that needs seconds for what is signed, one frame after the other."""

    name = "signing"

    def __init__(self, check_s: float) -> None:
        self.check_s, self.now, self.ready = check_s, 0.0, 0.0
        self.asked: list[int] = []
        self.answers: list[tuple[float, bytes]] = []
        self.decoder = Decoder()

    def clock(self) -> float:
        return self.now

    def open(self) -> Signing:
        return self

    def write(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            self.asked.append(frame.kind)
            slow = frame.kind == Kind.OWNER and len(frame.body) > 32
            self.ready = max(self.ready, self.now) + (self.check_s if slow else 0.01)
            self.answers.append((self.ready, encode(frame.kind | REPLY, frame.seq, b"\0")))

    def read(self, timeout: float) -> bytes:
        if not self.answers or self.answers[0][0] > self.now + timeout:
            self.now += timeout
            return b""
        at, answer = self.answers.pop(0)
        self.now = max(self.now, at)
        return answer

    def close(self) -> None:
        self.answers.clear()


def test_a_board_that_checks_a_signature_is_asked_once() -> None:
    for timings, check_s in CHECK_S.items():
        line = Signing(check_s)
        stream = Stream(line, timings, clock=line.clock, seq=1)
        stream._wire = line
        board = Board(Port("signing"), stream=stream)
        board.change_owner(bytes(32), bytes(64))
        assert line.asked == [Kind.OWNER] and check_s > timings.retry
