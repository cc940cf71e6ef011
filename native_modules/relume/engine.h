/* relume: runs tiles of a checked blob on an arena. Knows no NVM. */
#ifndef RELUME_ENGINE_H
#define RELUME_ENGINE_H

#include "blob.h"

/* Computes one tile. arena: [arena_size + scratch_size] bytes, 4-byte
 * aligned, tensors and scratch where the blob says. The inputs of the tile
 * must be there (see SPEC 3). Reads finished bytes, writes only the tile's own
 * output bytes and the scratch: running it twice is harmless. Cannot fail. */
void rl_engine_tile(const rl_blob *blob, uint8_t *arena, uint32_t tile);

/* The same, with the op's constants, which lie behind one another in the
 * blob from off_w on, in memory at `constants`. NULL: in the blob. */
void rl_engine_tile_with(const rl_blob *blob, uint8_t *arena, uint32_t tile,
                         const uint8_t *constants);

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
