/* relume: the flash blob (.rlm), read in place. Layout: docs/SPEC.md 2.
 *
 * rl_blob_check() is the only door: after RL_OK every offset, size, shape
 * and plan entry of the blob is proven, and nothing below checks again. */
#ifndef RELUME_BLOB_H
#define RELUME_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "order.h"
#include "status.h"

#define RL_BLOB_MAJOR 1
#define RL_BLOB_MINOR 0
#define RL_NONE 0xFFFFu
#define RL_INT8 1u
#define RL_FLOAT32 3u
#define RL_GRAIN 16u

typedef struct {
    uint8_t  magic[4];
    uint8_t  major, minor;
    uint16_t header_size;
    uint32_t total_size, meta_size, meta_crc, data_crc;
    uint8_t  core, nvm_kind;
    uint16_t flags;
    uint32_t arena_size, scratch_size, nvm_size;
    uint16_t n_tensors, n_ops;
    uint32_t n_tiles, n_segments;
    uint32_t off_tensors, off_ops, off_tiles, off_segments;
    uint32_t off_strings, strings_size;
    uint16_t input, output;
    uint32_t name, board, cap_nf;
    uint16_t von_mv, voff_mv;
    uint32_t charge_uj, boot_uj, worst_uj;
    uint8_t  input_type, output_type;    /* RL_INT8 to RL_FLOAT32: the file's */
    uint16_t crc_cycles;                 /* of a live byte, SPEC 2.9 */
    uint32_t mv2_cycles;                 /* in a square millivolt, 16.16 */
    uint32_t commit_cycles;
    uint16_t byte_cycles, access_cycles; /* of a byte written, of a range */
    uint32_t test_crc; /* of the output of a known input, 0: unknown */
} rl_header;

typedef struct {
    uint32_t arena_off, nvm_off, size;
    uint16_t h, w, c;
    uint8_t  dtype, reserved;
    int32_t  zero_point;
    uint32_t scale; /* f32 bits; the core does no floating point */
    uint32_t name;
} rl_tensor;

typedef enum {
    RL_CONV_2D = 1, RL_DEPTHWISE_CONV_2D, RL_FULLY_CONNECTED,
    RL_AVERAGE_POOL_2D, RL_MAX_POOL_2D, RL_ADD, RL_SOFTMAX, RL_PAD, RL_MEAN,
    RL_RESHAPE, RL_MAP, RL_MUL, RL_GATHER, RL_CONCATENATION
} rl_kind;

#define RL_NEGATE_0 1 /* ADD: p[7] */
#define RL_NEGATE_1 2

/* Places in p[] of GATHER (SPEC 2.4). */
#define RL_GATHER_STEP 4u /* and the next two */
#define RL_GATHER_MAPS 7u /* bit i: axis i has a map */

typedef struct {
    uint8_t  kind, kernel;
    uint16_t from0; /* op that writes in0, RL_NONE: the model's input */
    uint16_t in0, in1, out, from1;
    uint32_t units, unit_bytes;
    uint16_t kh, kw, sh, sw, pad_top, pad_left, dil_h, dil_w;
    uint16_t depth_mult, chunk; /* chunk: 16 bytes each, SPEC 2.8 */
    int32_t  act_min, act_max;
    uint32_t off_w, w_size, off_bias, off_mult, off_shift;
    int32_t  p[8];
    uint32_t name;
    uint32_t stage_off, stage_size; /* constants in SRAM, SPEC 2.8 */
    uint32_t tile_cycles, unit_cycles, stage_cycles; /* worst, SPEC 2.9 */
} rl_op;

typedef struct {
    uint16_t op, scratch; /* scratch memory at RL_GRAIN * scratch */
    uint32_t first, count;
} rl_tile;

typedef struct {
    uint32_t end_tile, worst_cycles, typical_cycles, worst_uj, commit_bytes;
    uint32_t flags; /* RL_OBLIGATORY */
} rl_segment;

#define RL_OBLIGATORY 1u /* homes are given on behind this commit */

_Static_assert(sizeof(rl_header) == 128, "SPEC 2.1");
_Static_assert(sizeof(rl_tensor) == 32, "SPEC 2.2");
_Static_assert(sizeof(rl_op) == 124, "SPEC 2.3");
_Static_assert(sizeof(rl_tile) == 12, "SPEC 2.5");
_Static_assert(sizeof(rl_segment) == 24, "SPEC 2.6");

/* A checked blob: pointers into the image, or a copy of its metadata, which
 * must stay where they are. */
typedef struct {
    const uint8_t    *base;
    const rl_header  *header;
    const rl_tensor  *tensors;  /* [n_tensors] */
    const rl_op      *ops;      /* [n_ops] */
    const rl_tile    *tiles;    /* [n_tiles] */
    const rl_segment *segments; /* [n_segments] */
} rl_blob;

/* Where a refused blob is wrong, and how. */
typedef struct {
    uint32_t offset; /* of the offending field in the blob */
    uint32_t number; /* rl_fault (blob_faults.h); 0: the blob is sound */
} rl_blob_fault;

/* A constant, never NULL; "" for RL_FAULT_NONE. Not part of the core. */
const char *rl_blob_fault_text(uint32_t number);

/* Checks image[0, size), which must be 4-byte aligned, and fills blob.
 * Time is linear in size + ops * ops + tiles * ops / 64, stack is bounded.
 * with_data = 0 skips only the CRC over the constants (used at boot, when the
 * slot header says that it was checked at deploy). Nothing is allocated. */
RL_CHECKED rl_status rl_blob_check(const uint8_t *image, size_t size,
                                   int with_data, rl_blob *blob,
                                   rl_blob_fault *fault);

/* The same of a blob whose metadata is not read from image but from blob->header
 * on: header->meta_size bytes in SRAM, 4-byte aligned, which stay where they are.
 * A fault's offset then says nothing. */
RL_CHECKED rl_status rl_blob_check_with(const uint8_t *image, size_t size,
                                        int with_data, rl_blob *blob,
                                        rl_blob_fault *fault);

#endif
