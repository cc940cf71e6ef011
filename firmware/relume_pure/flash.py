"""Flash that is written word by word, as the nRF52840's own, and the store in it.

Such flash allows two writes of a word between two erases of its page. What C programs a second
time (docs/SPEC.md 4.3) takes a word of its own here: the mark of a sector that is about to be
erased, and the marks of each boot that found the record running or began to erase. Nothing else
is written where something was. Pages and records are those of the C sources' ring.
"""

import struct

from .status import DAMAGED, FULL, NVM, NVM_SIZE, BlobError, BOUNDS, BoardError, crc32, fail, text
from .store import EMPTY, MAGIC, RUNNING, SPARED, Record, after, unpacked

_PAGE, _DATA, _SECTOR, _RING = 256, 255, 4096, 15
_SECTOR_MAGIC = 0x31534C52
_HEADER, _RECORD, _MARKS, _LAST = 12, 64, 64, 252
_ERASE = 6  # MicroPython's ioctl of a block device: erase one block
_FULL = b"\xff\xff\xff\xff"
_ZERO = b"\0\0\0\0"
_ERASED = b"\xff\xff\0\0"  # a mark: the boot whose mark is before it began to erase
_RECORD_MAGIC = struct.pack("<I", MAGIC)


class Flash:
    """A block device of 4096-byte blocks: nrf.Flash(start=0x90000, len=0x10000)."""

    kind = 2

    def __init__(self, device):
        if device.ioctl(5, 0) != _SECTOR:
            fail(NVM_SIZE)
        self.device = device
        self.size = device.ioctl(4, 0) * _SECTOR

    def read(self, at, n):
        """n bytes from `at` on."""
        if at < 0 or n < 0 or at + n > self.size:
            raise BlobError("NVM address out of bounds", BOUNDS)
        data = bytearray(n)
        self._tried(self.device.readblocks(at // _SECTOR, data, at % _SECTOR))
        return bytes(data)

    def write(self, at, data):
        """Writes whole words inside a block; those of ones at both ends are left alone."""
        data = bytes(data)
        end = len(data.rstrip(b"\xff")) + 3 & ~3
        start = len(data) - len(data.lstrip(b"\xff")) & ~3
        if at < 0 or at % 4 or len(data) % 4 or at + len(data) > self.size:
            raise BlobError("NVM address out of bounds", BOUNDS)
        if start < end:
            at += start
            self._tried(self.device.writeblocks(at // _SECTOR, data[start:end], at % _SECTOR))

    def erase(self, at):
        """Erases the block at `at`."""
        self._tried(self.device.ioctl(_ERASE, at // _SECTOR))

    def _tried(self, status):
        if status:
            raise BoardError(text(NVM), NVM)


def _blank(data):
    return not data.strip(b"\xff")


def _counted(header):
    """Erases that a sector's first 12 bytes tell, None if it has no header."""
    magic, count, crc = struct.unpack("<III", header[:_HEADER])
    whole = magic == _SECTOR_MAGIC and crc == crc32(header[:8], 0) & 0xFFFFFFFF
    return count if whole else None


def _offset(ring):
    return ring // _RING * _SECTOR + (ring % _RING + 1) * _PAGE


def _ring(offset):
    return offset // _SECTOR * _RING + offset % _SECTOR // _PAGE - 1


def _pages(live):
    return (live + _DATA - 1) // _DATA


class FlashStore:
    """The store in [base, base + size) of a Flash; newest is what it holds."""

    def __init__(self, nvm, base, size):
        self.sectors = size // _SECTOR
        if base % _SECTOR or size % _SECTOR or self.sectors < 3 or base + size > nvm.size:
            fail(NVM_SIZE)
        self.nvm, self.base, self.size = nvm, base, size
        self.newest, self.attempts, self.written = Record(), 0, 0
        self._at = self._wear = self._first = self._pending = self._live = 0
        self._erasing = set()  # numbers of the boots since the newest record that began to erase
        self._page = bytearray()
        self._mount()

    # ---- mount ----

    def _mount(self):
        """Finds the newest record. Refuses a region that holds something else: firmware, say."""
        ours = foreign = False
        for sector in range(self.sectors):
            data = self._read(sector * _SECTOR, _SECTOR)
            count = _counted(data)
            if count is not None:
                ours = True
                self._wear = max(self._wear, count)
            elif not _blank(data[_HEADER:]):
                foreign = True
            for page in range(1, _RING + 1):
                at = page * _PAGE
                if data[at:at + 4] == _RECORD_MAGIC:
                    self._consider(sector * _RING + page - 1, data[at:at + _PAGE])
        if foreign and not ours:
            fail(DAMAGED)

    def _consider(self, ring, page):
        record = unpacked(page[:_RECORD], 2)
        if not record or page[_LAST:] != b"\xff\xff\xff\0" or not self._placed(record, ring):
            return
        if self.newest.state == EMPTY or after(record.seq, self.newest.seq):
            self.newest, self._at, self.attempts = record, ring, 0
            self._erasing = set()
            if record.state == RUNNING:
                self._take_marks(page)

    def _take_marks(self, page):
        for i in range(_MARKS, _LAST, 4):
            if page[i:i + 4] == _ERASED:
                self._erasing.add(self.attempts)
            elif page[i:i + 4] != _FULL:
                self.attempts += 1

    @property
    def erasing(self):
        """Of the attempts, those that began to erase."""
        return len(self._erasing - {0})

    def _placed(self, record, ring):
        """The data pages that the record names end just before it."""
        home, pages = record.home, _pages(record.live_bytes)
        return (home < self.size and home % _PAGE == 0 and home % _SECTOR != 0
                and pages < self.sectors * _RING
                and (ring - _ring(home)) % (self.sectors * _RING) == pages)

    def fits(self, need):
        """Refuses commits of `need` bytes that the ring does not take wherever it stands."""
        n = _pages(need) + 1
        span = (n + _RING - 2) // _RING + 1
        if span >= self.sectors or n > (self.sectors - span) * _RING:
            fail(NVM_SIZE)

    # ---- bytes ----

    def _read(self, at, n):
        return self.nvm.read(self.base + at, n)

    def _write(self, at, data):
        self.written += len(data)
        self.nvm.write(self.base + at, data)
        if self._read(at, len(data)) != data:
            fail(NVM)

    def _mark(self, at, start, end, mark=_ZERO):
        """Writes the first word in [start, end) of a page that was never written."""
        page = self._read(at, _PAGE)
        for i in range(start, end, 4):
            if page[i:i + 4] == _FULL:
                self._write(at + i, mark)
                return True
        return False

    def attempt(self):
        """Counts one more boot that found the newest record running."""
        if self._mark(_offset(self._at), _MARKS, _LAST):
            self.attempts += 1

    def _mark_erase(self):
        """Whatever becomes of this boot, its charge was not for tiles alone. More marks than are
        spared would take the attempts' words."""
        if (self.newest.state == RUNNING and self.attempts not in self._erasing
                and self.erasing < SPARED):
            self._mark(_offset(self._at), _MARKS, _LAST, _ERASED)
            self._erasing.add(self.attempts)

    # ---- sectors ----

    def _ready(self, sector):
        """Erased whole, and not about to be erased again."""
        page = self._read(sector * _SECTOR, _PAGE)
        return _counted(page) is not None and _blank(page[_HEADER:])

    def _erase(self, sector):
        """The mark goes down first: an erase that is cut may leave a sector that reads as erased
        and is not, under a header that still looks well."""
        at = sector * _SECTOR
        head = self._read(at, _HEADER + 4)
        count = _counted(head)
        if count is None:
            count = self._wear
        elif head[_HEADER:] != _ZERO:
            self._mark(at, _HEADER, _PAGE)
        self.nvm.erase(self.base + at)
        if not _blank(self._read(at, _SECTOR)):
            fail(NVM)
        self._wear = max(self._wear, count + 1)
        head = struct.pack("<II", _SECTOR_MAGIC, count + 1)
        self._write(at, head + struct.pack("<I", crc32(head, 0) & 0xFFFFFFFF))

    def _holds_newest(self, sector):
        if self.newest.state == EMPTY:
            return False
        start = self.newest.home // _SECTOR
        span = (self._at // _RING - start) % self.sectors
        return (sector - start) % self.sectors <= span

    def _erase_next(self):
        sector = self.sectors - 1 if self.newest.state == EMPTY else self._at // _RING
        for _ in range(self.sectors):
            sector = (sector + 1) % self.sectors
            if self._holds_newest(sector):
                continue
            rest = sector * _SECTOR + _PAGE
            if not self._ready(sector) or not _blank(self._read(rest, _SECTOR - _PAGE)):
                self._erase(sector)
                return
        fail(NVM_SIZE)

    def _find(self, n):
        """First run of n erased pages behind the newest record, None if there is none."""
        size = self.sectors * _RING
        at, left, run, erased = 0, size, 0, None
        if self.newest.state != EMPTY:
            at = (self._at + 1) % size
            left = (self.newest.home // _SECTOR * _RING - at) % size
        for _ in range(left):
            if erased is None or at % _RING == 0:
                erased = self._ready(at // _RING)
            run = run + 1 if erased and _blank(self._read(_offset(at), _PAGE)) else 0
            if run == 1:
                first = at
            if run == n:
                return first
            at = (at + 1) % size
        return None

    # ---- commit ----

    def room(self, live):
        """False if a commit of `live` bytes fits erased pages; else erases a sector: True."""
        if self._find(_pages(live) + 1) is not None:
            return False
        self._mark_erase()
        self._erase_next()
        return True

    def begin(self, live):
        """A commit of `live` bytes: put() them in order of tensor number, then commit()."""
        first = self._find(_pages(live) + 1)
        if first is None:
            fail(FULL)
        self._first = self._pending = first
        self._live, self._page = live, bytearray()

    def put(self, home, data, clean):
        """Carries live bytes; a snapshot takes the clean ones, too."""
        at = 0
        while at < len(data):
            part = min(_DATA - len(self._page), len(data) - at)
            self._page += data[at:at + part]
            at += part
            if len(self._page) == _DATA:
                self._flush()

    def _flush(self):
        self._page += b"\xff" * (-len(self._page) % 4)
        self._write(_offset(self._pending), self._page)
        self._pending = (self._pending + 1) % (self.sectors * _RING)
        self._page = bytearray()

    def cost(self):
        """Bytes that the commit writes, its record's page included."""
        return (_pages(self._live) + 1) * _PAGE

    def commit(self, record):
        """Makes the record the newest, behind its data."""
        if self._page:
            self._flush()
        record.seq, record.home = self.newest.seq + 1 & 0xFFFFFFFF, _offset(self._first)
        at = _offset(self._pending)
        self._write(at, record.packed(2))
        self._write(at + _LAST, b"\xff\xff\xff\0")
        self.newest, self._at, self.attempts = record, self._pending, 0
        self._erasing = set()

    def get(self, home, order, n):
        """n bytes of the newest commit's data from byte `order` on."""
        if order + n > self.newest.live_bytes:
            fail(DAMAGED)
        ring, skip, data = _ring(self.newest.home) + order // _DATA, order % _DATA, bytearray()
        while len(data) < n:
            part = min(_DATA - skip, n - len(data))
            data += self._read(_offset(ring % (self.sectors * _RING)) + skip, part)
            ring, skip = ring + 1, 0
        return data

    def check(self, crc):
        """Holds restored bytes against the newest record."""
        if crc != self.newest.live_crc:
            fail(DAMAGED)
