"""The nRF52840's power-fail comparator as the reading of its supply (docs/SPEC.md 4.6).

The threshold is the voltage above which the capacitor feeds the costliest tile and a commit behind
it. Above it the plan's ends are passed; below it what is computed is committed, and the next tile
waits. The comparator is on while tiles are computed only: while it warns, the chip refuses writes
to its flash, a file's too, or hangs on them (anomaly 242). Registers: nRF52840 product
specification, POWER.
"""

import struct

try:
    from machine import mem32
    from time import sleep_us
except ImportError:
    mem32 = sleep_us = None

_EVENTS_POFWARN, _POFCON = 0x40000108, 0x40000510
_ON, _FIELD = 1, 0x1F  # POF and THRESHOLD: 4 is 1.7 V, 15 is 2.8 V
_LOWEST_MV, _LOWEST, _STEP_MV, _HIGHEST = 1700, 4, 100, 15
_MHZ = 64
_SETTLE_US, _LOOK_US = 50, 1000


def need(blob):
    """Cycles of the costliest tile and a commit behind it, at worst (SPEC 2.9)."""
    data, tile, live = blob.data, 0, 0
    for number in range(blob.n_tiles):
        op, _, count = blob.tile(number)
        fixed, unit, stage = struct.unpack_from("<III", data, blob.ops[op].at + 112)
        tile = max(tile, fixed + unit * count + stage)
    for i in range(blob.n_segments):
        live = max(live, struct.unpack_from("<I", data, blob.segments + 24 * i + 16)[0])
    crc, = struct.unpack_from("<H", data, 110)
    commit, byte, access = struct.unpack_from("<IHH", data, 116)
    return tile + commit + (byte + crc) * live + access * len(blob.tensors)


def threshold(blob, cycles):
    """POFCON's THRESHOLD above which so many cycles are left, None if the blob knows no capacitor.
    5 % are for the comparator."""
    voff, = struct.unpack_from("<H", blob.data, 94)
    mv2, = struct.unpack_from("<I", blob.data, 112)
    if not mv2:
        return None
    mv = (voff * voff + cycles * 65536 / mv2) ** 0.5 * 1.05
    return min(_HIGHEST, max(_LOWEST, _LOWEST + int((mv - _LOWEST_MV) / _STEP_MV + 0.999)))


class PowerFail:
    """The comparator, set for a blob."""

    def __init__(self, blob):
        cycles = need(blob)
        self.blob, self.code = blob, threshold(blob, cycles)
        self.wait_us = 2 * cycles // _MHZ

    def _set(self, on):
        mem32[_POFCON] = mem32[_POFCON] & ~_FIELD | self.code << 1 | on

    def arm(self):
        """False where it may not be used: a running SoftDevice has POWER to itself."""
        if self.code is None or mem32 is None:
            return False
        try:
            from ble import enabled

            if enabled():
                return False
        except ImportError:
            pass
        self._again()
        return True

    def _again(self):
        """Switched on below the threshold, it warns at once."""
        self._set(0)
        mem32[_EVENTS_POFWARN] = 0
        self._set(_ON)

    def low(self):
        """Is the supply below the threshold? An event stays set, so it is asked for again."""
        if not mem32[_EVENTS_POFWARN]:
            return False
        self._again()
        sleep_us(_SETTLE_US)
        return mem32[_EVENTS_POFWARN] != 0

    def wait(self):
        """Until the supply is back, or for twice the time that what is left would last."""
        waited = 0
        while waited < self.wait_us and self.low():
            sleep_us(_LOOK_US)
            waited += _LOOK_US

    def run(self, session, end):
        """Computes tiles from the session's next one on, to the first end from `end` on that is
        obligatory, or to where the warning comes. False: it cannot watch."""
        if not self.arm():
            return False
        start, end = session._tile, self._obligatory(end)
        try:
            while session._tile < end:
                if self.low():
                    if session._tile > start:
                        break
                    self.wait()
                session._compute(session._tile + 1)
        finally:
            self._set(0)
        return True

    def _obligatory(self, end):
        blob = self.blob
        for i in range(blob.n_segments):
            stop = blob.end_of(i)
            flags, = struct.unpack_from("<I", blob.data, blob.segments + 24 * i + 20)
            if stop >= end and flags & 1:
                return stop
        return blob.n_tiles


def made(blob, kind):
    """The warning of this board's chip for an NVM kind, None if there is none. Flash keeps to the
    plan: erased pages are got ready for a segment's end."""
    return PowerFail(blob) if kind != 2 and mem32 else None
