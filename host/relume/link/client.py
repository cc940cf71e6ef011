"""A board on the other end of a port: deploy models, run inferences through brown-outs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from relume.blob import format as fmt
from relume.blob.reader import Blob, read_blob
from relume.errors import LinkError
from relume.link import inference
from relume.link.inference import Result
from relume.link.messages import (
    CHUNK,
    STATUS_STATE,
    Hello,
    Kind,
    Slot,
    Status,
    Times,
    parse_slot,
    parse_status,
    parse_times,
    parse_u32,
)
from relume.link.ports import Port, open_port
from relume.link.stream import EMULATED, Opener, Refused, Stream, Timings
from relume.link.transport import PortOpener

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

    def status(self, patience: float | None = None) -> Status:
        """The record of the board's inference."""
        return parse_status(self.stream.request(Kind.STATUS, patience=patience))

    def models(self) -> list[Slot]:
        """The models on the board."""
        slots: list[Slot] = []
        while True:
            try:
                body = self.stream.request(Kind.MODELS, struct.pack("<H", len(slots)))
            except Refused as end:
                if end.code == 1:
                    return slots
                raise
            slots.append(parse_slot(body))

    def times(self) -> Times:
        """Cycles of each op's tiles since the last input; the first call switches them on."""
        found: list[int] = []
        while True:
            body = self.stream.request(Kind.TIMES, struct.pack("<H", len(found)))
            part = parse_times(body)
            found += part.cycles
            if len(found) >= part.n_ops or not part.cycles:
                break
        if len(found) != part.n_ops:
            raise LinkError(f"{self.port.text}: {len(found)} times of {part.n_ops} ops came")
        return Times(part.hz, part.n_ops, tuple(found))

    def clear(self) -> None:
        """Gives up whatever inference is there."""
        self.stream.request(Kind.CLEAR)

    def exit(self) -> None:
        """Sends the board back to its REPL."""
        self.stream.request(Kind.EXIT)

    # ---- Deploy ------------------------------------------------------------

    def deploy(
        self, blob: Blob | bytes, name: str | None = None, progress: Progress | None = None
    ) -> Deployed:
        """Sends a blob, goes on where an earlier upload ended, and has the board check it.

        The model becomes the active one. progress is called with the bytes that the board has.
        Errors: BlobError, LinkError; then the board keeps the model that it had.
        """
        checked = read_blob(blob) if isinstance(blob, bytes) else blob
        name = checked.name if name is None else name
        self._fits(checked, name)
        start = self.stream.clock()
        resumed, best, stalls = -1, -1, 0
        while True:
            upload = _Upload(self.stream, checked, name, progress or (lambda done: None))
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

    def _verify(self, blob: Blob) -> None:
        hello = self.connect()
        if hello.model != blob.meta_crc:
            raise LinkError(
                f"{self.port.text}: the board says that model {hello.model:08x} is active, not"
                f" {blob.meta_crc:08x}: deploy again"
            )

    # ---- Run ---------------------------------------------------------------

    def run(
        self,
        data: bytes,
        *,
        number: int = 0,
        blob: Blob | None = None,
        watch: inference.Watch | None = None,
    ) -> Result:
        """One inference of the active model, through any number of brown-outs.

        data: the input tensor's bytes. number: of the sample, so that equal inputs are told
        apart. An inference of the same input that is pending on the board is taken up. blob names
        layers in errors. watch is called with each EVENT of this inference.
        """
        return inference.run(self.stream, data, number, blob, watch)


class _Upload:
    """One attempt at PUT_BEGIN ... PUT_END. first, offset: bytes that the board has."""

    def __init__(self, stream: Stream, blob: Blob, name: str, progress: Progress) -> None:
        self._stream, self._blob, self._name, self._progress = stream, blob, name, progress
        self.first = 0
        self.offset = 0
        sectors = blob.size // _SECTOR + 2
        self._patience = stream.timings.answer + sectors * _ERASE_S

    def run(self) -> None:
        """Errors: _Restarted, LinkError."""
        stream, blob = self._stream, self._blob
        begin = struct.pack("<III", blob.size, blob.meta_crc, blob.data_crc)
        body = begin + self._name.encode() + b"\0"
        self.first = self._next(stream.request(Kind.PUT_BEGIN, body, self._patience))
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
