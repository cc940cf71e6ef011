"""One inference whose output is known (docs/SPEC.md 2.1): is what runs here sound?

    from relume_pure import selftest
    print(selftest.run(blob))
"""

import struct

from .blob import Blob
from .engine import run_tiles
from .status import crc32

try:
    from time import ticks_diff, ticks_ms
except ImportError:
    ticks_ms = None


def known_input(size):
    """The self-test's input, as relume.link.selftest has it."""
    state, data = 1, bytearray(size)
    for i in range(size):
        data[i] = state >> 8 & 255
        state = (75 * state + 74) % 65537
    return data


def run(data):
    """(CRC-32 of the output, the wanted one or 0 if the blob has none, milliseconds or None).

    Computes in RAM, nothing is committed. Errors: BlobError, MemoryError.
    """
    blob = Blob(data)
    arena = memoryview(bytearray(blob.arena_size + blob.scratch_size))
    source, target = blob.tensors[blob.input], blob.tensors[blob.output]
    arena[source.arena:source.arena + source.size] = known_input(source.size)
    start = ticks_ms() if ticks_ms else None
    run_tiles(blob, arena, 0, blob.n_tiles)
    spent = ticks_diff(ticks_ms(), start) if ticks_ms else None
    crc = crc32(arena[target.arena:target.arena + target.size], 0) & 0xFFFFFFFF
    return crc, struct.unpack_from("<I", blob.data, 124)[0], spent
