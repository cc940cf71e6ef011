"""The native module: no state, blobs are named by their buffers."""

from _typeshed import ReadableBuffer, WriteableBuffer

VERSION: str

def check(blob: ReadableBuffer, with_data: bool) -> tuple[int, int, int]: ...
def run(
    blob: ReadableBuffer, arena: WriteableBuffer, tile: int, done: int, count: int
) -> None: ...
def crc32(data: ReadableBuffer, crc: int) -> int: ...
