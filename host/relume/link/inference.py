"""One inference on a board: input, any number of brown-outs, output."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from relume.blob.reader import Blob
from relume.errors import LinkError
from relume.link.messages import (
    CHUNK,
    STATUS_STATE,
    Event,
    EventKind,
    Kind,
    State,
    Status,
    parse_status,
    parse_u32,
)
from relume.link.stream import Refused, Stream
from relume.link.transport import NoAnswer, PortAbsent, PortHeld

Watch = Callable[[Event], None]

_SLICE_S = 0.5


@dataclass(frozen=True)
class Result:
    """An inference's output and what it took.

    output: the output tensor's bytes. brownouts: power cuts inside the inference. charges: of the
    capacitor that it was spread over. cycles: core cycles of tiles and commits that counted.
    nvm_bytes: written by the commits. seconds: host time. notes: for the user.
    """

    output: bytes
    brownouts: int
    charges: int
    cycles: int
    commits: int
    nvm_bytes: int
    seconds: float
    inference: int
    notes: tuple[str, ...] = ()


class Stuck(LinkError):
    """One unit of a tile does not fit a charge."""


def inference_id(model: int, data: bytes, number: int) -> int:
    """The id of an input: the same again, so that a run that was broken off is taken up."""
    seed = zlib.crc32(struct.pack("<II", model, number & 0xFFFFFFFF))
    return zlib.crc32(data, seed) or 1


def run(
    stream: Stream, data: bytes, number: int, blob: Blob | None, watch: Watch | None,
    model: int | None = None,
) -> Result:
    """See Board.run(). Errors: Stuck, LinkError."""
    return _Inference(stream, data, number, blob, watch, model).run()


def fetch(stream: Stream, model: int, inference: int, patience: float) -> bytes:
    """The output of an inference that is done. Errors: LinkError."""
    output, total = b"", 1
    while len(output) < total:
        body = struct.pack("<III", inference, len(output), model)
        reply = stream.request(Kind.OUTPUT, body, patience)
        total = parse_u32(reply, "OUTPUT")
        if len(reply) == 4 or len(output) + len(reply) - 4 > total:
            raise LinkError(f"{stream.name}: the output of {total} bytes came wrong")
        output += reply[4:]
    return output


class _Inference:
    def __init__(
        self, stream: Stream, data: bytes, number: int, blob: Blob | None, watch: Watch | None,
        model: int | None,
    ) -> None:
        self.model = stream.hello.model if model is None else model
        if not self.model:
            raise LinkError(f"{stream.name}: no model is on the board: relume deploy NET.rlm")
        self.stream, self.data, self.blob, self.watch = stream, data, blob, watch
        self.id = inference_id(self.model, data, number)
        self.notes: list[str] = []
        self.last: Status | None = None
        self.patience = stream.timings.progress

    def run(self) -> Result:
        start = self.stream.clock()
        self.stream.events.clear()
        self.stream.messages.clear()
        status = self._status()
        self.notes.extend(f"the board says: {text}" for text in self.stream.messages)
        if not self._attach(status):
            self._send()
        done = self._wait()
        output = fetch(self.stream, self.model, self.id, self.patience)
        self._ask(Kind.TAKE, struct.pack("<I", self.id))
        return Result(
            output,
            done.brownouts,
            done.brownouts + 1,
            done.cycles,
            done.commits,
            done.nvm_bytes,
            self.stream.clock() - start,
            self.id,
            tuple(self.notes),
        )

    def _ask(self, kind: Kind, body: bytes = b"") -> bytes:
        """About the model, which a u32 behind the request names."""
        return self.stream.request(kind, body + struct.pack("<I", self.model), self.patience)

    def _status(self) -> Status:
        self.last = parse_status(self._ask(Kind.STATUS))
        return self.last

    def _ours(self, status: Status) -> bool:
        return status.inference == self.id and status.model == self.model

    # ---- Before ------------------------------------------------------------

    def _attach(self, status: Status) -> bool:
        """Takes up a pending inference of this input; gives up any other."""
        pending = status.state in (State.RUNNING, State.DONE)
        if pending and self._ours(status):
            self.notes.append(f"took up the inference that was {status.state.name.lower()}")
            return True
        if status.state == State.DONE and status.model == self.model:
            self.notes.append(
                f"the output of inference {status.inference:08x} waits: relume run --results"
            )
            return False  # the board queues it when the next input comes
        if pending or status.state == State.STUCK:
            what = f"inference {status.inference:08x} ({status.state.name.lower()})"
            self.notes.append(f"gave up {what} at tile {status.tile}")
            self._ask(Kind.CLEAR)
        return False

    def _send(self) -> None:
        """Sends the input; the board starts at its last byte. Begins again after a brown-out."""
        total, offset, best = len(self.data), 0, -1
        deadline = self.stream.clock() + self.patience
        while offset < total:
            body = struct.pack("<III", self.id, total, offset) + self.data[offset:][:CHUNK]
            try:
                offset = parse_u32(self._ask(Kind.INPUT, body), "INPUT")
            except Refused as error:
                self._refused(error)
                return
            if offset > best:
                best = offset
                deadline = self.stream.clock() + self.patience
            elif self.stream.clock() > deadline:
                raise LinkError(
                    f"{self.stream.name}: the power ends before the board has all {total} bytes"
                    f" of input (at most {best}): a larger capacitor, or USB power for the input"
                )

    def _refused(self, error: Refused) -> None:
        """An INPUT that came twice, because its answer was lost, is no error."""
        if error.code == STATUS_STATE:
            status = self._status()
            if self._ours(status) and status.state in (State.RUNNING, State.DONE):
                return
            if status.state == State.DONE:
                raise LinkError(
                    f"{self.stream.name}: the output of inference {status.inference:08x} waits,"
                    " and the charge does not carry the interpreter, which would queue it:"
                    " relume run --results takes it"
                ) from error
        text = f"{self.stream.name}: the board refuses the input: {error.text}"
        raise LinkError(text) from error

    # ---- While it runs -----------------------------------------------------

    def _wait(self) -> Status:
        """Listens until the inference is done; asks when nothing comes."""
        clock, timings = self.stream.clock, self.stream.timings
        moved = heard = clock()
        place: object = None
        if self.last is not None and self._ours(self.last) and self.last.state == State.DONE:
            return self.last
        while True:
            self.stream.listen(min(_SLICE_S, timings.poll))
            finished = False
            while self.stream.events:
                event = self.stream.events.popleft()
                if event.inference == self.id and event.kind != EventKind.BOOTED:
                    heard = clock()
                elif event.kind == EventKind.COMMITTED:
                    moved = clock()  # another model's turn
                finished |= self._note(event)
                if event.inference == self.id and (event.state, event.tile) != place:
                    place, moved = (event.state, event.tile), clock()
            if finished or clock() - heard >= timings.poll:
                status = self._ask_status()
                heard = clock()
                if self._is_done(status):
                    return status
                if (status.state, status.tile) != place:
                    place, moved = (status.state, status.tile), clock()
            if clock() - moved > self.patience:
                raise LinkError(f"{self.stream.name}: {self._stalled()}")

    def _ask_status(self) -> Status:
        try:
            return self._status()
        except (NoAnswer, PortAbsent, PortHeld) as error:
            raise LinkError(f"{self.stream.name}: {self._stalled()}") from error

    def _note(self, event: Event) -> bool:
        """True when the event says that the inference ended, well or not."""
        if event.inference != self.id:
            return False
        if self.watch is not None:
            self.watch(event)
        return event.state in (State.DONE, State.STUCK)

    def _is_done(self, status: Status) -> bool:
        """Errors: Stuck, LinkError when the board no longer has the inference."""
        if self._ours(status) and status.state == State.RUNNING:
            return False
        if self._ours(status) and status.state == State.DONE:
            return True
        if self._ours(status) and status.state == State.STUCK:
            raise Stuck(
                f"{self.stream.name}: stuck at tile {status.tile}{self._layer(status.tile)}, which"
                " does not fit one charge: take a larger capacitor, or plan for this one"
                " (relume plan --cap)"
            )
        raise LinkError(
            f"{self.stream.name}: the board lost the inference (it is"
            f" {status.state.name.lower()} now): was it cleared by another program?"
        )

    def _layer(self, tile: int) -> str:
        if self.blob is None or self.blob.meta_crc != self.model:
            return ""
        return f" of layer {self.blob.layer_of(tile)}"

    def _stalled(self) -> str:
        last = self.last
        text = f"no progress for {self.patience:.0f} s"
        if last is not None:
            text += (
                f"; last known: {last.state.name.lower()} at tile {last.tile} of {last.n_tiles}"
                f"{self._layer(last.tile)}, {last.brownouts} brown-outs"
            )
        if self.stream.messages:
            text += f"; the board says: {self.stream.messages[-1]}"
        return text + "; is there enough power? (a longer --timeout waits longer)"
