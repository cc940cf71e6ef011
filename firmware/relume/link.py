"""The frame server: the board's side of docs/SPEC.md 6.

serve() reads frames from the console and answers them, and runs the inference in between. It ends
at EXIT, at Ctrl-C (while no host speaks frames), at the bytes 0D 03 outside a frame, and when the
console is closed.
"""

import gc
import select
import struct
import sys
from time import sleep_ms, ticks_diff, ticks_ms

import _relume
import micropython

from . import DONE, EMPTY, RUNNING, STUCK, VERSION, _deployed

PROTOCOL = 1
REPLY = 0x80
HELLO, STATUS, PUT_BEGIN, PUT_DATA, PUT_END = 0x01, 0x02, 0x10, 0x11, 0x12
INPUT, OUTPUT, TAKE, CLEAR, MODELS, EXIT = 0x20, 0x21, 0x22, 0x23, 0x30, 0x7F
EVENT, MESSAGE = 0x40, 0x41

BOOTED, RESUMED, COMMITTED, FINISHED, GAVE_UP, ERASED = 1, 2, 3, 4, 5, 6

# Reply status: 0, the negated status of the C core, or one of these.
PAST_LAST = 1
BAD_REQUEST = 64
NO_MODEL = 65
NO_NVM = 66
FAILED = 67

E_STATE = -14
E_MODEL = -16

QUIET_MS = 3000
IDLE_MS = 50
CHUNK = 240
CTRL_C = b"\x03"
STATUS_FORMAT = "<BBHIIIIQIII"
STATUS_SIZE = struct.calcsize(STATUS_FORMAT)


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
    return FAILED, str(error) or type(error).__name__


def _text(data):
    """The string ending with 0 at the end of a request body."""
    if not data or data[-1] or 0 in data[:-1]:
        raise Refused(BAD_REQUEST, "name must end with one 0 byte")
    try:
        return str(data[:-1], "utf-8")
    except UnicodeError:
        raise Refused(BAD_REQUEST, "name is not UTF-8")


class Console:
    """Frames in and out. Ctrl-C is off while a host speaks frames, and 3 s longer."""

    def __init__(self):
        self.decoder = _relume.Decoder()
        self.buffer = bytearray(256)
        self.view = memoryview(self.buffer)
        self.poll = select.poll()
        self.poll.register(sys.stdin, select.POLLIN)
        self.out = sys.stdout.buffer
        self.heard = 0
        self.quiet = False
        self.open = True

    def send(self, type, seq, body):
        self.out.write(_relume.encode(type, seq, body))
        if hasattr(self.out, "flush"):
            self.out.flush()

    def wait(self, ms):
        """Sleeps until something arrives, at most ms."""
        if not self.open:
            return
        self.poll.poll(ms)

    def _ctrl_c(self, on):
        if self.quiet == on:
            micropython.kbd_intr(3 if on else -1)
            self.quiet = not on

    def receive(self):
        """The frames that have arrived; [] also when the stream has ended."""
        n = _relume.console(self.buffer)
        if n < 0:
            self.open = False
            return []
        if not self.quiet and n and CTRL_C in self.buffer[:n]:
            raise KeyboardInterrupt
        frames = self.decoder.feed(self.view[:n]) if n else []
        if frames:
            self.heard = ticks_ms()
            self._ctrl_c(False)
        elif self.quiet and ticks_diff(ticks_ms(), self.heard) > QUIET_MS:
            self._ctrl_c(True)
        if self.decoder.escape:
            self.open = False
        return frames

    def close(self):
        self._ctrl_c(True)


class Server:
    """State of one link: the session of the active model, the upload, the input gathered."""

    def __init__(self, console=None):
        self.console = console or Console()
        self.core = self.nvm = None
        self.blob = self.info = None
        self.trouble = None
        self.input = None
        self.input_id = 0
        self.input_at = 0
        self.last = None
        self.announced = False
        self.commands = {
            HELLO: self.hello,
            STATUS: self.status,
            PUT_BEGIN: self.put_begin,
            PUT_DATA: self.put_data,
            PUT_END: self.put_end,
            INPUT: self.put_input,
            OUTPUT: self.output,
            TAKE: self.take,
            CLEAR: self.clear,
            MODELS: self.models,
            EXIT: self.exit,
        }

    # -- the model and its session

    def attach(self):
        """Opens the active model's session, if it is not open. Leaves self.trouble."""
        if self.core is not None and self.trouble is None:
            return
        self.detach()
        self.blob = _deployed(None)
        if self.blob is None:
            self.trouble = Refused(NO_MODEL, "no model is deployed")
            return
        try:
            self.info = _relume.info(self.blob)
            self.core = self.mount()
        except Exception as error:
            self.trouble = error

    def mount(self):
        """The core session. If it does not open it is kept all the same, for clear()."""
        from .board import open_nvm

        try:
            self.nvm = open_nvm(self.info["nvm_kind"])
        except OSError as error:
            raise Refused(NO_NVM, str(error))
        gc.collect()
        core = _relume.Session(self.blob, self.nvm)
        try:
            core.open()
        except _relume.BoardError as error:
            self.trouble = error
        return core

    def detach(self):
        """Forgets session and model: their flash may be erased next."""
        self.core = self.nvm = self.blob = self.info = self.trouble = self.input = None
        gc.collect()

    def session(self):
        """The open session, or the reason why there is none as an exception."""
        self.attach()
        if self.trouble is not None:
            raise self.trouble
        return self.core

    def state(self):
        return self.core.state if self.core is not None and self.trouble is None else EMPTY

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
        self.console.send(EVENT, 0, body)

    def message(self, text):
        self.console.send(MESSAGE, 0, text.encode()[:256])

    # -- the inference

    def resume(self):
        """At turn-on: says what was found; True if an inference is to be gone on with."""
        self.attach()
        if self.blob is None:
            return False
        self.event(BOOTED)
        if self.trouble is not None:
            self.message(_refusal(self.trouble)[1])
            return False
        if self.state() == STUCK:
            self.event(GAVE_UP)
        if self.state() != RUNNING:
            return False
        self.event(RESUMED)
        return True

    def step(self):
        """One step of the running inference and its event."""
        try:
            result = self.core.step()
        except _relume.BoardError as error:
            if self.core.state == STUCK:
                self.event(GAVE_UP)
            else:
                self.trouble = error
            self.message(str(error))
            return
        self.event(ERASED if result == _relume.ERASED else COMMITTED)
        if result == _relume.DONE:
            self.event(FINISHED)

    # -- requests; each returns the reply's body after the status

    def hello(self, body):
        self.last = None
        self.attach()
        info = self.info
        name = ""
        for slot in _relume.slots():
            if slot[5]:
                name = slot[0]
        return struct.pack(
            "<BBBBIIII",
            PROTOCOL,
            _relume.BLOB_MAJOR,
            _relume.BLOB_MINOR,
            info["nvm_kind"] if info else 0,
            self.nvm.size if self.nvm else 0,
            _relume.regions()["blobs"][1],
            gc.mem_free() if hasattr(gc, "mem_free") else 0,
            info["meta_crc"] if info else 0,
        ) + "\0".join((_relume.board(), VERSION, name, "")).encode()

    def status(self, body):
        self.attach()
        core = self.core
        if self.blob is None:
            return bytes(STATUS_SIZE)
        if core is None or getattr(self.trouble, "code", E_MODEL) != E_MODEL:
            raise self.trouble
        tiles = core.tiles
        return struct.pack(
            STATUS_FORMAT,
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
            raise Refused(BAD_REQUEST, "PUT_BEGIN is too short")
        size, meta_crc, data_crc = struct.unpack("<III", body[:12])
        name = _text(body[12:])
        self.detach()
        return struct.pack("<I", _relume.slot_begin(size, meta_crc, data_crc, name))

    def put_data(self, body):
        if len(body) < 5:
            raise Refused(BAD_REQUEST, "PUT_DATA is too short")
        at = struct.unpack("<I", body[:4])[0]
        return struct.pack("<I", _relume.slot_write(at, memoryview(body)[4:]))

    def put_end(self, body):
        _relume.slot_end()
        self.detach()
        return b""

    def put_input(self, body):
        if len(body) < 12:
            raise Refused(BAD_REQUEST, "INPUT is too short")
        id, total, at = struct.unpack("<III", body[:12])
        core = self.session()
        if total != core.input_size:
            text = "the model's input has {} bytes, not {}".format(core.input_size, total)
            raise Refused(15, text)
        if core.state in (RUNNING, DONE) and core.inference == id:
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
            self.event(ERASED)
        self.input = None
        self.event(COMMITTED)

    def output(self, body):
        if len(body) != 8:
            raise Refused(BAD_REQUEST, "OUTPUT takes 8 bytes")
        id, at = struct.unpack("<II", body)
        core = self.session()
        if core.state != DONE or core.inference != id:
            raise Refused(-E_STATE, "inference {} is not done".format(id))
        data = core.output()
        return struct.pack("<I", len(data)) + data[at : at + CHUNK]

    def take(self, body):
        if len(body) != 4:
            raise Refused(BAD_REQUEST, "TAKE takes 4 bytes")
        core = self.session()
        while core.take(struct.unpack("<I", body)[0]) == _relume.ERASED:
            self.event(ERASED)
        return b""

    def clear(self, body):
        self.attach()
        if self.core is None:
            raise self.trouble
        while self.core.clear() == _relume.ERASED:
            self.event(ERASED)
        self.detach()
        return b""

    def models(self, body):
        if len(body) != 2:
            raise Refused(BAD_REQUEST, "MODELS takes 2 bytes")
        slots = _relume.slots()
        index = struct.unpack("<H", body)[0]
        if index >= len(slots):
            raise Refused(PAST_LAST, "no more models")
        name, size, meta_crc, _, _, active = slots[index]
        return struct.pack("<IIB", size, meta_crc, active) + name.encode() + b"\0"

    def exit(self, body):
        self.console.open = False
        return b""

    # -- the loop

    def answer(self, type, seq, body):
        """Does a request once and replies; a repeated one is only answered."""
        if type & REPLY or type in (EVENT, MESSAGE):
            return
        if type != HELLO and self.last is not None and self.last[:2] == (type, seq):
            self.console.send(type | REPLY, seq, self.last[2])
            return
        command = self.commands.get(type)
        try:
            if command is None:
                raise Refused(BAD_REQUEST, "unknown request 0x{:02x}".format(type))
            reply = b"\0" + command(body)
        except Exception as error:
            status, text = _refusal(error)
            reply = bytes([status]) + text.encode()[:200]
        self.last = (type, seq, reply)
        self.console.send(type | REPLY, seq, reply)

    def loop(self):
        console = self.console
        try:
            while console.open:
                frames = console.receive()
                for frame in frames:
                    self.answer(*frame)
                if frames or not console.open:
                    continue
                if self.state() == RUNNING:
                    self.step()
                else:
                    console.wait(IDLE_MS)
        finally:
            console.close()


def serve(server=None):
    """Serves until the stream ends. Ctrl-C ends it too, quietly."""
    try:
        (server or Server()).loop()
    except KeyboardInterrupt:
        pass
