"""Errors as module _relume has them, and CRC-32."""

try:
    from binascii import crc32
except ImportError:
    from .crc import crc32

RELUME = "0.1.0"  # relume.VERSION, and that of the native module

TRUNCATED, MAGIC, VERSION, CRC, BOUNDS, SHAPE, PLAN, KIND = -1, -2, -3, -4, -5, -6, -7, -8
NVM, NVM_SIZE, NVM_KIND, DAMAGED, STUCK, STATE, SIZE, MODEL = -9, -10, -11, -12, -13, -14, -15, -16
FULL, ARGUMENT = -17, -18


def text(code):
    """One line for a status."""
    from .faults import status

    return status(code)


class BlobError(ValueError):
    """A refused blob or argument; .code as in _relume."""

    def __init__(self, line, code):
        super().__init__(line)
        self.code = code


class BoardError(OSError):
    """NVM or state; .code as in _relume."""

    def __init__(self, line, code):
        super().__init__(line)
        self.code = code

    def __str__(self):
        return self.args[0]


def refuse(code, what, offset):
    """Raises BlobError in the words of the C checker."""
    raise BlobError("%s: %s at offset %d" % (text(code), what, offset), code)


def fail(code):
    """Raises BoardError."""
    raise BoardError(text(code), code)
