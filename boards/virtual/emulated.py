"""The emulated board as others see it: a thread that runs it, a port, and a record.

Pace. While the core works the host goes as fast as it can. While the core sleeps and nothing is
on its way, emulated time is held to the host's time, so an idle board costs next to no host CPU
and a client has time to answer. Time without power is skipped at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from relume.errors import LinkError
from relume_boards.virtual.console import Console
from relume_boards.virtual.pico import VirtualPico
from relume_boards.virtual.record import BoardEvent, PowerChange, Run

_T = TypeVar("_T")
_NAP_S = 0.05
_SLACK_S = 0.002
_ANSWER_S = 60.0


class EmulatedBoard:
    """Runs a `VirtualPico` in a thread of its own, with its console on a TCP port.

    `start` and `stop` may be called more than once; a stopped board stays stopped. Usable as a
    context manager. `state`: folder where flash and FRAM are kept at `stop`.
    """

    def __init__(
        self,
        pico: VirtualPico,
        *,
        tcp_port: int = 0,
        pty: bool = False,
        keep_open: bool = False,
        pace: bool = True,
        state: Path | None = None,
    ) -> None:
        self.pico = pico
        self._state = state
        self._pace = pace
        self._wake = threading.Event()
        self._calls: deque[Callable[[], None]] = deque()
        self._sent = bytearray()
        self._stopping = False
        self._error: BaseException | None = None
        self._idle_from: tuple[float, float] | None = None
        self.starved = False
        self._console = Console(self._wake.set, tcp_port=tcp_port, pty=pty, keep_open=keep_open)
        pico.on_tx = self._sent.append
        pico.on_power = self._on_power
        self._thread = threading.Thread(target=self._loop, name="relume board", daemon=True)

    # --- what others call -------------------------------------------------------------------

    @property
    def tcp_port(self) -> int:
        """The console: connect to 127.0.0.1 at this port."""
        return self._console.tcp_port

    port = tcp_port

    @property
    def url(self) -> str:
        """What mpremote and pyserial take."""
        return f"socket://127.0.0.1:{self.tcp_port}"

    @property
    def pty_path(self) -> str:
        """Path of the pseudo-terminal, empty if none was asked for."""
        return self._console.pty_path

    @property
    def has_supply(self) -> bool:
        """Whether there is a capacitor to run from when unplugged."""
        return self.pico.supply is not None

    @property
    def events(self) -> list[BoardEvent]:
        """The board's EVENT frames so far."""
        return list(self.pico.run_record.events)

    @property
    def run(self) -> Run:
        """The record so far."""
        return self._ask(lambda: Run.from_json(self.pico.record.to_json()))

    record = run

    def start(self) -> EmulatedBoard:
        """Turn the bench on; returns at once."""
        if not self._thread.is_alive() and not self._stopping:
            self._thread.start()
        return self

    def stop(self) -> None:
        """Cut the power, close the port, keep the state."""
        if self._stopping:
            return
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(30)
        self._console.stop()
        self.pico.power_off("stop")
        if self._state is not None:
            self.pico.save(self._state)

    def plug(self) -> None:
        """External (USB) power on: no cuts."""
        self._ask(self.pico.plug)

    def unplug(self, empty: bool = False) -> None:
        """External power off: from a full capacitor on, or an `empty` one, the supply decides.
        Without a supply there is nothing to fall back on, and the board stays plugged."""
        self._ask(lambda: self.pico.unplug(empty))

    def news(self, changes: int, events: int) -> tuple[list[PowerChange], list[BoardEvent]]:
        """Power changes and events after the first so many. Errors: LinkError if it failed."""
        self._raise_error()
        run = self.pico.run_record
        return run.power[changes:], run.events[events:]

    def wait_until(self, condition: Callable[[Run], bool], timeout: float) -> bool:
        """Wait until the record fulfils `condition`; False after `timeout` host seconds."""
        end = time.monotonic() + timeout
        while not self._ask(lambda: condition(self.pico.record)):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def __enter__(self) -> EmulatedBoard:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- the board's thread -----------------------------------------------------------------

    def _ask(self, work: Callable[[], _T]) -> _T:
        """Run `work` between two steps and return its result."""
        self._raise_error()
        if not self._thread.is_alive():
            return work()
        done = threading.Event()
        result: list[_T] = []

        def call() -> None:
            try:
                result.append(work())
            finally:
                done.set()

        self._calls.append(call)
        self._wake.set()
        end = time.monotonic() + _ANSWER_S
        while not done.wait(0.2):
            self._raise_error()
            if not self._thread.is_alive():
                return work()
            if time.monotonic() > end:
                raise LinkError("the emulated board does not answer")
        if not result:
            self._raise_error()
            raise LinkError("the emulated board has stopped")
        return result[0]

    def _raise_error(self) -> None:
        if self._error is not None:
            raise LinkError(f"the emulated board failed: {self._error!r}") from self._error

    def _loop(self) -> None:
        try:
            while not self._stopping:
                self._wake.clear()
                self._turn()
        except BaseException as error:
            self._error = error
            self._console.stop()

    def _turn(self) -> None:
        while self._calls:
            self._calls.popleft()()
        data = self._console.read()
        if data:
            self.pico.feed(data)
        self.starved = not self.pico.advance()
        if self._sent:
            self._console.write(bytes(self._sent))
            self._sent.clear()
        if self.starved:
            self._wake.wait(1.0)
        elif self._pace:
            self._keep_pace()

    def _keep_pace(self) -> None:
        if not self.pico.idle:
            self._idle_from = None
            return
        host, emulated = time.monotonic(), self.pico.now
        if self._idle_from is None:
            self._idle_from = (host, emulated)
            return
        ahead = (emulated - self._idle_from[1]) - (host - self._idle_from[0])
        if ahead > _SLACK_S:
            self._wake.wait(min(ahead, _NAP_S))

    def _on_power(self, change: PowerChange) -> None:
        if self._sent:
            self._console.write(bytes(self._sent))
            self._sent.clear()
        self._console.power(change.on)
