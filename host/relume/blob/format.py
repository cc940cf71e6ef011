"""The flash blob's structures (SPEC 2) as construct declarations, for both directions."""

from __future__ import annotations

from construct import (  # type: ignore[import-untyped]
    Array,
    Const,
    Float32l,
    Int8ub,
    Int16ul,
    Int32sl,
    Int32ul,
    Padding,
    Struct,
)

MAGIC = b"RLUM"
MAJOR = 1
MINOR = 0
NO_TENSOR = 0xFFFF
NO_OP = 0xFFFF  # the host gives it
GRAIN = 16  # of a tile's scratch memory
HEADER_SIZE = 128
DTYPE_INT8 = 1
CORE_PORTABLE = 0
NVM_NAMES = {1: "fram", 2: "flash", 3: "file", 4: "fram-i2c"}
META_SIZE_AT = 12
META_CRC_AT = 16
TEST_CRC_AT = 124
OP_P_WORDS = 8
CHUNK = 16  # bytes that op.chunk counts

OBLIGATORY = 1  # flag of a segment

HEADER = Struct(
    "magic" / Const(MAGIC),
    "major" / Int8ub,
    "minor" / Int8ub,
    "header_size" / Int16ul,
    "total_size" / Int32ul,
    "meta_size" / Int32ul,
    "meta_crc" / Int32ul,
    "data_crc" / Int32ul,
    "core" / Int8ub,
    "nvm_kind" / Int8ub,
    "flags" / Int16ul,
    "arena_size" / Int32ul,
    "scratch_size" / Int32ul,
    "nvm_size" / Int32ul,
    "n_tensors" / Int16ul,
    "n_ops" / Int16ul,
    "n_tiles" / Int32ul,
    "n_segments" / Int32ul,
    "off_tensors" / Int32ul,
    "off_ops" / Int32ul,
    "off_tiles" / Int32ul,
    "off_segments" / Int32ul,
    "off_strings" / Int32ul,
    "strings_size" / Int32ul,
    "input" / Int16ul,
    "output" / Int16ul,
    "name" / Int32ul,
    "board" / Int32ul,
    "cap_nf" / Int32ul,
    "von_mv" / Int16ul,
    "voff_mv" / Int16ul,
    "charge_uj" / Int32ul,
    "boot_uj" / Int32ul,
    "worst_uj" / Int32ul,
    "input_type" / Int8ub,
    "output_type" / Int8ub,
    "crc_cycles" / Int16ul,
    "mv2_cycles" / Int32ul,
    "commit_cycles" / Int32ul,
    "byte_cycles" / Int16ul,
    "access_cycles" / Int16ul,
    "test_crc" / Int32ul,
)

TENSOR = Struct(
    "arena_off" / Int32ul,
    "nvm_off" / Int32ul,
    "size" / Int32ul,
    "h" / Int16ul,
    "w" / Int16ul,
    "c" / Int16ul,
    "dtype" / Int8ub,
    Padding(1),
    "zero_point" / Int32sl,
    "scale" / Float32l,
    "name" / Int32ul,
)

OP = Struct(
    "kind" / Int8ub,
    "kernel" / Int8ub,
    "from0" / Int16ul,
    "in0" / Int16ul,
    "in1" / Int16ul,
    "out" / Int16ul,
    "from1" / Int16ul,
    "units" / Int32ul,
    "unit_bytes" / Int32ul,
    "kh" / Int16ul,
    "kw" / Int16ul,
    "sh" / Int16ul,
    "sw" / Int16ul,
    "pad_top" / Int16ul,
    "pad_left" / Int16ul,
    "dil_h" / Int16ul,
    "dil_w" / Int16ul,
    "depth_mult" / Int16ul,
    "chunk" / Int16ul,
    "act_min" / Int32sl,
    "act_max" / Int32sl,
    "off_w" / Int32ul,
    "w_size" / Int32ul,
    "off_bias" / Int32ul,
    "off_mult" / Int32ul,
    "off_shift" / Int32ul,
    "p" / Array(OP_P_WORDS, Int32sl),
    "name" / Int32ul,
    "stage_off" / Int32ul,
    "stage_size" / Int32ul,
    "tile_cycles" / Int32ul,
    "unit_cycles" / Int32ul,
    "stage_cycles" / Int32ul,
)

TILE = Struct("op" / Int16ul, "scratch" / Int16ul, "first" / Int32ul, "count" / Int32ul)

SEGMENT = Struct(
    "end_tile" / Int32ul,
    "worst_cycles" / Int32ul,
    "typical_cycles" / Int32ul,
    "worst_uj" / Int32ul,
    "commit_bytes" / Int32ul,
    "flags" / Int32ul,
)

TENSOR_SIZE = TENSOR.sizeof()
OP_SIZE = OP.sizeof()
TILE_SIZE = TILE.sizeof()
SEGMENT_SIZE = SEGMENT.sizeof()
