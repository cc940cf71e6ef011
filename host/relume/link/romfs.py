"""ROMFS images whose files lie at multiples of 16, so that a board reads weights in place.

The format is MicroPython's (extmod/vfs_rom.c): records of a kind, a length and a payload, both
numbers of 7 bits a byte, the high bit saying that more follow. Leading zeros, as 0x80, change
nothing, and give the room that puts a file's data where it should lie.
"""

from __future__ import annotations

from collections.abc import Mapping

from relume.errors import RelumeError

ALIGN = 16
_HEADER = b"\xd2\xcd\x31"
_DATA, _DIRECTORY, _FILE = 2, 4, 5
_LENGTH = 5  # bytes of a length that is not known before its payload is made

Tree = dict[str, "Tree | bytes"]


def image(files: Mapping[str, bytes]) -> bytes:
    """The image of files by their paths, without a leading slash. Errors: RelumeError."""
    payload = _entries(_tree(files), len(_HEADER) + _LENGTH)
    payload += b"\x01\x80\x00" * (len(payload) % 2)  # padding: the whole is a multiple of 2
    return _HEADER + _number(len(payload), _LENGTH) + payload


def _tree(files: Mapping[str, bytes]) -> Tree:
    root: Tree = {}
    for path, data in files.items():
        *folders, name = path.split("/")
        if not all((*folders, name)):
            raise RelumeError(f"romfs: {path!r} is no path of a file")
        place = root
        for folder in folders:
            inner = place.setdefault(folder, {})
            if isinstance(inner, bytes):
                raise RelumeError(f"romfs: {path}: {folder} is a file already")
            place = inner
        if name in place:
            raise RelumeError(f"romfs: {path} is there twice")
        place[name] = data
    return root


def _entries(tree: Tree, at: int) -> bytes:
    """Records of a folder's entries, sorted; at: where the first one lies in the image."""
    made = bytearray()
    for name, entry in sorted(tree.items()):
        kind = _FILE if isinstance(entry, bytes) else _DIRECTORY
        title = _named(name)
        inside = at + len(made) + 1 + _LENGTH + len(title)
        body = _data(entry, inside) if isinstance(entry, bytes) else _entries(entry, inside)
        made += _number(kind) + _number(len(title) + len(body), _LENGTH) + title + body
    return bytes(made)


def _data(data: bytes, at: int) -> bytes:
    """A record of a file's data, which begins at a multiple of ALIGN."""
    shortest = at + 1 + len(_number(len(data)))
    width = len(_number(len(data))) + -shortest % ALIGN
    return _number(_DATA) + _number(len(data), width) + data


def _named(name: str) -> bytes:
    text = name.encode()
    return _number(len(text)) + text


def _number(value: int, width: int = 1) -> bytes:
    """A number of at least `width` bytes."""
    made = [value & 0x7F]
    while value := value >> 7:
        made.insert(0, value & 0x7F | 0x80)
    if len(made) > width > 1:
        raise RelumeError("romfs: the image is too large")
    return bytes([0x80] * (width - len(made)) + made)
