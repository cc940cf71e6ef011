"""Records, slots and attempts on byte-writable NVM (docs/SPEC.md 4.1, 4.2)."""

import struct

from .status import DAMAGED, NVM, NVM_SIZE, crc32, fail

EMPTY, RUNNING, DONE, IDLE, STUCK = range(5)
MAGIC = 0x31524C52
_RECORD = "<IIIIHHBBBBIIQIIHHIII"
_SLOT, _CELLS, _CELL, _PROBE = 64, 128, 16, 160
HOME = 256
HALVED_MOST = 16
SPARED = 8  # attempts at a record that erased, and divide nothing


class Record:
    """What a commit says; state EMPTY: there was none."""

    def __init__(self, seq=0):
        self.seq, self.model, self.inference, self.tile, self.state = seq, 0, 0, 0, EMPTY
        self.live_crc = self.live_bytes = self.cycles = 0
        self.commits = self.nvm_bytes = self.brownouts = self.drain = 0
        self.priority = self.due = self.dated = self.home = self.part = self.halved = 0

    def packed(self, kind):
        """64 bytes."""
        body = struct.pack(
            _RECORD, MAGIC, self.seq, self.model, self.inference, self.tile, self.part, self.state,
            kind,
            # expected: no voltage is looked at
            int(self.state == RUNNING) | 2 * self.dated | self.halved << 2,
            self.priority,
            self.live_crc, self.live_bytes, self.cycles, self.commits, self.nvm_bytes,
            self.brownouts, self.drain, self.home, self.due, 0,
        )[:60]  # fmt: skip
        return body + struct.pack("<I", crc32(body, 0) & 0xFFFFFFFF)


def unpacked(data, kind):
    """The record in 64 bytes, None if there is none."""
    f = struct.unpack(_RECORD, data)
    if (f[0] != MAGIC or f[19] != crc32(data[:60], 0) & 0xFFFFFFFF or f[7] != kind
            or not RUNNING <= f[6] <= STUCK or f[8] >> 2 > HALVED_MOST
            or (f[17] and kind != 2)):
        return None
    record = Record(f[1])
    record.model, record.inference, record.tile, record.part, record.state = f[2:7]
    record.dated, record.halved, record.priority = f[8] >> 1 & 1, f[8] >> 2, f[9]
    record.live_crc, record.live_bytes, record.cycles = f[10:13]
    record.commits, record.nvm_bytes, record.brownouts, record.drain = f[13:17]
    record.home, record.due = f[17], f[18]
    return record


def after(a, b):
    """a is newer than b."""
    return 0 < (a - b & 0xFFFFFFFF) < 0x80000000


class Store:
    """The store in [base, base + size) of an NVM; newest is what it holds."""

    erasing = 0  # attempts that began to erase: none, but on flash

    def __init__(self, nvm, base, size):
        if base + size > nvm.size or size < HOME:
            fail(NVM_SIZE)
        self.nvm, self.base, self.size = nvm, base, size
        self.newest, self.attempts, self.written, self._started = Record(), 0, 0, 0
        self._probe()
        self._read_slots()
        self._read_cells()

    def read(self, at, n):
        """n bytes from `at` of the store on."""
        return self.nvm.read(self.base + at, n)

    def write(self, at, data):
        """Writes data at `at` of the store."""
        self.written += len(data)
        self.nvm.write(self.base + at, data)

    def _verified(self, at, data):
        self.write(at, data)
        if self.read(at, len(data)) != data:
            fail(NVM)

    def _complemented(self):
        pattern = bytes([byte ^ 255 for byte in self.read(_PROBE, 16)])
        self._verified(_PROBE, pattern)
        return pattern

    def _probe(self):
        """Every bit of a cell can be written; it shows at no power of two above it."""
        pattern, step = self._complemented(), HOME
        while step <= self.size // 2:
            if self.read(_PROBE + step, 16) == pattern:
                pattern = self._complemented()
                if self.read(_PROBE + step, 16) == pattern:
                    fail(NVM_SIZE)
            step *= 2

    def _read_slots(self):
        for slot in (0, 1):
            record = unpacked(self.read(slot * _SLOT, _SLOT), self.nvm.kind)
            if record and record.seq & 1 == slot and (
                self.newest.state == EMPTY or after(record.seq, self.newest.seq)
            ):
                self.newest = record

    def _read_cells(self):
        for i in (0, 1):
            data = self.read(_CELLS + i * _CELL, _CELL)
            seq, attempts, zero, crc = struct.unpack("<4I", data)
            if zero or crc != crc32(data[:12], 0) & 0xFFFFFFFF or attempts & 1 != i:
                continue
            if self.newest.state == EMPTY:
                if after(seq, self.newest.seq):
                    self.newest.seq = seq
            elif self.newest.state == RUNNING and seq == self.newest.seq:
                self.attempts = max(self.attempts, attempts)

    def attempt(self):
        """Counts one more boot that found the newest record running."""
        body = struct.pack("<3I", self.newest.seq, self.attempts + 1, 0)
        at = _CELLS + (self.attempts + 1 & 1) * _CELL
        self._verified(at, body + struct.pack("<I", crc32(body, 0) & 0xFFFFFFFF))
        self.attempts += 1

    def fits(self, need):
        """Refuses a home area of `need` bytes if there is none."""
        if need > self.size - HOME:
            fail(NVM_SIZE)

    def room(self, live):
        """False: there is always room for a commit."""
        return False

    def begin(self, live):
        """A commit: put() the live bytes, then commit()."""
        self._started = self.written

    def put(self, home, data, clean):
        """Keeps a tensor's live bytes at `home`; the first `clean` are there already."""
        if clean < len(data):
            self.write(HOME + home + clean, data[clean:])

    def cost(self):
        """Bytes that the commit writes, its record included."""
        return self.written - self._started + _SLOT

    def get(self, home, order, n):
        """n bytes from `home` on."""
        return self.read(HOME + home, n)

    def commit(self, record):
        """Makes the record the newest; its data is at home already."""
        record.seq = self.newest.seq + 1 & 0xFFFFFFFF
        self._verified((record.seq & 1) * _SLOT, record.packed(self.nvm.kind))
        self.newest, self.attempts = record, 0

    def check(self, crc):
        """Holds restored bytes against the newest record."""
        if crc != self.newest.live_crc:
            fail(DAMAGED)
