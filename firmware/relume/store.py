"""A program's own keys and values, kept through power cuts.

    import relume
    store = relume.Store()                 # beside the models' part of this board's NVM
    store["boots"] = bytes([store.get("boots", b"\\0")[0] + 1 & 255])
    store.commit()                         # both or none, whenever the power goes

What was put since the last commit is in RAM only; a power cut loses it, all of it.
"""

import _relume

DAMAGED = -12


def _bytes(key):
    return key.encode() if isinstance(key, str) else bytes(key)


class Store:
    """A mapping of keys (1 to 64 bytes) to bytes (at most 65535); a str is taken as UTF-8.

    nvm: an object of _relume (FRAM, Flash, File), by default the board's FRAM if it answers, else
    its flash. base, size: the part of it that is used, by default the last eighth, which
    no model uses. Iterates over keys, as bytes, in the order in which they came.

    OSError at once: no chip answers, or what it holds is damaged beyond what a power cut does;
    reset=True then begins with nothing. OSError from commit(): the values do not fit (nothing is
    committed), or the chip failed (make a new Store: it finds the old state or the new one).
    """

    def __init__(self, nvm=None, base=None, size=None, reset=False):
        if nvm is None:
            from .board import any_nvm

            nvm = any_nvm()
        if base is None:
            base = nvm.models
        if size is None:
            size = nvm.size - base
        if base < 0 or size < 0 or base + size > nvm.size:
            raise ValueError("store leaves the NVM")
        self.core = _relume.KV(nvm, base, size, reset)
        self.changes = {}

    def get(self, key, default=None):
        """The value of a key, put or committed; default if there is none."""
        key = _bytes(key)
        if key in self.changes:
            value = self.changes[key]
            return default if value is None else value
        at = self.core.find(key)
        return default if at < 0 else self.core.value(at)

    def put(self, key, value):
        """Gives a key a value, from the next commit on for good."""
        key = _bytes(key)
        if not 0 < len(key) <= 64:
            raise ValueError("a key has 1 to 64 bytes")
        value = bytes(memoryview(value))
        if len(value) > 65535:
            raise ValueError("a value has at most 65535 bytes")
        self.changes[key] = value

    def delete(self, key):
        """Takes a key away, from the next commit on for good. KeyError if there is none."""
        key = _bytes(key)
        if key not in self:
            raise KeyError(key)
        if self.core.find(key) < 0:
            del self.changes[key]
        else:
            self.changes[key] = None

    def commit(self):
        """Makes all that was put and deleted since the last commit durable, or nothing of it."""
        while self.core.commit(self.changes) == _relume.ERASED:
            pass
        self.changes = {}

    def rollback(self):
        """Forgets what was put and deleted since the last commit."""
        self.changes = {}

    def prepare(self, size=1024):
        """Flash: erases sectors ahead, so that commits of up to `size` bytes need not. True if
        one was erased; ask again while energy is there."""
        return self.core.prepare(size) == _relume.ERASED

    def stats(self):
        """Keys, bytes that they take and may take; commits, snapshots and erases since the store
        was opened; on flash, erases of the sectors erased least and most in their life."""
        core = self.core
        least, most = core.wear()
        return {
            "keys": core.count,
            "bytes": core.live,
            "capacity": core.capacity,
            "commits": core.commits,
            "snapshots": core.snapshots,
            "erases": core.erases,
            "wear": (least, most),
        }

    def keys(self):
        """The keys, as a list of bytes."""
        core, changes = self.core, self.changes
        found = [core.key(at) for at in range(core.count)]
        kept = [key for key in found if changes.get(key, b"") is not None]
        return kept + [
            key for key, value in changes.items() if value is not None and core.find(key) < 0
        ]

    def __iter__(self):
        return iter(self.keys())

    def items(self):
        """Pairs of key and value, one at a time."""
        for key in self.keys():
            yield key, self[key]

    def __len__(self):
        return len(self.keys())

    def __contains__(self, key):
        key = _bytes(key)
        if key in self.changes:
            return self.changes[key] is not None
        return self.core.find(key) >= 0

    def __getitem__(self, key):
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    __setitem__ = put
    __delitem__ = delete

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        """with store: commits at the end, or nothing if an exception leaves the block."""
        if kind is None:
            self.commit()
        else:
            self.rollback()
