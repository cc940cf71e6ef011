"""Bytes to and from a board. The only module that knows pyserial and mpremote's transport.

mpremote's `transport_serial` is no stable interface; what is used of it here: SerialTransport's
constructor, `serial`, `enter_raw_repl`, `exit_raw_repl`, `exec`, `exec_raw`,
`exec_raw_no_follow`, `fs_listdir`, `fs_readfile`.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from relume.errors import LinkError
from relume.link import installed
from relume.link.installed import Installed
from relume.link.ports import Port, PortAbsent, PortHeld, explain

BAUD = 115200
_READ = 4096
_WRITE_S = 5.0  # a board that takes no bytes for so long is gone
_REPL_S = 4.0
_RESET_S = 20.0  # of a soft reset, boot.py included
_DIRECTORY = 0x4000

_PROBE = """
import sys, os
try:
 import _relume
 r = 1
except ImportError:
 r = 0
v = '.'.join([str(x) for x in sys.implementation[1][:3]])
m = os.uname()[4] if hasattr(os, 'uname') else sys.platform
print(repr((sys.implementation[0], v, m, r)))
"""
_SERVE = "import relume.link\nrelume.link.serve()"


class Gone(LinkError):
    """The port vanished while it was in use: a board without power, or an unplugged cable."""


class NoAnswer(LinkError):
    """Nothing came back."""


class NoRelume(LinkError):
    """A Python prompt whose firmware has no relume."""


class Interrupted(NoAnswer):
    """The REPL fell silent or answered out of turn: the board was reset, or is slow."""


class Raised(LinkError):
    """Python on the board raised an exception. kind: its class; text: what it says."""

    def __init__(self, device: str, trace: str) -> None:
        last = (trace.strip().splitlines() or ["unknown"])[-1].strip()
        self.kind, _, text = last.partition(":")
        self.text = text.strip()
        super().__init__(f"{device}: the board says {last}")


Execute = Callable[[str], str]
"""Runs Python on a board; returns what it printed. Errors: Raised, Interrupted, Gone."""


class Wire(Protocol):
    """An open line to a board."""

    def read(self, timeout: float) -> bytes:
        """What has come, waiting up to timeout seconds for the first byte. Errors: Gone."""

    def write(self, data: bytes) -> None:
        """Sends data. Errors: Gone."""

    def serve(self) -> None:
        """Starts the frame server through the REPL. Errors: Gone, NoAnswer, LinkError."""

    def leave_repl(self) -> None:
        """Back from the raw REPL to the prompt. Errors: Gone."""

    def close(self) -> None:
        """Ends it; harmless when it is gone."""


class SerialWire:
    """A Wire over pyserial: a serial port, `socket://` or `rfc2217://`.

    Errors: PortAbsent, PortHeld, LinkError.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._gone = False
        self._repl = _open(device)
        self._serial: Any = self._repl.serial
        self._serial.write_timeout = _WRITE_S
        self._serial.timeout = 0
        try:
            self._handle: int | None = self._serial.fileno()
        except (AttributeError, OSError, ValueError):
            self._handle = None

    def read(self, timeout: float) -> bytes:
        try:
            data = bytes(self._serial.read(_READ))
            if not data and timeout > 0:
                self._wait(timeout)
                data = bytes(self._serial.read(_READ))
            return data
        except (OSError, TypeError, ValueError) as error:
            raise self._lost(error) from error

    def _wait(self, timeout: float) -> None:
        if self._handle is not None:
            select.select([self._handle], [], [], timeout)
            return
        end = time.monotonic() + timeout
        while not self._serial.in_waiting and time.monotonic() < end:
            time.sleep(0.003)

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (OSError, TypeError, ValueError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> Gone:
        self._gone = True
        return Gone(f"{self._device}: the board's port is gone ({error})")

    def serve(self) -> None:
        with self._in_repl():
            name, version, machine, has_relume = self._probe()
            if not has_relume:
                raise NoRelume(
                    f"{self._device}: {name} {version} on {machine} has no relume:"
                    f" relume flash --board {_board_of(machine)}"
                )
            self._repl.exec_raw_no_follow(_SERVE)

    def leave_repl(self) -> None:
        self.write(b"\r\x02")

    def bootloader(self) -> None:
        """Restarts the board into its UF2 loader. Errors: as serve()."""
        with self._in_repl():
            self._repl.exec_raw_no_follow("import machine\nmachine.bootloader()")

    def installed(self) -> Installed | None:
        """The firmware of ours that runs; None: another. Errors: Gone, NoAnswer, LinkError."""
        with self._in_repl():
            if not self._probe()[3]:
                return None
            return installed.parse(self._repl.exec(installed.PROBE).decode("utf-8", "replace"))

    @contextlib.contextmanager
    def python(self, reset: bool, patience: float) -> Iterator[Execute]:
        """The raw REPL, behind a soft reset if wanted: what runs code there.

        patience: seconds that the board may be silent while it runs.
        """
        with self._in_repl(reset):
            yield functools.partial(self._execute, patience)

    def _execute(self, patience: float, source: str) -> str:
        self._serial.timeout = patience
        out, trace = self._repl.exec_raw(source, timeout=patience)
        if trace:
            raise Raised(self._device, trace.decode("utf-8", "replace"))
        return bytes(out).decode("utf-8", "replace")

    def files(self) -> Iterator[tuple[str, bytes]]:
        """All files on the board: (path without leading slash, content)."""
        with self._in_repl():
            names = list(self._walk(""))
        for name in names:
            with self._in_repl():
                content = bytes(self._repl.fs_readfile("/" + name))
            yield name, content

    def _walk(self, folder: str) -> Iterator[str]:
        for entry in self._repl.fs_listdir("/" + folder):
            path = f"{folder}/{entry.name}" if folder else str(entry.name)
            if path in ("rom", "remote"):
                continue  # read-only part of the firmware; mpremote's mount
            if entry.st_mode & _DIRECTORY:
                yield from self._walk(path)
            else:
                yield path

    def _probe(self) -> tuple[str, str, str, int]:
        answer = ast.literal_eval(self._repl.exec(_PROBE).decode().strip())
        name, version, machine, has_relume = answer
        return name, version, machine, has_relume

    @contextlib.contextmanager
    def _in_repl(self, reset: bool = False) -> Iterator[None]:
        """Raw REPL, with mpremote's and pyserial's errors as ours."""
        from mpremote.transport import TransportError  # type: ignore[import-untyped]

        heard = io.StringIO()  # mpremote prints what it did not understand
        self._serial.timeout = _REPL_S
        try:
            with contextlib.redirect_stdout(heard):
                wait = _RESET_S if reset else _REPL_S
                self._repl.enter_raw_repl(soft_reset=reset, timeout_overall=wait)
                yield
        except (TransportError, struct.error, ValueError, SyntaxError) as error:
            raise _repl_error(self._device, heard.getvalue(), error) from error
        except OSError as error:
            raise self._lost(error) from error
        finally:
            with contextlib.suppress(OSError, TypeError, ValueError):
                self._serial.timeout = 0

    def close(self) -> None:
        if self._gone and "://" in self._device:
            # pyserial waits 0.3 s after a socket's end, which a brown-out should not cost.
            threading.Thread(target=self._close, daemon=True).start()
        else:
            self._close()

    def _close(self) -> None:
        try:
            self._repl.close()
        except (OSError, TypeError, ValueError):
            with contextlib.suppress(OSError, TypeError, ValueError):
                self._serial.close()


class PortOpener:
    """Opens a Port as often as the board comes back."""

    def __init__(self, port: Port) -> None:
        self.name = port.text
        self._port = port

    def open(self) -> SerialWire:
        """Errors: PortAbsent, PortHeld, LinkError."""
        return SerialWire(self._port.device())


def _open(device: str) -> Any:
    """mpremote's transport on a device that is not in use."""
    from mpremote.transport import TransportError
    from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

    error: Exception | None = None
    for _ in range(2):
        try:
            return SerialTransport(device, baudrate=BAUD)
        except (TransportError, ValueError, ImportError) as failed:
            error = failed
        reason = _why_not(device)
        if reason is not None:
            raise explain(device, reason) from reason
    raise explain(device, error or OSError("unknown reason"))


def _why_not(device: str) -> Exception | None:
    """mpremote hides why a port did not open: try once more, to see it."""
    import serial  # type: ignore[import-untyped]

    try:
        serial.serial_for_url(device, baudrate=BAUD, exclusive=True).close()
    except (OSError, ValueError, ImportError) as error:
        return error
    return None


def _repl_error(device: str, heard: str, error: Exception) -> LinkError:
    said = _printed_bytes(heard)
    if "could not enter raw repl" not in str(error):
        last = str(error).strip().splitlines() or ["no reason"]
        return Interrupted(f"{device}: the board's REPL failed: {last[-1]}")
    if not said.strip(b"\0\xff\r\n "):
        return NoAnswer(
            f"{device}: no answer: is the board powered, is this its port, is MicroPython on it?"
        )
    text = said[-40:].decode("ascii", "replace").strip()
    return NoAnswer(f"{device}: answers, but is no MicroPython REPL: {text!r}")


def _printed_bytes(heard: str) -> bytes:
    with contextlib.suppress(ValueError, SyntaxError):
        value = ast.literal_eval(heard.strip() or "b''")
        if isinstance(value, bytes):
            return value
    return heard.encode()


def _board_of(machine: str) -> str:
    """The profile for what os.uname() says, or a word for the user to replace."""
    from relume.board.profile import board_names, load_board

    called, _, mcu = machine.partition(" with ")
    boards = [load_board(name) for name in board_names()]
    fitting = [board.name for board in boards if board.title == called]
    same = [board.name for board in boards if board.mcu == mcu and board.tier == "firmware"]
    return min(fitting or same or ["BOARD"], key=len)


__all__ = [
    "Execute", "Gone", "Interrupted", "NoAnswer", "NoRelume", "PortAbsent", "PortHeld",
    "PortOpener", "Raised", "SerialWire", "Wire",
]  # fmt: skip
