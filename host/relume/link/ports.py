"""What `-p` takes: mpremote's names for a serial port, and `emu:` for an emulated board."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from relume.errors import BoardError, LinkError

_SHORT = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}
_URL = re.compile(r"[a-z0-9+]+://", re.IGNORECASE)


class PortAbsent(LinkError):
    """No such port, or nothing listens there."""


class PortHeld(LinkError):
    """The port is there, but another program holds it or it may not be opened."""


@dataclass(frozen=True)
class FoundPort:
    """A serial port of this machine. usb: it has USB ids; serial: its USB serial number."""

    device: str
    usb: bool
    serial: str | None
    title: str


class Emulated(Protocol):
    """What a port needs of an emulated board (boards/virtual)."""

    @property
    def tcp_port(self) -> int: ...
    @property
    def run(self) -> Any: ...
    def plug(self) -> None: ...
    def unplug(self, empty: bool = False) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Port:
    """A place where a board answers. `text` is what the user gave."""

    text: str
    emulated: Emulated | None = None
    _serial: str | None = field(default=None, repr=False)

    def device(self) -> str:
        """What pyserial opens, found anew each time: a board may come back under another name.

        Errors: PortAbsent.
        """
        if self.emulated is not None:
            return f"socket://127.0.0.1:{self.emulated.tcp_port}"
        found = self._moved() or self._resolve()
        if self._serial is None:
            self._serial = next((p.serial for p in list_ports() if p.device == found), None)
        return found

    def close(self) -> None:
        """Stops the emulated board, if it is one."""
        if self.emulated is not None:
            self.emulated.stop()

    def _moved(self) -> str | None:
        """The device that now bears the USB serial number of the first time."""
        if self._serial is None:
            return None
        return next((p.device for p in list_ports() if p.serial == self._serial), None)

    def _resolve(self) -> str:
        name = self.text.removeprefix("port:")
        if name == "auto":
            self._only()
            return self._first(lambda port: port.usb, "no USB serial port")
        if name.startswith("id:"):
            wanted = name.removeprefix("id:")
            text = f"no port with serial number {wanted}"
            return self._first(lambda port: port.serial == wanted, text)
        short = re.fullmatch(r"([auc])(\d+)", name)
        if short:
            return _SHORT[short.group(1)] + short.group(2)
        if not name:
            raise LinkError("port is empty: give a0, auto, /dev/ttyACM0, COM3, socket://HOST:PORT")
        return name

    def _only(self) -> None:
        """Errors: LinkError when `auto` could mean more than one board."""
        usb = [f"{port.device} ({port.title})" for port in list_ports() if port.usb]
        if len(usb) > 1:
            raise LinkError(f"more than one board is plugged in: {', '.join(usb)}: say which, -p")

    def _first(self, wanted: Any, text: str) -> str:
        for port in list_ports():
            if wanted(port):
                return port.device
        raise PortAbsent(f"{text}: {there()}")


def open_port(text: str) -> Port:
    """The port of `-p`; starts the emulated board of `emu:`. Errors: RelumeError."""
    if not text.startswith("emu:"):
        if _URL.match(text) and not text.lower().startswith(("socket://", "rfc2217://")):
            raise LinkError(f"port {text}: only socket:// and rfc2217:// are known")
        return Port(text)
    try:
        virtual = importlib.import_module("relume_boards.virtual")
    except ImportError as error:
        why = f"emulated boards are not installed ({error}): pip install 'relume[emulate]'"
        raise BoardError(why) from error
    return Port(text, virtual.open_emulated(text))


def list_ports() -> list[FoundPort]:
    """The serial ports of this machine, sorted by name."""
    from serial.tools import list_ports as tool  # type: ignore[import-untyped]

    ports = []
    for port in sorted(tool.comports()):
        title = port.product or port.description or ""
        usb = port.vid is not None and port.pid is not None
        ports.append(FoundPort(port.device, usb, port.serial_number, title))
    return ports


def there() -> str:
    """What the user can choose from, for an error line."""
    names = [f"{p.device} ({p.title})" if p.usb else p.device for p in list_ports()]
    if not names:
        return "this machine has no serial port now; is the board plugged in?"
    return "ports here: " + ", ".join(names)


def explain(device: str, error: Exception) -> LinkError:
    """Why a port does not open, as one line. PortAbsent, PortHeld or LinkError."""
    code = getattr(error, "errno", None)
    if device.startswith(("socket://", "rfc2217://")):
        reason = str(error).rpartition("] ")[2] or str(error)
        return PortAbsent(f"{device}: nothing answers there ({reason.lower()})")
    if isinstance(error, FileNotFoundError) or code in (2, 6, 19) or "FileNotFound" in str(error):
        return PortAbsent(f"{device}: no such port; {there()}")
    if code == 13 and os.name == "posix" and not os.access(device, os.R_OK | os.W_OK):
        return PortHeld(f"{device}: not permitted; add yourself to its group ({_group(device)})")
    if code in (11, 13, 16) or "PermissionError" in str(error):
        who = ", ".join(holders(device)) or "another program"
        return PortHeld(f"{device} is held by {who}: end that program, then try again")
    return LinkError(f"{device} cannot be opened: {error}")


def holders(device: str) -> list[str]:
    """Programs that hold a device open, as far as this user may see (Linux)."""
    found = []
    for process in _processes():
        name = _holds(process, os.path.realpath(device))
        if name and process.name != str(os.getpid()):
            found.append(f"{name} (process {process.name})")
    return found


def _processes() -> Iterator[Path]:
    root = Path("/proc")
    if root.is_dir():
        yield from (entry for entry in root.iterdir() if entry.name.isdigit())


def _holds(process: Path, device: str) -> str | None:
    try:
        for link in (process / "fd").iterdir():
            if os.path.realpath(link) == device:
                return (process / "comm").read_text().strip()
    except OSError:
        return None
    return None


def _group(device: str) -> str:
    try:
        import grp

        return grp.getgrgid(os.stat(device).st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"
