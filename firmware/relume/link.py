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
from .console import Console
from .queue import NoNvm, Queue

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
_RESULT = const(0x25)
_DROP = const(0x26)
_MODELS = const(0x30)
_REMOVE = const(0x31)
_OWNER = const(0x32)
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
_BAD_REQUEST = const(64)
_NO_MODEL = const(65)
_NO_NVM = const(66)
_FAILED = const(67)

_E_NVM = const(-9)
_E_STUCK = const(-13)
_E_STATE = const(-14)
_E_SIZE = const(-15)
_E_MODEL = const(-16)

_IDLE_MS = const(50)
_CHUNK = const(240)
_NVM_KIND_AT = const(25)  # in the blob, SPEC 2.1
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
    if isinstance(error, NoNvm):
        return _NO_NVM, str(error)
    code = getattr(error, "code", None)
    if code is not None and code < 0:
        return -code, str(error)
    return _FAILED, str(error) or type(error).__name__


def _split(body, own):
    """The request's own bytes and the model that a u32 behind them names, or None."""
    if len(body) == own:
        return body, None
    if len(body) != own + 4:
        raise Refused(_BAD_REQUEST, f"the request takes {own} bytes, and 4 that name a model")
    return body[:own], struct.unpack("<I", body[own:])[0]


class Server:
    """State of one link: the models' sessions, the upload, the input gathered."""

    def __init__(self, console=None):
        self.console = console or Console()
        self.queue = Queue()
        self.shown = None  # the core that events tell of
        self.input = None
        self.input_of = None  # inference and model
        self.input_at = 0
        self.last = None
        self.commands = None
        self.store = None  # of outputs that wait
        self.digest = self.nonce = b""  # what the owner has signed, what it is to sign

    def table(self):
        """What answers which request; made when the first one comes."""
        return {
            _HELLO: self.hello,
            _STATUS: self.status,
            _PUT_BEGIN: self.deploys("put_begin"),
            _PUT_DATA: self.deploys("put_data"),
            _PUT_END: self.deploys("put_end"),
            _INPUT: self.put_input,
            _OUTPUT: self.output,
            _TAKE: self.take,
            _CLEAR: self.clear,
            _TIMES: self.times,
            _RESULT: self.waiting("result"),
            _DROP: self.waiting("drop"),
            _MODELS: self.deploys("models"),
            _REMOVE: self.deploys("remove"),
            _OWNER: self.deploys("give"),
            _EXIT: self.exit,
        }

    def deploys(self, name):
        """A command of a module that is loaded when it is asked for."""

        def command(body):
            from . import deploys

            return getattr(deploys, name)(self, body)

        return command

    def waiting(self, name):
        """The same of another one."""

        def command(body):
            from . import waiting

            return getattr(waiting, name)(self, body)

        return command

    # -- the models and their sessions

    def forget(self):
        """Forgets sessions and models: their flash may be erased next."""
        self.shown = self.input = None  # what they held is free now
        self.queue.forget()

    def core(self, model=None):
        """The mounted core session, or the reason why there is none as an exception."""
        if not self.queue.slots:
            raise Refused(_NO_MODEL, "no model is deployed")
        try:
            return self.queue.core(model)
        except ValueError as error:
            raise Refused(_NO_MODEL, str(error)) from None

    def session(self, model=None):
        """The open core session. One that runs is as it is: to open it counts an attempt."""
        core = self.core(model)
        if core.state == _RUNNING and core.model == core.meta_crc:
            return core
        return self.queue.session(core.meta_crc)

    def busy(self):
        """An inference runs."""
        return self.queue.first() is not None

    # -- unasked frames

    def event(self, kind, core=None):
        core = core or self.shown
        body = struct.pack(
            "<BBHIIII",
            kind,
            core.state if core else 0,
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
        queue = self.queue
        if not queue.slots:
            return False
        first = queue.first()
        trouble = None
        try:
            self.shown = queue.session(first)
        except OSError as error:
            trouble = error
            model = queue.find(first)
            queue.trouble[model] = error
            self.shown = queue.cores.get(model)
        self.event(_BOOTED)
        for text in queue.older.values():
            if text:
                self.message(text)
        if trouble is not None:
            self.message(_refusal(trouble)[1])
            return self.busy()
        if self.shown.state == _STUCK:
            self.event(_GAVE_UP)
        if first is None:
            return False
        self.event(_RESUMED)
        return True

    def step(self):
        """One step of the inference that comes first, and its event."""
        queue = self.queue
        try:
            done = queue.step()
        except OSError as error:
            self.shown = queue.cores.get(queue.now)
            if self.shown and self.shown.state == _STUCK:
                self.event(_GAVE_UP)
            self.message(str(error))
            return
        if done is None:
            return
        model, result = done
        self.shown = queue.cores[model]
        if result == _relume.RAN:
            return
        self.event(_ERASED if result == _relume.ERASED else _COMMITTED)
        if result == _relume.DONE:
            self.event(_FINISHED)

    # -- requests; each returns the reply's body after the status

    def hello(self, body):
        self.last = None
        queue, kind, size, model, name = self.queue, 0, 0, 0, ""
        for slot in queue.slots:
            if slot[5]:
                name, model, kind = slot[0], slot[2], queue.blob()[_NVM_KIND_AT]
                try:
                    size = queue.nvm(kind).size
                except OSError:
                    pass  # its NVM does not answer
        return (
            struct.pack(
                "<BBBBIIII",
                _PROTOCOL,
                _relume.BLOB_MAJOR,
                _relume.BLOB_MINOR,
                kind,
                size,
                _relume.regions()["blobs"][1],
                gc.mem_free() if hasattr(gc, "mem_free") else 0,
                model,
            )
            + "\0".join((_relume.board(), VERSION, name, "")).encode()
        )

    def status(self, body):
        _, model = _split(body, 0)
        if not self.queue.slots:
            return bytes(_STATUS_SIZE)
        core = self.core(model)
        older = self.queue.older.pop(core.meta_crc, None)
        if older and core.state == _EMPTY:
            self.message(older)  # the host may not have heard the one at turn-on
        refused = self.queue.trouble.get(core.meta_crc)
        if getattr(refused, "code", _E_MODEL) not in (_E_MODEL, _E_STUCK):
            raise refused
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

    def put_input(self, body):
        if len(body) < 12:
            raise Refused(_BAD_REQUEST, "INPUT is too short")
        id, total, at = struct.unpack("<III", body[:12])
        end = 12 + min(_CHUNK, max(0, total - at))  # what goes on behind a whole part names a model
        model = struct.unpack("<I", body[end:])[0] if len(body) == end + 4 else None
        data = memoryview(body)[12 : len(body) if model is None else end]
        core = self.session(model)
        if total != core.input_size:
            text = f"the model's input has {core.input_size} bytes, not {total}"
            raise Refused(-_E_SIZE, text)
        if core.state in (_RUNNING, _DONE) and core.inference == id:
            return struct.pack("<I", total)
        if core.state == _RUNNING:
            raise Refused(-_E_STATE, f"inference {core.inference:08x} of this model runs")
        of = id, core.meta_crc
        if self.input is None or self.input_of != of:
            self.input = None
            self.input = bytearray(total)
            self.input_of = of
            self.input_at = 0
        if at == self.input_at and len(data) <= total - at:
            self.input[at : at + len(data)] = data
            self.input_at += len(data)
        if self.input_at == total:
            self.begin(core, id)
        return struct.pack("<I", self.input_at)

    def begin(self, core, id):
        """Commits the gathered input. It is kept until that is done, so a retry may follow. An
        output that nobody has taken goes to the queue of results first."""
        if core.state == _DONE:
            from .waiting import keep

            keep(self, core)
        due = self.queue.due()
        while core.begin(id, self.input, 0, due) == _relume.ERASED:
            self.event(_ERASED, core)
        self.input = None
        self.queue.started(core.meta_crc)
        self.event(_COMMITTED, core)

    def output(self, body):
        body, model = _split(body, 8)
        id, at = struct.unpack("<II", body)
        core = self.session(model)
        if core.state != _DONE or core.inference != id:
            raise Refused(-_E_STATE, f"inference {id} is not done")
        data = core.output()
        return struct.pack("<I", len(data)) + data[at : at + _CHUNK]

    def times(self, body):
        body, model = _split(body, 2)
        first = struct.unpack("<H", body)[0]
        data = self.session(model).times()
        part = data[4 * first : 4 * first + _CHUNK]
        return struct.pack("<IH", _clock_hz(), len(data) // 4) + part

    def take(self, body):
        body, model = _split(body, 4)
        core = self.session(model)
        while core.take(struct.unpack("<I", body)[0]) == _relume.ERASED:
            self.event(_ERASED, core)
        return b""

    def clear(self, body):
        _, model = _split(body, 0)
        self.input = self.shown = None
        self.queue.clear(self.core(model).meta_crc)
        return b""

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
                self.forget()  # the next request probes the NVM again
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
                if self.busy():
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
