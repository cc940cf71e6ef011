"""Changes fields of a blob and makes its checksums right again: hostile, but intact."""

from __future__ import annotations

import struct
import zlib

HEADER = {
    "magic": (0, "I"), "major": (4, "B"), "minor": (5, "B"), "header_size": (6, "H"),
    "total_size": (8, "I"), "meta_size": (12, "I"), "core": (24, "B"), "nvm_kind": (25, "B"),
    "flags": (26, "H"), "arena_size": (28, "I"), "scratch_size": (32, "I"), "nvm_size": (36, "I"),
    "n_tensors": (40, "H"), "n_ops": (42, "H"), "n_tiles": (44, "I"), "n_segments": (48, "I"),
    "off_tensors": (52, "I"), "off_ops": (56, "I"), "off_tiles": (60, "I"),
    "off_segments": (64, "I"), "off_strings": (68, "I"), "strings_size": (72, "I"),
    "input": (76, "H"), "output": (78, "H"), "name": (80, "I"), "board": (84, "I"),
    "input_type": (108, "B"), "output_type": (109, "B"),
    "crc_cycles": (110, "H"), "mv2_cycles": (112, "I"), "commit_cycles": (116, "I"),
    "byte_cycles": (120, "H"), "access_cycles": (122, "H"), "test_crc": (124, "I"),
}  # fmt: skip
TENSOR = {
    "arena_off": (0, "I"), "nvm_off": (4, "I"), "size": (8, "I"), "h": (12, "H"), "w": (14, "H"),
    "c": (16, "H"), "dtype": (18, "B"), "reserved": (19, "B"), "zero_point": (20, "i"),
    "name": (28, "I"),
}  # fmt: skip
OP = {
    "kind": (0, "B"), "kernel": (1, "B"), "from0": (2, "H"), "in0": (4, "H"), "in1": (6, "H"),
    "out": (8, "H"), "from1": (10, "H"), "units": (12, "I"),
    "unit_bytes": (16, "I"), "kh": (20, "H"), "kw": (22, "H"),
    "sh": (24, "H"), "sw": (26, "H"), "pad_top": (28, "H"), "pad_left": (30, "H"),
    "dil_h": (32, "H"), "dil_w": (34, "H"), "depth_mult": (36, "H"), "chunk": (38, "H"),
    "act_min": (40, "i"), "act_max": (44, "i"), "off_w": (48, "I"), "w_size": (52, "I"),
    "off_bias": (56, "I"), "off_mult": (60, "I"), "off_shift": (64, "I"),
    "p0": (68, "i"), "p1": (72, "i"), "p2": (76, "i"), "p3": (80, "i"), "p4": (84, "i"),
    "p5": (88, "i"), "p6": (92, "i"),
    "p7": (96, "i"), "name": (100, "I"), "stage_off": (104, "I"), "stage_size": (108, "I"),
    "tile_cycles": (112, "I"), "unit_cycles": (116, "I"), "stage_cycles": (120, "I"),
}  # fmt: skip
TILE = {"op": (0, "H"), "scratch": (2, "H"), "first": (4, "I"), "count": (8, "I")}
SEGMENT = {"end_tile": (0, "I"), "flags": (20, "I")}
SECTIONS = {
    "header": (None, 128, HEADER), "tensor": (52, 32, TENSOR), "op": (56, 124, OP),
    "tile": (60, 12, TILE), "segment": (64, 24, SEGMENT),
}  # fmt: skip


def at(blob: bytes, path: str) -> tuple[int, str]:
    """(offset, struct code) of a field: "header.n_ops", "op[2].kh"."""
    place, field = path.split(".")
    section, _, number = place.rstrip("]").partition("[")
    pointer, size, fields = SECTIONS[section]
    base = 0 if pointer is None else struct.unpack_from("<I", blob, pointer)[0]
    offset, code = fields[field]
    return base + size * int(number or 0) + offset, code


def get(blob: bytes, path: str) -> int:
    """The value of a field."""
    offset, code = at(blob, path)
    return int(struct.unpack_from("<" + code, blob, offset)[0])


def put(blob: bytes, changes: dict[str, int]) -> bytes:
    """The blob with fields changed and the checksums made right."""
    image = bytearray(blob)
    for path, value in changes.items():
        offset, code = at(blob, path)
        struct.pack_into("<" + code, image, offset, value)
    return sealed(bytes(image))


def sealed(blob: bytes) -> bytes:
    """The blob with both checksums right, if its sizes still make sense."""
    image = bytearray(blob)
    total, meta = struct.unpack_from("<II", image, 8)
    if not 128 <= meta <= total <= len(image):
        return bytes(image)
    struct.pack_into("<I", image, 20, zlib.crc32(image[meta:total]))
    struct.pack_into("<I", image, 16, 0)
    struct.pack_into("<I", image, 16, zlib.crc32(image[:meta]))
    return bytes(image)
