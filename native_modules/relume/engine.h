/* relume: runs tiles of a checked blob on an arena. Knows no NVM. */
#ifndef RELUME_ENGINE_H
#define RELUME_ENGINE_H

#include "blob.h"

/* Computes one tile. arena: [arena_size + scratch_size] bytes, 4-byte
 * aligned, tensors and scratch where the blob says. The inputs of the tile
 * must be there (see SPEC 3). Reads finished bytes, writes only the tile's own
 * output bytes and the scratch: running it twice is harmless. Cannot fail. */
void rl_engine_tile(const rl_blob *blob, uint8_t *arena, uint32_t tile);

/* The array with which an op's run of staged constants begins (SPEC 2.8). */
static inline const uint32_t *rl_stage_from(const rl_op *op)
{
    if (op->chunk == 0) {
        return &op->off_w;
    }
    return op->kind == RL_FULLY_CONNECTED ? &op->off_shift : &op->off_bias;
}

/* Copies flash to SRAM. begin: bytes is a multiple of 4, at least 4, both are
 * aligned; at most one copy is under way. From begin on until end has returned nothing
 * reads flash but end itself, and the bytes are not to be looked at. */
typedef struct {
    void (*begin)(void *to, const void *from, uint32_t bytes);
    void (*end)(void);
} rl_fetch;

/* The same, of one of the blob's tiles or a run of its units, with the op's
 * constants in memory at `stage` as SPEC 2.8 has them; weights in parts are
 * fetched by the kernel. fetch lies in SRAM if its copies go on in the
 * background. stage NULL: all in the blob. */
void rl_engine_tile_with(const rl_blob *blob, uint8_t *arena,
                         const rl_tile *tile, uint8_t *stage,
                         const rl_fetch *fetch);

/* First byte of input tensor `which` (0 or 1) of op that units [unit, units)
 * still need: need() of SPEC 3. Rises with unit. */
uint32_t rl_engine_need(const rl_blob *blob, const rl_op *op, int which,
                        uint32_t unit);

/* One past the last byte of input tensor `which` that units [0, unit] read:
 * reach() of SPEC 3. Rises with unit, which is below op->units. */
uint32_t rl_engine_reach(const rl_blob *blob, const rl_op *op, int which,
                         uint32_t unit);

/* Scratch bytes that op's kernel uses (SPEC 2.4, 2.7). Does not overflow for
 * a checked op. */
uint32_t rl_engine_scratch(const rl_blob *blob, const rl_op *op);

#endif
