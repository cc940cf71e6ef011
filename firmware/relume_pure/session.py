"""The scheduler of one model, as native_modules/relume/session.c: what it writes, C resumes."""

from sys import implementation

from .blob import Blob
from .engine import live, run_part, run_tiles
from .nvm import FLASH, Bytes
from .status import (
    BlobError, DAMAGED, MODEL, NVM_KIND, SIZE, STATE, crc32, fail,
    STUCK as E_STUCK, text,
)  # fmt: skip
from .store import DONE, EMPTY, IDLE, RUNNING, SPARED, STUCK, Record, Store

MORE, FINISHED, ERASED = 1, 2, 3
STUCK_ATTEMPTS = 8
_opened = []  # a session was opened since turn-on: a running record is no lost attempt


class Session:
    """One model over an NVM, or whatever nvm.Bytes takes. Attributes as _relume.Session has them."""

    def __init__(self, blob, nvm, base=0, size=-1):
        nvm = _nvm(nvm)
        self.blob = blob if isinstance(blob, Blob) else Blob(blob, False)
        if base < 0 or base > nvm.size or size < -1 or size > nvm.size - base:
            raise ValueError("store leaves the NVM")
        self.nvm, self.base = nvm, base
        grain = 4096 if nvm.kind == FLASH else 256
        part = nvm.size - nvm.size // 8 // grain * grain  # the last eighth is for keys and values
        self.size = (part if base < part else nvm.size) - base if size == -1 else size
        size = self.blob.arena_size + self.blob.scratch_size
        self.arena = memoryview(bytearray(size))  # a view: no slice can change its length
        self._store = None
        self._restart()
        self.state, self._open = EMPTY, False
        self.warning = _warning(self.blob, nvm.kind)  # decides when to commit, never what

    def _restart(self):
        self._tile = self._units = 0  # the next tile, and how many of its units are finished
        self._part = self._halved = self._kept = 0
        self._done = [0] * len(self.blob.ops)
        self._clean = [0] * len(self.blob.tensors)
        self._loaded = self._stuck = False

    @property
    def tiles(self):
        """Tiles of the plan."""
        return self.blob.n_tiles

    def __getattr__(self, name):
        """inference, tile, cycles, commits, nvm_bytes, brownouts of the newest record."""
        if name in ("inference", "tile", "cycles", "commits", "nvm_bytes", "brownouts"):
            return getattr(self._store.newest, name) if self._store else 0
        raise AttributeError(name)

    # ---- open ----

    def open(self):
        """Takes up what the store holds. Errors: BoardError."""
        self._open = False
        self._restart()
        flash = self.nvm.kind == FLASH
        self._store = store = (_flash_store() if flash else Store)(self.nvm, self.base, self.size)
        same_boot = bool(_opened)
        if not same_boot:
            _opened.append(True)
        record = store.newest
        self.state = record.state
        if (self.blob.nvm_kind == FLASH) != flash:
            fail(NVM_KIND)
        store.fits(self.blob.nvm_size)
        if self.state != EMPTY and record.model != self.blob.meta_crc:
            if self.state in (RUNNING, DONE):
                fail(MODEL)
            self.state = IDLE
        if self.state == RUNNING:
            self._resume(same_boot)
        elif self.state == DONE:
            if record.tile != self.tiles:
                fail(DAMAGED)
            self._load()
        self._open = True
        return self.state

    def _resume(self, same_boot):
        store = self._store
        tile = store.newest.tile
        if tile >= self.tiles or (store.newest.part and not store.newest.halved):
            fail(DAMAGED)
        if not same_boot:
            store.attempt()
        failed = max(0, store.attempts - 1 - min(store.erasing, SPARED))
        if self._divide(store.newest, failed) >= STUCK_ATTEMPTS:
            self._stuck = True
            return
        self._load()

    def _divide(self, record, failed):
        """Halves the segment, then its first tile, once for each attempt that failed; returns how
        many failed with nothing left to halve."""
        tile = record.tile
        tiles = self._segment_end(tile) - tile
        count = self.blob.tile(tile)[2]
        grains = _part_of(count, _grain(count))
        self._halved, by_tiles = record.halved, 0
        if not self._halved:
            by_tiles = _halvings(tiles, failed)
            self._part = _part_of(tiles, by_tiles) if failed else 0
        failed -= by_tiles
        more = _halvings(_part_of(grains, self._halved), failed)
        self._halved += more
        return failed - more

    def _load(self):
        store = self._store
        self._finish(0, store.newest.tile)
        self._tile, self._units = store.newest.tile, 0
        if store.newest.part:
            op, _, count = self.blob.tile(self._tile)
            self._units = store.newest.part << _grain(count)
            if self._units >= count:
                fail(DAMAGED)
            self._done[op] += self._units
        ranges = live(self.blob, self._done)
        if sum([end - low for low, end in ranges]) != store.newest.live_bytes:
            fail(DAMAGED)
        crc = order = 0
        for t, (low, end) in zip(self.blob.tensors, ranges):
            if end > low:
                data = store.get(t.home + low, order, end - low)
                order += end - low
                self.arena[t.arena + low:t.arena + end] = data
                crc = crc32(data, crc) & 0xFFFFFFFF
        store.check(crc)
        self._clean = [end for _, end in ranges]
        self._loaded = True

    def _finish(self, start, end):
        for number in range(start, end):
            op, _, count = self.blob.tile(number)
            self._done[op] += count

    def _segment_end(self, tile):
        low, high = 0, self.blob.n_segments - 1
        while low < high:
            middle = (low + high) // 2
            if self.blob.end_of(middle) > tile:
                high = middle
            else:
                low = middle + 1
        return self.blob.end_of(low)

    # ---- commit ----

    def _successor(self, state):
        old, record = self._store.newest, Record()
        record.model, record.tile, record.state = self.blob.meta_crc, self._tile, state
        record.inference, record.cycles = old.inference, old.cycles
        record.commits, record.nvm_bytes = old.commits, old.nvm_bytes
        record.brownouts = min(0xFFFF, old.brownouts + self._store.attempts)
        record.priority, record.due, record.dated = old.priority, old.due, old.dated
        record.drain = old.drain if old.model == record.model else 256
        record.halved = self._halved
        if self._units:
            record.part = self._units >> _grain(self.blob.tile(self._tile)[2])
        return record

    def _live_bytes(self, end, part):
        """Bytes that a commit carries behind tile `end`, or `part` units of the next one."""
        done = list(self._done)
        for number in range(self._tile, self._tile + 1 if part else end):
            op, _, count = self.blob.tile(number)
            done[op] += part or count
        return sum([high - low for low, high in live(self.blob, done)])

    def _commit(self, record):
        """Data first, the record last."""
        store = self._store
        self._loaded = False
        view = self.arena
        ranges = live(self.blob, self._done)
        record.live_bytes = sum([end - low for low, end in ranges])
        store.begin(record.live_bytes)
        for i in range(len(ranges)):
            low, end = ranges[i]
            if end > low:
                t = self.blob.tensors[i]
                record.live_crc = crc32(view[t.arena + low:t.arena + end], record.live_crc)
                record.live_crc &= 0xFFFFFFFF
                clean = max(low, min(self._clean[i], end)) - low
                store.put(t.home + low, view[t.arena + low:t.arena + end], clean)
        record.commits += 1
        record.nvm_bytes += store.cost()
        store.commit(record)
        self.state = record.state
        self._clean, self._loaded = [end for _, end in ranges], True

    def _commit_empty(self, state, tile, part=0):
        record = self._successor(state)
        record.tile, record.part = tile, part
        if self._store.room(0):
            return ERASED
        self._store.begin(0)
        self._store.commit(record)
        self.state, self._loaded = state, False
        return 0

    def begin(self, id, input, priority=0, due=0, dated=False):
        """Commits the input as inference `id`; the rest is its place in SPEC 4.7. ERASED: flash
        was made room in, call again."""
        self._must_be_open()
        t = self.blob.tensors[self.blob.input]
        if len(input) != t.size:
            raise BlobError(text(SIZE), SIZE)
        if self.state == STUCK:
            fail(E_STUCK)
        if self.state in (RUNNING, DONE):
            if not self._loaded and not self._stuck:
                fail(STATE)
            if self._store.newest.inference == id:
                return 0
            if self.state == RUNNING:
                fail(STATE)
        ranges = live(self.blob, [0] * len(self.blob.ops))
        if self._store.room(sum([end - low for low, end in ranges])):
            return ERASED
        self._restart()
        self.arena[t.arena:t.arena + t.size] = bytes(input)
        record = self._successor(RUNNING)
        record.inference = id
        record.cycles = record.commits = record.nvm_bytes = record.brownouts = 0
        record.priority, record.due, record.dated = priority & 255, due & 0xFFFFFFFF, int(dated)
        self._commit(record)
        return 0

    # ---- step ----

    def step(self, yields=False):
        """Runs to the next commit, the end of a segment: MORE or DONE; ERASED: a sector of flash
        was erased instead. Errors: BoardError."""
        self._must_be_open()
        if self.state == DONE and self._loaded:
            return FINISHED
        if self.state == STUCK:
            fail(E_STUCK)
        if self.state != RUNNING:
            fail(STATE)
        if self._stuck:
            if self._commit_empty(STUCK, self._store.newest.tile, self._store.newest.part):
                return ERASED
            fail(E_STUCK)
        if not self._loaded:
            fail(STATE)
        end = self._segment_end(self._tile)
        part = self._next_part() if self._halved else 0
        if not part:
            if 0 < self._part < end - self._tile:
                end = self._tile + self._part
            else:
                self._part = 0
        if self._store.room(self._live_bytes(end, part)):
            self._part = 0 if part else end - self._tile
            return ERASED
        if part:
            self._run_part(part, end)
        elif self._part or self._store.attempts > 1 or not self.warning or (
                not self.warning.run(self, end)):  # fmt: skip
            self._compute(end)  # from the second attempt on as planned
        last = self._tile == self.tiles
        self._commit(self._successor(DONE if last else RUNNING))
        return FINISHED if last else MORE

    def _compute(self, end):
        """Whole tiles, to `end`."""
        run_tiles(self.blob, self.arena, self._tile, end)
        self._finish(self._tile, end)
        self._tile = end

    def _next_part(self):
        """Units of a halved tile that run next."""
        count = self.blob.tile(self._tile)[2]
        grain = _grain(count)
        return min(_part_of(count, grain + self._halved) << grain, count - self._units)

    def _grow(self):
        """Where one life gets two parts through, two of them at once fit a charge."""
        self._kept += self._halved > 1
        if self._kept == 2:
            self._halved -= 1
            self._kept = 0

    def _run_part(self, part, end):
        """Part of a tile; the next segment's tiles are whole again."""
        op, _, count = self.blob.tile(self._tile)
        run_part(self.blob, self.arena, self._tile, self._units, part)
        self._done[op] += part
        self._units += part
        self._grow()
        if self._units == count:
            self._units = 0
            self._tile += 1
            if self._tile == end:
                self._halved = self._part = 0

    def output(self):
        """The output's bytes."""
        self._must_be_open()
        if self.state != DONE or not self._loaded:
            fail(STATE)
        t = self.blob.tensors[self.blob.output]
        return bytes(self.arena[t.arena:t.arena + t.size])

    def take(self, id):
        """The output of inference `id` is safe elsewhere: done -> idle."""
        newest = self._store.newest
        if newest.model != self.blob.meta_crc or newest.inference != id:
            fail(STATE)
        if self.state == IDLE:
            return 0
        if self.state != DONE:
            fail(STATE)
        return self._commit_empty(IDLE, newest.tile)

    def clear(self):
        """Gives up whatever is there."""
        if self._store is None:
            fail(STATE)
        if self.state not in (EMPTY, IDLE) and self._commit_empty(IDLE, 0):
            return ERASED
        self._open = True
        return 0

    def _must_be_open(self):
        if not self._open:
            fail(STATE)


def _nvm(memory):
    """An NVM as it is, a block device of flash, or anything with slices."""
    if hasattr(memory, "kind"):
        return memory
    if hasattr(memory, "writeblocks"):
        from .flash import Flash

        return Flash(memory)
    return Bytes(memory)


def _warning(blob, kind):
    """Of the supply's end, where the chip has one that a program may read."""
    if "NRF52840" not in getattr(implementation, "_machine", ""):
        return None
    from .warning import made

    return made(blob, kind)


def _flash_store():
    """Read only where it is needed: the other memories do without its code."""
    from .flash import FlashStore

    return FlashStore


def _halvings(n, most):
    """How often n things can be halved, at most `most` times, until each part is one of them."""
    times, n = 0, n - 1
    while n and times < most:
        times, n = times + 1, n >> 1
    return times


def _part_of(n, times):
    """What a part of n things is when they are halved so often."""
    return (n - 1 >> times) + 1


def _grain(count):
    """A record counts units of a tile of `count` in grains of 2 to the power of this."""
    n = 0
    while count >> n > 0xFFFF:
        n += 1
    return n
