"""An NVM in a file, imported when it is asked for: most boards have another."""

import os

from .nvm import FILE, Bytes


class File(Bytes):
    """A file of `size` bytes, made if missing."""

    kind = FILE

    def __init__(self, path, size):
        try:
            there = os.stat(path)[6]
        except OSError:
            open(path, "wb").close()
            there = 0
        self.file = open(path, "r+b")
        self.size = size
        self.file.seek(there)
        while there < size:
            n = min(256, size - there)
            self.file.write(b"\xff" * n)
            there += n

    def read(self, at, n):
        self._inside(at, n)
        self.file.seek(at)
        return self.file.read(n)

    def write(self, at, data):
        self._inside(at, len(data))
        self.file.seek(at)
        self.file.write(data)
        self.file.flush()
        if hasattr(os, "fsync") and hasattr(self.file, "fileno"):
            os.fsync(self.file.fileno())
        elif hasattr(os, "sync"):
            os.sync()
