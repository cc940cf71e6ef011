"""What the link answers to PUT_BEGIN, PUT_DATA, PUT_END, MODELS, REMOVE, OWNER (docs/SPEC.md 6)."""

import os
import struct

import _relume

from . import owner
from .link import Refused

_PAST_LAST = 1
_BAD_REQUEST = 64
_E_NVM_SIZE = -10
_E_FULL = -17
_NOT_OWNER = 68
_NONCE = 16
_UNSIGNED = "it takes models of its owner only: relume deploy --owner KEY.pem"
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
    end = body.find(b"\0", 12) + 1
    begin = body[: end or len(body)]
    name, proof = _text(begin[12:]), body[len(begin) :]
    if len(proof) not in (0, 128):
        raise Refused(_BAD_REQUEST, "behind the name come 128 bytes of an owner or nothing")
    server.digest = owner.admits(begin, proof)
    if server.digest is None:
        raise Refused(_NOT_OWNER, _UNSIGNED)
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
    if owner.key() is not None and _relume.slot_digest() != server.digest:
        raise Refused(_NOT_OWNER, "what came is not what was signed: " + _UNSIGNED)
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
    _tidy()
    return b""


def _tidy():
    """Label files of models that are gone go too; no other files in their folder."""
    there = ["%08x.txt" % slot[2] for slot in _relume.slots()]
    try:
        names = os.listdir("labels")
    except OSError:
        return
    for name in names:
        ours = len(name) == 12 and name[8:] == ".txt" and not name[:8].strip("0123456789abcdef")
        if ours and name not in there:
            os.remove("labels/" + name)


def give(server, body):
    """OWNER: whose the board is, or a change of that."""
    if not body:
        server.nonce = os.urandom(_NONCE)
        return (owner.key() or bytes(32)) + server.nonce
    if len(body) not in (32, 96):
        raise Refused(_BAD_REQUEST, "OWNER takes nothing, 32 or 96 bytes")
    nonce, server.nonce = server.nonce, b""
    if not nonce or not owner.change(body[:32], body[32:], nonce):
        raise Refused(_NOT_OWNER, "the board's present owner must sign this")
    return b""
