"""Inferences on a board with MicroPython's own firmware, over its REPL. Commits go to its RAM."""

from __future__ import annotations

import ast
import base64
import time
from collections.abc import Sequence

from relume.errors import LinkError
from relume.link.inference import Result
from relume.link.stock import Opener
from relume.link.transport import Execute, Gone, Interrupted, NoAnswer, PortAbsent

_CHUNK = 2048
_TRIES = 5  # of one sample, when the board is reset in it

_START = """
import binascii, relume
_m = relume.Model({path!r})
_x = bytearray(_m.info["input_size"])
"""
_RUN = """
_m.clear()
_y = _m.run(_x)
_s = _m.stats
print(repr((binascii.b2a_base64(_y).strip(), _s["commits"], _s["nvm_bytes"])))
_m.take()
"""


def run(opener: Opener, path: str, items: Sequence[bytes], patience: float) -> list[Result]:
    """The outputs of all items by the blob at `path` on the board. A board that is reset begins
    the item again. Errors: LinkError."""
    results: list[Result] = []
    resets = 0
    while True:
        before = len(results)
        wire = opener.open()
        try:
            with wire.python(True, patience) as execute:
                execute(_START.format(path=path))
                while len(results) < len(items):
                    results.append(_one(execute, items[len(results)], len(results) + 1))
            wire.leave_repl()
            return results
        except (Gone, Interrupted, NoAnswer, PortAbsent) as error:
            resets = 0 if len(results) > before else resets + 1
            if resets >= _TRIES:
                raise LinkError(
                    f"{opener.name}: sample {len(results)} does not end ({error}): without our"
                    " firmware commits are in RAM, each inference needs power to its end"
                ) from error
        finally:
            wire.close()


def _one(execute: Execute, data: bytes, number: int) -> Result:
    start = time.monotonic()
    for at in range(0, len(data), _CHUNK):
        part = data[at : at + _CHUNK]
        text = base64.b64encode(part).decode()
        execute(f"_x[{at}:{at + len(part)}] = binascii.a2b_base64({text!r})")
    output, commits, nvm_bytes = ast.literal_eval(execute(_RUN).strip().splitlines()[-1])
    seconds = time.monotonic() - start
    return Result(base64.b64decode(output), 0, 1, 0, commits, nvm_bytes, seconds, number)
