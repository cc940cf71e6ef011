"""Errors as module _relume has them, and CRC-32."""

try:
    from binascii import crc32 as _crc32
except ImportError:
    _crc32 = None

RELUME = "0.1.0"  # relume.VERSION, and that of the native module

TRUNCATED, MAGIC, VERSION, CRC, BOUNDS, SHAPE, PLAN, KIND = -1, -2, -3, -4, -5, -6, -7, -8
NVM, NVM_SIZE, NVM_KIND, DAMAGED, STUCK, STATE, SIZE, MODEL = -9, -10, -11, -12, -13, -14, -15, -16
FULL, ARGUMENT = -17, -18

_TEXTS = {
    TRUNCATED: "blob is shorter than it says",
    MAGIC: "not a relume blob",
    VERSION: "blob of another version, plan it again",
    CRC: "blob checksum differs",
    BOUNDS: "blob offset or size out of bounds",
    SHAPE: "blob shapes do not fit together",
    PLAN: "blob tiles or segments do not cover the ops",
    KIND: "blob op or kernel not supported",
    NVM: "NVM does not answer or reads back wrong",
    NVM_SIZE: "NVM is too small for the plan",
    NVM_KIND: "planned for another kind of NVM",
    DAMAGED: "checkpoint does not match its record",
    STUCK: "one unit of a tile does not fit a charge",
    STATE: "not possible in this state",
    SIZE: "buffer of the wrong size",
    MODEL: "checkpoint belongs to another model",
    FULL: "no room",
    ARGUMENT: "argument out of range",
}


def text(code):
    """One line for a status."""
    return _TEXTS.get(code, "unknown status")


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


_NIBBLES = (
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
)  # fmt: skip


def _crc32_here(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        crc = crc >> 4 ^ _NIBBLES[crc & 15]
        crc = crc >> 4 ^ _NIBBLES[crc & 15]
    return crc ^ 0xFFFFFFFF


crc32 = _crc32 or _crc32_here
