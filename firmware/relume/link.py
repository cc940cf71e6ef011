"""The frame server: the board's side of docs/SPEC.md 6.

serve() reads frames from the console and answers them, and runs the inference in between. It ends
at EXIT, at Ctrl-C (while no host speaks frames), at the bytes 0D 03 outside a frame, and when the
console is closed.
"""

import gc
import struct

import _relume
from micropython import const

from . import VERSION
from .board import open_nvm
from .console import Console

# const() with a leading underscore takes no memory and no time at boot.
_EMPTY = const(0)
_RUNNING = const(1)
_DONE = const(2)
_STUCK = const(4)

_PROTOCOL = const(1)
_REPLY = const(0x80)
_HELLO = const(0x01)
_STATUS = const(0x02)
_PUT_BEGIN = const(0x10)
_PUT_DATA = const(0x11)
_PUT_END = const(0x12)
_INPUT = const(0x20)
_OUTPUT = const(0x21)
_TAKE = const(0x22)
_CLEAR = const(0x23)
_TIMES = const(0x24)
_MODELS = const(0x30)
_EXIT = const(0x7F)
_EVENT = const(0x40)
_MESSAGE = const(0x41)

# Kinds of events.
_BOOTED = const(1)
_RESUMED = const(2)
_COMMITTED = const(3)
_FINISHED = const(4)
_GAVE_UP = const(5)
_ERASED = const(6)

# Reply status: 0, the negated status of the C core, or one of these.
_PAST_LAST = const(1)
_BAD_REQUEST = const(64)
_NO_MODEL = const(65)
_NO_NVM = const(66)
_FAILED = const(67)

_E_NVM = const(-9)
_E_STATE = const(-14)
_E_SIZE = const(-15)
_E_MODEL = const(-16)

_IDLE_MS = const(50)
_CHUNK = const(240)
_META_CRC_AT = const(16)  # in the blob, SPEC 2.1
_NVM_KIND_AT = const(25)
_STATUS_SIZE = const(40)


def _clock_hz():
    """What the port's cycles are of; the unix port counts nanoseconds."""
    try:
        from machine import freq
    except ImportError:
        return 1_000_000_000
    return freq()


class Refused(Exception):
    """A request that is answered with a status and one line of text."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.text = text


def _refusal(error):
    """Status and text of whatever a command raised."""
    if isinstance(error, Refused):
        return error.status, error.text
    code = getattr(error, "code", None)
    if code is not None and code < 0:
        return -code, str(error)
    return _FAILED, str(error) or type(error).__name__


def _text(data):
    """The string ending with 0 at the end of a request body."""
    if not data or data[-1] or 0 in data[:-1]:
        raise Refused(_BAD_REQUEST, "name must end with one 0 byte")
    try:
        return str(data[:-1], "utf-8")
    except UnicodeError:
        raise Refused(_BAD_REQUEST, "name is not UTF-8") from None


class Server:
    """State of one link: the session of the active model, the upload, the input gathered."""

    def __init__(self, console=None):
        self.console = console or Console()
        self.core = self.nvm = None
        self.blob = None
        self.trouble = None
        self.input = None
        self.input_id = 0
        self.input_at = 0
        self.last = None
        self.commands = None

    def table(self):
        """What answers which request; made when the first one comes."""
        return {
            _HELLO: self.hello,
            _STATUS: self.status,
            _PUT_BEGIN: self.put_begin,
            _PUT_DATA: self.put_data,
            _PUT_END: self.put_end,
            _INPUT: self.put_input,
            _OUTPUT: self.output,
            _TAKE: self.take,
            _CLEAR: self.clear,
            _TIMES: self.times,
            _MODELS: self.models,
            _EXIT: self.exit,
        }

    # -- the model and its session

    def attach(self):
        """Opens the active model's session, if it is not open. Leaves self.trouble."""
        if self.core is not None and self.trouble is None:
            return
        self.detach()
        self.blob = _relume.slot_blob(None)
        if self.blob is None:
            self.trouble = Refused(_NO_MODEL, "no model is deployed")
            return
        try:
            self.core = self.mount()
        except Exception as error:
            self.trouble = error

    def mount(self):
        """The core session. If it does not open it is kept all the same, for clear()."""
        try:
            self.nvm = open_nvm(self.blob[_NVM_KIND_AT])
        except OSError as error:
            raise Refused(_NO_NVM, str(error)) from None
        core = _relume.Session(self.blob, self.nvm)
        try:
            core.open()
        except _relume.BoardError as error:
            self.trouble = error
        return core

    def detach(self):
        """Forgets session and model: their flash may be erased next."""
        if self.core is not None:
            self.core = self.nvm = self.input = None  # what they held is free now
            gc.collect()
        self.blob = self.nvm = self.trouble = self.input = None

    def session(self):
        """The open session, or the reason why there is none as an exception."""
        self.attach()
        if self.trouble is not None:
            raise self.trouble
        return self.core

    def state(self):
        return self.core.state if self.core is not None and self.trouble is None else _EMPTY

    # -- unasked frames

    def event(self, kind):
        core = self.core
        body = struct.pack(
            "<BBHIIII",
            kind,
            self.state(),
            _relume.millivolts() & 0xFFFF,
            core.inference if core else 0,
            core.tile if core else 0,
            core.seq if core else 0,
            _relume.micros(),
        )
        self.console.send(_EVENT, 0, body)

    def message(self, text):
        self.console.send(_MESSAGE, 0, text.encode()[:256])

    # -- the inference

    def resume(self):
        """At turn-on: says what was found; True if an inference is to be gone on with."""
        self.attach()
        if self.blob is None:
            return False
        self.event(_BOOTED)
        if self.trouble is not None:
            self.message(_refusal(self.trouble)[1])
            return False
        if self.state() == _STUCK:
            self.event(_GAVE_UP)
        if self.state() != _RUNNING:
            return False
        self.event(_RESUMED)
        return True

    def step(self):
        """One step of the running inference and its event."""
        try:
            result = self.core.step()
        except _relume.BoardError as error:
            if self.core.state == _STUCK:
                self.event(_GAVE_UP)
            else:
                self.trouble = error
            self.message(str(error))
            return
        if result == _relume.RAN:
            return
        self.event(_ERASED if result == _relume.ERASED else _COMMITTED)
        if result == _relume.DONE:
            self.event(_FINISHED)

    # -- requests; each returns the reply's body after the status

    def hello(self, body):
        self.last = None
        self.attach()
        blob = self.blob
        name = ""
        for slot in _relume.slots():
            if slot[5]:
                name = slot[0]
        return (
            struct.pack(
                "<BBBBIIII",
                _PROTOCOL,
                _relume.BLOB_MAJOR,
                _relume.BLOB_MINOR,
                blob[_NVM_KIND_AT] if blob else 0,
                self.nvm.size if self.nvm else 0,
                _relume.regions()["blobs"][1],
                gc.mem_free() if hasattr(gc, "mem_free") else 0,
                struct.unpack_from("<I", blob, _META_CRC_AT)[0] if blob else 0,
            )
            + "\0".join((_relume.board(), VERSION, name, "")).encode()
        )

    def status(self, body):
        self.attach()
        core = self.core
        if self.blob is None:
            return bytes(_STATUS_SIZE)
        if core is None or getattr(self.trouble, "code", _E_MODEL) != _E_MODEL:
            raise self.trouble
        tiles = core.tiles
        return struct.pack(
            "<BBHIIIIQIII",
            core.state,
            min(255, core.tile * 256 // tiles),
            0,
            core.model,
            core.inference,
            core.tile,
            tiles,
            core.cycles,
            core.commits,
            core.nvm_bytes,
            core.brownouts,
        )

    def put_begin(self, body):
        if len(body) < 14:
            raise Refused(_BAD_REQUEST, "PUT_BEGIN is too short")
        size, meta_crc, data_crc = struct.unpack("<III", body[:12])
        name = _text(body[12:])
        self.detach()
        return struct.pack("<I", _relume.slot_begin(size, meta_crc, data_crc, name))

    def put_data(self, body):
        if len(body) < 5:
            raise Refused(_BAD_REQUEST, "PUT_DATA is too short")
        at = struct.unpack("<I", body[:4])[0]
        return struct.pack("<I", _relume.slot_write(at, memoryview(body)[4:]))

    def put_end(self, body):
        _relume.slot_end()
        self.detach()
        return b""

    def put_input(self, body):
        if len(body) < 12:
            raise Refused(_BAD_REQUEST, "INPUT is too short")
        id, total, at = struct.unpack("<III", body[:12])
        core = self.session()
        if total != core.input_size:
            text = f"the model's input has {core.input_size} bytes, not {total}"
            raise Refused(-_E_SIZE, text)
        if core.state in (_RUNNING, _DONE) and core.inference == id:
            return struct.pack("<I", total)
        if self.input is None or self.input_id != id:
            self.input = bytearray(total)
            self.input_id = id
            self.input_at = 0
        data = memoryview(body)[12:]
        if at == self.input_at and len(data) <= total - at:
            self.input[at : at + len(data)] = data
            self.input_at += len(data)
        if self.input_at == total:
            self.begin(core, id)
        return struct.pack("<I", self.input_at)

    def begin(self, core, id):
        """Commits the gathered input. It is kept until that is done, so a retry may follow."""
        while core.begin(id, self.input) == _relume.ERASED:
            self.event(_ERASED)
        self.input = None
        self.event(_COMMITTED)

    def output(self, body):
        if len(body) != 8:
            raise Refused(_BAD_REQUEST, "OUTPUT takes 8 bytes")
        id, at = struct.unpack("<II", body)
        core = self.session()
        if core.state != _DONE or core.inference != id:
            raise Refused(-_E_STATE, f"inference {id} is not done")
        data = core.output()
        return struct.pack("<I", len(data)) + data[at : at + _CHUNK]

    def times(self, body):
        if len(body) != 2:
            raise Refused(_BAD_REQUEST, "TIMES takes 2 bytes")
        first = struct.unpack("<H", body)[0]
        data = self.session().times()
        part = data[4 * first : 4 * first + _CHUNK]
        return struct.pack("<IH", _clock_hz(), len(data) // 4) + part

    def take(self, body):
        if len(body) != 4:
            raise Refused(_BAD_REQUEST, "TAKE takes 4 bytes")
        core = self.session()
        while core.take(struct.unpack("<I", body)[0]) == _relume.ERASED:
            self.event(_ERASED)
        return b""

    def clear(self, body):
        self.attach()
        if self.core is None:
            raise self.trouble
        while self.core.clear() == _relume.ERASED:
            self.event(_ERASED)
        self.detach()
        return b""

    def models(self, body):
        if len(body) != 2:
            raise Refused(_BAD_REQUEST, "MODELS takes 2 bytes")
        slots = _relume.slots()
        index = struct.unpack("<H", body)[0]
        if index >= len(slots):
            raise Refused(_PAST_LAST, "no more models")
        name, size, meta_crc, _, _, active = slots[index]
        return struct.pack("<IIB", size, meta_crc, active) + name.encode() + b"\0"

    def exit(self, body):
        self.console.open = False
        return b""

    # -- the loop

    def answer(self, type, seq, body):
        """Does a request once and replies; a repeated one is only answered."""
        if type & _REPLY or type in (_EVENT, _MESSAGE):
            return
        if type != _HELLO and self.last is not None and self.last[:2] == (type, seq):
            self.console.send(type | _REPLY, seq, self.last[2])
            return
        if self.commands is None:
            self.commands = self.table()
        command = self.commands.get(type)
        try:
            if command is None:
                raise Refused(_BAD_REQUEST, f"unknown request 0x{type:02x}")
            reply = b"\0" + command(body)
        except Exception as error:
            status, text = _refusal(error)
            reply = bytes([status]) + text.encode()[:200]
            if getattr(error, "code", None) == _E_NVM:
                self.detach()  # the next request probes the NVM again
        self.last = (type, seq, reply)
        self.console.send(type | _REPLY, seq, reply)

    def loop(self):
        console = self.console
        try:
            while console.open:
                frames = console.receive()
                for frame in frames:
                    self.answer(*frame)
                if frames or not console.open:
                    continue
                if self.state() == _RUNNING:
                    self.step()
                else:
                    console.wait(_IDLE_MS)
        finally:
            console.close()


def serve(server=None):
    """Serves until the stream ends. Ctrl-C ends it too, quietly."""
    try:  # noqa: SIM105
        (server or Server()).loop()
    except KeyboardInterrupt:
        pass
