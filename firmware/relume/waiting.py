"""Outputs that the host has not taken when the next input comes wait in a Store: what the link
answers to RESULT and DROP (docs/SPEC.md 6)."""

import struct

from . import Store
from .link import Refused
from .results import Results

_PAST_LAST = 1
_BAD_REQUEST = 64
_E_FULL = -17
_CHUNK = 240
_NAME = "link.%08x"  # the queue of a model; with its outputs' keys: link.MODEL:INFERENCE


def _store(server):
    """The store, opened once."""
    if server.store is None:
        server.store = Store()
    return server.store


def keep(server, core):
    """Queues the output of a core session that is done. It stays done: what begins next takes its
    place, and a power cut in between changes nothing."""
    store = _store(server)
    try:
        Results(store, _NAME % core.meta_crc).add(core.inference, core.output())
    except OSError as error:
        text = f"outputs wait, and no more fit ({error}): relume run --results takes them"
        raise Refused(-_E_FULL, text) from None


def result(server, body):
    if len(body) != 6:
        raise Refused(_BAD_REQUEST, "RESULT takes 6 bytes")
    index, at = struct.unpack("<HI", body)
    store = _store(server)
    kept = [key for key in store.keys() if key[:5] == b"link." and key[13:14] == b":"]
    if index >= len(kept):
        raise Refused(_PAST_LAST, "no more results")
    key = kept[index]
    data = store[key]
    head = struct.pack("<III", int(key[5:13], 16), int(key[14:], 16), len(data))
    return head + data[at : at + _CHUNK]


def drop(server, body):
    """Idempotent: what is not there is not dropped again."""
    if len(body) != 8:
        raise Refused(_BAD_REQUEST, "DROP takes 8 bytes")
    model, inference = struct.unpack("<II", body)
    try:
        Results(_store(server), _NAME % model).drop(inference)
    except KeyError:
        pass
    return b""
