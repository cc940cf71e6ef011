"""The engine without our firmware: functions and classes as module _relume has them.

Checkpoints, tables and NVM are Python's. Tiles are computed by the native module _relume_native
where it is installed (MicroPython that loads .mpy files for its core), else in Python: the same
bytes, far slower; plans for that have portable kernels (plan --core portable).
"""

from sys import platform

from . import blob as _blob
from .blob import MAJOR as BLOB_MAJOR, MINOR as BLOB_MINOR
from .nvm import Bytes
from .session import ERASED, FINISHED as DONE, MORE, Session
from .status import RELUME as VERSION, BlobError, BoardError, crc32, text


def File(*args, **kwargs):
    """file.File, which comes when it is asked for."""
    from .file import File

    return File(*args, **kwargs)


def FramI2c(*args, **kwargs):
    """fram_i2c.FramI2c, likewise."""
    from .fram_i2c import FramI2c

    return FramI2c(*args, **kwargs)


def check(data, with_data=True):
    """Refuses a blob with BlobError."""
    _blob.Blob(data, with_data)


def info(data):
    """What a blob says of itself, as a dict."""
    blob = _blob.Blob(data, False)
    x, y = blob.tensors[blob.input], blob.tensors[blob.output]
    return {
        "name": blob.text(80),
        "board": blob.text(84),
        "input_shape": (x.h, x.w, x.c),
        "output_shape": (y.h, y.w, y.c),
        "input_size": x.size,
        "output_size": y.size,
        "meta_crc": blob.meta_crc,
        "data_crc": blob.data_crc,
        "size": blob.total,
        "nvm_kind": blob.nvm_kind,
        "nvm_size": blob.nvm_size,
        "arena_size": blob.arena_size + blob.scratch_size,
        "tiles": blob.n_tiles,
        "segments": blob.n_segments,
    }


def _gap():
    """Read only where it is needed, and where there may be one."""
    if platform != "rp2":
        return None
    from . import gap

    return gap


def slots():
    """Models in flash: the one in the flash gap of an RP2040, if any; else Python has files."""
    gap = _gap()
    found = gap and gap.find()
    return [found[1]] if found else []


def slot_blob(index):
    """The bytes of that model in place, checked; None: see slots(). Errors: BlobError."""
    gap = _gap()
    return gap and gap.blob()


def slot_labels(meta_crc):
    """The text of its labels, None if there are none."""
    gap = _gap()
    return gap and gap.labels(meta_crc)
