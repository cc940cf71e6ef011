"""A board on the other end of a port: deploy models, run inferences through brown-outs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from relume.blob import format as fmt
from relume.blob.reader import Blob, read_blob
from relume.errors import LinkError
from relume.link import inference
from relume.link.inference import Result
from relume.link.messages import (
    CHUNK,
    PAST_LAST,
    STATUS_STATE,
    Hello,
    Kind,
    Slot,
    State,
    Status,
    Times,
    Waiting,
    parse_slot,
    parse_status,
    parse_times,
    parse_u32,
    parse_waiting,
)
from relume.link.ports import Port, open_port
from relume.link.rooms import missing
from relume.link.stream import EMULATED, Opener, Refused, Stream, Timings
from relume.link.transport import PortOpener

if TYPE_CHECKING:
    from relume.link.owner import Owner

NAME_BYTES = 31
SLOT_HEADER = 256
_SECTOR = 4096
_ERASE_S = 0.4  # of one sector, at worst
_STALLS = 6  # attempts at one place of an upload

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Deployed:
    """A model that the board has checked. Bytes; resumed: of these, there already; seconds."""

    name: str
    size: int
    meta_crc: int
    resumed: int
    seconds: float


class _Restarted(Exception):
    """The board forgot the upload: begin it again."""


class Board:
    """A relume board. Connects at the first request; every method may raise LinkError."""

    def __init__(
        self,
        port: Port | str,
        timings: Timings | None = None,
        *,
        opener: Opener | None = None,
        stream: Stream | None = None,
    ) -> None:
        self.port = open_port(port) if isinstance(port, str) else port
        if timings is None:
            timings = EMULATED if self.port.emulated else Timings()
        self.stream = stream or Stream(opener or PortOpener(self.port), timings)

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream; an emulated board is stopped."""
        try:
            self.stream.close()
        finally:
            self.port.close()

    # ---- Commands of SPEC 6 ------------------------------------------------

    def connect(self, patience: float | None = None) -> Hello:
        """Finds out who answers, through the REPL if no stream is served."""
        return self.stream.greet(patience)

    @property
    def hello(self) -> Hello:
        """The board's last HELLO."""
        return self.stream.hello

    def status(self, patience: float | None = None, model: int | None = None) -> Status:
        """The record of a model's inference; without one, of the active model's."""
        return parse_status(self.stream.request(Kind.STATUS, _named(model), patience))

    def models(self) -> list[Slot]:
        """The models on the board."""
        slots: list[Slot] = []
        while True:
            try:
                body = self.stream.request(Kind.MODELS, struct.pack("<H", len(slots)))
            except Refused as end:
                if end.code == PAST_LAST:
                    return slots
                raise
            slots.append(parse_slot(body))

    def times(self, model: int | None = None) -> Times:
        """Cycles of each op's tiles since the last input; the first call switches them on."""
        found: list[int] = []
        while True:
            body = self.stream.request(Kind.TIMES, struct.pack("<H", len(found)) + _named(model))
            part = parse_times(body)
            found += part.cycles
            if len(found) >= part.n_ops or not part.cycles:
                break
        if len(found) != part.n_ops:
            raise LinkError(f"{self.port.text}: {len(found)} times of {part.n_ops} ops came")
        return Times(part.hz, part.n_ops, tuple(found))

    def clear(self, model: int | None = None) -> None:
        """Gives up a model's inference; without one, the active model's."""
        self.stream.request(Kind.CLEAR, _named(model))

    def remove(self, name: str) -> None:
        """Gives up a model, its inference too. Nothing happens if it is not there."""
        body = name.encode() + b"\0"
        self.stream.request(Kind.REMOVE, body, self.stream.timings.answer + _ERASE_S)
        self.connect()

    # ---- Its owner ---------------------------------------------------------

    def owner(self) -> tuple[bytes, bytes]:
        """The public key whose models the board takes, zeros if it takes any, and a nonce."""
        body = self.stream.request(Kind.OWNER)
        if len(body) != 48:
            raise LinkError(f"{self.port.text}: {len(body)} bytes tell the owner, not 48")
        return body[:32], body[32:]

    def change_owner(self, new: bytes, signature: bytes) -> None:
        """Gives the board another public key, zeros for none; the present owner signs."""
        retry = self.stream.timings.signed if signature else None
        self.stream.request(Kind.OWNER, new + signature, retry=retry)

    # ---- Outputs that wait -------------------------------------------------

    def results(self) -> Iterator[Waiting]:
        """Outputs that nobody has taken: those of models that are done, then the queue, oldest
        first. Each is taken from the board when the next one is asked for.
        """
        patience = self.stream.timings.progress
        for slot in self.models():
            status = self.status(patience, slot.meta_crc)
            if status.state == State.DONE and status.model == slot.meta_crc:
                ids = status.model, status.inference
                output = inference.fetch(self.stream, *ids, patience)
                yield Waiting(*ids, len(output), output)
                self.stream.request(Kind.TAKE, struct.pack("<II", *reversed(ids)), patience)
        while True:
            try:
                oldest = self._queued(patience)
            except Refused as end:
                if end.code == PAST_LAST:
                    return
                raise
            yield oldest
            self.stream.request(
                Kind.DROP, struct.pack("<II", oldest.model, oldest.inference), patience
            )

    def _queued(self, patience: float) -> Waiting:
        """The oldest output of the queue, whole."""
        data = b""
        while True:
            body = struct.pack("<HI", 0, len(data))
            part = parse_waiting(self.stream.request(Kind.RESULT, body, patience))
            data += part.data
            if len(data) >= part.total or not part.data:
                break
        if len(data) != part.total:
            raise LinkError(f"{self.port.text}: {len(data)} bytes of {part.total} came")
        return Waiting(part.model, part.inference, part.total, data)

    def exit(self) -> None:
        """Sends the board back to its REPL."""
        self.stream.request(Kind.EXIT)

    # ---- Deploy ------------------------------------------------------------

    def deploy(
        self,
        blob: Blob | bytes,
        name: str | None = None,
        progress: Progress | None = None,
        owner: Owner | None = None,
    ) -> Deployed:
        """Sends a blob, goes on where an earlier upload ended, and has the board check it.

        It runs beside other models, in place of one of its name. progress is called with the bytes
        that the board has. owner: signs it, for a board that wants that.
        Errors: BlobError, LinkError; then the board keeps the model that it had.
        """
        checked = read_blob(blob) if isinstance(blob, bytes) else blob
        name = checked.name if name is None else name
        self._fits(checked, name)
        start = self.stream.clock()
        resumed, best, stalls = -1, -1, 0
        while True:
            upload = _Upload(self.stream, checked, name, progress or (lambda done: None), owner)
            try:
                upload.run()
                resumed = upload.first if resumed < 0 else resumed
                break
            except _Restarted:
                resumed = upload.first if resumed < 0 else resumed
                stalls = 0 if upload.offset > best else stalls + 1
                best = max(best, upload.offset)
            if stalls >= _STALLS:
                raise LinkError(
                    f"{self.port.text}: the board restarts at byte {upload.offset} of"
                    f" {checked.size} again and again: deploy with steady power (USB)"
                )
        self._verify(checked)
        seconds = self.stream.clock() - start
        return Deployed(name, checked.size, checked.meta_crc, resumed, seconds)

    def _fits(self, blob: Blob, name: str) -> None:
        hello = self.hello
        if not 1 <= len(name.encode()) <= NAME_BYTES or "\0" in name:
            raise LinkError(f"model name {name!r}: 1 to {NAME_BYTES} bytes: give --name")
        if hello.blob_major != fmt.MAJOR or hello.blob_minor < fmt.MINOR:
            raise LinkError(
                f"{self.port.text}: firmware {hello.firmware} reads blobs of version"
                f" {hello.blob_major}.{hello.blob_minor}, this one is {fmt.MAJOR}.{fmt.MINOR}:"
                " relume flash puts the matching firmware on the board"
            )
        room = hello.blobs_size - SLOT_HEADER
        if blob.size > room:
            raise LinkError(f"{name}: {blob.size} bytes, the board has room for {room}")
        same = fmt.NVM_NAMES.get(hello.nvm_kind) == blob.nvm
        text = missing(self.models(), blob, name, hello.nvm_size if same else 0)
        if text:
            raise LinkError(f"{self.port.text}: {text}")

    def _verify(self, blob: Blob) -> None:
        self.connect()
        there = [slot.meta_crc for slot in self.models()]
        if blob.meta_crc not in there:
            raise LinkError(
                f"{self.port.text}: model {blob.meta_crc:08x} is not on the board: deploy again"
            )

    # ---- Run ---------------------------------------------------------------

    def run(
        self,
        data: bytes,
        *,
        number: int = 0,
        blob: Blob | None = None,
        watch: inference.Watch | None = None,
        model: int | None = None,
    ) -> Result:
        """One inference of a model, by default the active one, through any number of brown-outs.

        data: the input tensor's bytes. number: of the sample, so that equal inputs are told
        apart. An inference of the same input that is pending on the board is taken up. blob names
        layers in errors. watch is called with each EVENT of this inference.
        """
        return inference.run(self.stream, data, number, blob, watch, model)


def _named(model: int | None) -> bytes:
    return b"" if model is None else struct.pack("<I", model)


class _Upload:
    """One attempt at PUT_BEGIN ... PUT_END. first, offset: bytes that the board has."""

    def __init__(
        self, stream: Stream, blob: Blob, name: str, progress: Progress, owner: Owner | None
    ) -> None:
        self._stream, self._blob, self._name, self._progress = stream, blob, name, progress
        self._owner = owner
        self.first = 0
        self.offset = 0
        sectors = blob.size // _SECTOR + 2
        self._patience = stream.timings.answer + sectors * _ERASE_S

    def run(self) -> None:
        """Errors: _Restarted, LinkError."""
        stream, blob = self._stream, self._blob
        begin = struct.pack("<III", blob.size, blob.meta_crc, blob.data_crc)
        body = begin + self._name.encode() + b"\0"
        if self._owner is not None:
            body += self._owner.model(body, blob)
        retry = stream.timings.signed if self._owner else None
        self.first = self._next(stream.request(Kind.PUT_BEGIN, body, self._patience, retry))
        self._restarts = stream.restarts
        self.offset = self.first
        repeats = 0
        while self.offset < blob.size:
            before = self.offset
            chunk = blob.image[before : before + CHUNK]
            body = struct.pack("<I", before) + chunk
            self.offset = self._next(self._ask(Kind.PUT_DATA, body))
            repeats = repeats + 1 if self.offset <= before else 0
            if repeats >= _STALLS:
                raise _Restarted
            self._progress(self.offset)
        self._ask(Kind.PUT_END, b"")

    def _ask(self, kind: Kind, body: bytes) -> bytes:
        try:
            return self._stream.request(kind, body, self._patience)
        except Refused as error:
            if error.code == STATUS_STATE or self._stream.restarts != self._restarts:
                raise _Restarted from error
            raise LinkError(f"the board refuses model {self._name}: {error.text}") from error

    def _next(self, body: bytes) -> int:
        offset = parse_u32(body, "PUT")
        if offset > self._blob.size:
            raise LinkError(f"the board wants byte {offset} of {self._blob.size}: deploy again")
        return offset
