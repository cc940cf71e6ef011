"""The board's UART brought to the host: a TCP server for one client at a time, and a pty.

One thread does all host I/O. The emulation's thread talks to it through a queue, so bytes and
power changes keep their order; bytes from the host go into an inbox, marked with the charge in
which they were sent. The TCP connection closes when the power goes and a new one is taken when
it is back; with `keep_open` it stays, as the adapter of a real UART does. The pty always stays.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable

from relume.errors import LinkError

_CHUNK = 4096
_BACKLOG_BYTES = 1 << 20
Message = tuple[str, bytes]


class Console:
    """Serves until `stop`. `on_input` is called, in the I/O thread, when the inbox has something.

    Errors: LinkError when the port is taken.
    """

    def __init__(
        self,
        on_input: Callable[[], None],
        *,
        tcp_port: int = 0,
        pty: bool = False,
        keep_open: bool = False,
    ) -> None:
        self._on_input = on_input
        self._keep_open = keep_open
        self._queue: deque[Message] = deque()
        self._inbox: deque[tuple[int, bytes]] = deque()
        self._charge_seen = 0
        self._charge = 0
        self._powered = False
        self._client: socket.socket | None = None
        self._out = bytearray()
        self._pty_out = bytearray()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()  # Windows waits for no pipe
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._listener = _listen(tcp_port)
        self.tcp_port = int(self._listener.getsockname()[1])
        self.pty_path, self._pty = _open_pty() if pty else ("", -1)
        if self._pty >= 0:
            self._selector.register(self._pty, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="relume console", daemon=True)
        self._thread.start()

    # --- the emulation's side ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes that the board has sent."""
        self._put("data", data)

    def power(self, on: bool) -> None:
        """The board was turned on or off."""
        if not on:
            self._charge += 1
        self._put("on" if on else "off", b"")

    def read(self) -> bytes:
        """What the host has sent to the board since the last call, in this charge."""
        got = bytearray()
        while self._inbox:
            charge, data = self._inbox.popleft()
            if charge == self._charge or self._keep_open:
                got += data
        return bytes(got)

    def stop(self) -> None:
        """Close everything and end the thread."""
        self._put("stop", b"")
        self._thread.join(5)

    def _put(self, kind: str, data: bytes) -> None:
        self._queue.append((kind, data))
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_write.send(b"x")

    # --- the I/O thread ---------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while self._messages():
                for key, mask in self._selector.select(1.0):
                    self._ready(key.fileobj, mask)
        finally:
            self._close_all()

    def _messages(self) -> bool:
        """Handle what the emulation said; False after `stop`."""
        while self._queue:
            kind, data = self._queue.popleft()
            if kind == "stop":
                self._flush()
                return False
            if kind == "data":
                self._keep(data)
            else:
                self._flush()
                self._switch(kind == "on")
        self._flush()
        return True

    def _keep(self, data: bytes) -> None:
        if self._client is not None:
            self._out += data
            del self._out[: max(0, len(self._out) - _BACKLOG_BYTES)]
        if self._pty >= 0:
            self._pty_out += data
            del self._pty_out[: max(0, len(self._pty_out) - _BACKLOG_BYTES)]

    def _switch(self, on: bool) -> None:
        self._powered = on
        if not on:
            self._charge_seen += 1
            if not self._keep_open:
                self._drop_client()
        self._listen_if_free()

    def _listen_if_free(self) -> None:
        """Take a client only if there is none and the board has power; others wait in line."""
        wanted = self._client is None and (self._powered or self._keep_open)
        registered = self._listener in self._selector.get_map()
        if wanted and not registered:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif registered and not wanted:
            self._selector.unregister(self._listener)

    def _ready(self, source: object, mask: int) -> None:
        if source is self._listener:
            self._accept()
        elif source is self._wake_read:
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(_CHUNK)
        elif source == self._pty:
            with contextlib.suppress(BlockingIOError, OSError):
                self._take(os.read(self._pty, _CHUNK))
        elif source is self._client:
            self._from_client(mask)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._out.clear()
        self._selector.register(client, selectors.EVENT_READ)
        self._listen_if_free()

    def _from_client(self, mask: int) -> None:
        client = self._client
        assert client is not None
        if mask & selectors.EVENT_READ:
            try:
                data = client.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop_client()
                self._listen_if_free()
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._inbox.append((self._charge_seen, data))
        self._on_input()

    def _flush(self) -> None:
        if self._client is not None and self._out:
            try:
                sent = self._client.send(self._out)
                del self._out[:sent]
            except BlockingIOError:
                pass
            except OSError:
                self._drop_client()
                self._listen_if_free()
        if self._pty_out:
            with contextlib.suppress(BlockingIOError, OSError):
                del self._pty_out[: os.write(self._pty, self._pty_out)]
        self._want_write(bool(self._out))

    def _want_write(self, wanted: bool) -> None:
        if self._client is not None:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
            self._selector.modify(self._client, events)

    def _drop_client(self) -> None:
        if self._client is not None:
            self._selector.unregister(self._client)
            self._client.close()
            self._client = None
            self._out.clear()

    def _close_all(self) -> None:
        self._drop_client()
        self._selector.close()
        self._listener.close()
        self._wake_read.close()
        self._wake_write.close()
        if self._pty >= 0:
            os.close(self._pty)


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=4)
    except (OSError, OverflowError) as error:
        raise LinkError(f"TCP port {port} cannot be served: {error}; choose another") from error
    listener.setblocking(False)
    return listener


def _open_pty() -> tuple[str, int]:
    """A raw pseudo-terminal: its path, and the descriptor of our end."""
    try:
        import pty
        import tty
    except ImportError as error:
        raise LinkError("this system has no pseudo-terminals; use the TCP port") from error
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    # The slave stays open here, so that the terminal lives on between two programs that use it.
    return os.ttyname(slave), master
