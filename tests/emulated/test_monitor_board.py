"""`relume monitor` beside a run on the emulated Pico, and alone with a board that computes."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator

import pytest
from relume.link.client import Board
from relume.link.inference import Result, inference_id
from relume.link.messages import CHUNK, Kind, State
from relume.link.ports import open_port
from relume.link.transport import PortOpener
from relume.model.reference import reference_output
from relume.watch.listener import Listener
from relume.watch.watched import Watched

from tests.emulated.test_inference import Bench, blob_for, random_bytes
from tests.kernels.netgen import random_net

pytestmark = pytest.mark.emulated

MODEL = random_net(3)
RUNS = 20  # at most, until one meets a brown-out


class Ear:
    """A monitor in a thread of its own."""

    def __init__(self, port: str, **options: bool) -> None:
        self.listener = Listener(PortOpener(open_port(port)), **options)  # type: ignore[arg-type]
        self.watched = Watched()
        self.errors: list[BaseException] = []
        self._end = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            while not self._end:
                for fact in self.listener.poll(0.05):
                    self.watched.take(fact)
        except BaseException as error:
            self.errors.append(error)

    def wait(self, finished: int = 0, seconds: float = 60.0) -> None:
        """Until the output was heard, and so many inferences' ends."""
        end, one = time.monotonic() + seconds, self.watched
        while time.monotonic() < end and not self.errors:
            if one.output is not None and one.finished >= finished:
                break
            time.sleep(0.05)

    def close(self) -> None:
        self._end = True
        self._thread.join(5)
        self.listener.close()
        assert not self.errors


@pytest.fixture
def net() -> Iterator[tuple[bytes, bytes, bytes, float]]:
    """Blob, input, TFLite's output, capacitor."""
    image, blob, cap = blob_for(MODEL)
    data = random_bytes(blob.input_tensor.size, 5)
    yield image, data, reference_output(MODEL, data), cap


def test_a_run_is_watched_on_the_side_and_comes_out_the_same(
    net: tuple[bytes, bytes, bytes, float],
) -> None:
    image, data, expected, cap = net
    results: list[Result] = []
    with Bench(f"cap={cap * 1e9:.0f}nF&power=1mW&seed=4&plugged=1&pty=1") as bench:
        bench.board.deploy(image, "net")
        ear = Ear(bench.emulated.pty_path)  # type: ignore[attr-defined]
        bench.emulated.unplug(empty=True)
        while sum(result.brownouts for result in results) == 0 and len(results) < RUNS:
            results.append(bench.board.run(data, number=len(results)))
        ear.wait(len(results))
        ear.close()
    one, brownouts = ear.watched, sum(result.brownouts for result in results)
    assert {result.output for result in results} == {expected}
    assert one.output is not None and one.output.data == expected
    assert one.finished == len(results)
    assert one.hello is not None and one.hello.model_name == "net"
    assert one.brownouts >= brownouts > 0
    assert one.inference.number == results[-1].inference
    assert 1.7 < min(r.volts for r in one.readings) < max(r.volts for r in one.readings) < 5.6


def send(board: Board, number: int, data: bytes) -> None:
    """The input alone; nobody waits for the result."""
    offset = 0
    while offset < len(data):
        body = struct.pack("<III", number, len(data), offset) + data[offset : offset + CHUNK]
        (offset,) = struct.unpack("<I", board.stream.request(Kind.INPUT, body))


def test_alone_it_sees_the_inference_end_and_leaves_the_result_on_the_board(
    net: tuple[bytes, bytes, bytes, float],
) -> None:
    image, data, expected, cap = net
    with Bench(f"cap={cap * 1e9:.0f}nF&power=2mW&seed=4&plugged=1") as bench:
        bench.board.deploy(image, "net")
        number = inference_id(bench.board.hello.model, data, 0)
        send(bench.board, number, data)
        bench.board.stream.close()
        ear = Ear(bench.emulated.url)
        bench.emulated.unplug()
        ear.wait()
        ear.close()
        assert ear.watched.output is not None and ear.watched.output.data == expected
        assert bench.board.status().state == State.DONE
        result = bench.board.run(data)
    assert result.output == expected and result.inference == number
    assert result.notes == ("took up the inference that was done",)
