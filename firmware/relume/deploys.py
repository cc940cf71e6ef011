"""What the link answers to PUT_BEGIN, PUT_DATA, PUT_END, MODELS and REMOVE (docs/SPEC.md 6)."""

import struct

import _relume

from .link import Refused

_PAST_LAST = 1
_BAD_REQUEST = 64
_E_NVM_SIZE = -10
_E_FULL = -17
_MOST = 8
_WAYS = "relume deploy --remove NAME, or --only in place of all"


def _text(data):
    """The string ending with 0 at the end of a request body."""
    if not data or data[-1] or 0 in data[:-1]:
        raise Refused(_BAD_REQUEST, "name must end with one 0 byte")
    try:
        return str(data[:-1], "utf-8")
    except UnicodeError:
        raise Refused(_BAD_REQUEST, "name is not UTF-8") from None


def put_begin(server, body):
    if len(body) < 14:
        raise Refused(_BAD_REQUEST, "PUT_BEGIN is too short")
    size, meta_crc, data_crc = struct.unpack("<III", body[:12])
    name = _text(body[12:])
    server.forget()
    try:
        return struct.pack("<I", _relume.slot_begin(size, meta_crc, data_crc, name))
    except OSError as error:
        if getattr(error, "code", None) != _E_FULL:
            raise
        there = len(_relume.slots())
        what = f"{there} models, no more" if there >= _MOST else f"no {size} bytes of flash in a row"
        raise Refused(-_E_FULL, f"the board has room for {what}: {_WAYS}") from None
    finally:
        server.forget()


def put_data(server, body):
    if len(body) < 5:
        raise Refused(_BAD_REQUEST, "PUT_DATA is too short")
    at = struct.unpack("<I", body[:4])[0]
    return struct.pack("<I", _relume.slot_write(at, memoryview(body)[4:]))


def put_end(server, body):
    try:
        _relume.slot_end()
    except OSError as error:
        if getattr(error, "code", None) != _E_NVM_SIZE:
            raise
        text = f"its NVM has no room beside the other models: {_WAYS}"
        raise Refused(-_E_NVM_SIZE, text) from None
    finally:
        server.forget()
    return b""


def models(server, body):
    if len(body) != 2:
        raise Refused(_BAD_REQUEST, "MODELS takes 2 bytes")
    slots = _relume.slots()
    index = struct.unpack("<H", body)[0]
    if index >= len(slots):
        raise Refused(_PAST_LAST, "no more models")
    name, size, meta_crc, _, _, active, at, part = slots[index]
    kind = _relume.slot_blob(index)[25]  # nvm_kind, SPEC 2.1
    return struct.pack("<IIBBII", size, meta_crc, active, kind, at, part) + name.encode() + b"\0"


def remove(server, body):
    """The model's inference goes first: its part of the NVM is given to others."""
    name = _text(body)
    try:
        server.queue.clear(name)
    except (ValueError, OSError):
        pass  # no such model, or its NVM does not answer
    server.forget()
    _relume.slot_remove(name)
    server.forget()
    return b""
