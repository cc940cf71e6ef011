"""Frames over the board's console, and when Ctrl-C counts (docs/SPEC.md 6)."""

import select
import sys
from time import sleep_ms, ticks_diff, ticks_ms

import _relume
import micropython

QUIET_MS = 3000
GATHER_MS = 2


class Console:
    """Frames in and out. Ctrl-C is off while a host speaks frames, and 3 s longer."""

    def __init__(self):
        self.decoder = _relume.Decoder()
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
        """Sleeps until something arrives, at most ms; then a little, for what follows it."""
        for _ in self.poll.ipoll(ms):
            sleep_ms(GATHER_MS)

    def _ctrl_c(self, on):
        if self.quiet == on:
            micropython.kbd_intr(3 if on else -1)
            self.quiet = not on

    def receive(self):
        """The frames that have arrived; none also when the stream has ended."""
        frames = self.decoder.receive(not self.quiet)
        if frames is None:
            self.open = False
            return ()
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
