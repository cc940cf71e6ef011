"""TIMES of SPEC 6: what the client makes of a board's answers."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from relume.errors import LinkError
from relume.link.client import Board
from relume.link.messages import Kind, Times, parse_times


class Line:
    """A stream whose board has `cycles`, at most 60 a frame."""

    def __init__(self, cycles: list[int], n_ops: int | None = None) -> None:
        self.cycles, self.n_ops = cycles, len(cycles) if n_ops is None else n_ops
        self.asked: list[int] = []

    def request(self, kind: Kind, body: bytes) -> bytes:
        assert kind is Kind.TIMES
        (first,) = struct.unpack("<H", body)
        self.asked.append(first)
        part = self.cycles[first : first + 60]
        return struct.pack("<IH", 125_000_000, self.n_ops) + struct.pack(f"<{len(part)}I", *part)


def board(line: Any) -> Board:
    return Board(SimpleNamespace(text="p", emulated=None), stream=line)  # type: ignore[arg-type]


def test_a_long_model_is_asked_for_in_parts() -> None:
    line = Line(list(range(130)))
    assert board(line).times() == Times(125_000_000, 130, tuple(range(130)))
    assert line.asked == [0, 60, 120]


def test_a_board_that_tells_too_few_is_an_error() -> None:
    with pytest.raises(LinkError, match="5 times of 7 ops"):
        board(Line([1] * 5, 7)).times()


@pytest.mark.parametrize("body", [b"", bytes(5), bytes(6), struct.pack("<IH", 1, 1) + b"abc"])
def test_an_answer_cut_short_is_an_error(body: bytes) -> None:
    with pytest.raises(LinkError, match="another firmware version"):
        parse_times(body)
