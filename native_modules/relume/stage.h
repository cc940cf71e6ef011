/* relume: copies the constants of an op from flash into SRAM before its
 * first tile, where the plan has room for them (SPEC 2.8). */
#ifndef RELUME_STAGE_H
#define RELUME_STAGE_H

#include "engine.h"

typedef struct {
    rl_fetch fetch; /* NULL: word by word, at once */
    uint32_t op;    /* 1 + the op whose constants are in SRAM; 0: none */
} rl_stage;

/* The arena holds no constants any more: it was restored, given to others or
 * filled with an input. */
void rl_stage_forget(rl_stage *stage);

/* A tile, or a run of its units, with the op's constants in SRAM, where the
 * plan says so. They are copied when what ran before was not of the same op. */
void rl_stage_tile(rl_stage *stage, const rl_blob *blob, uint8_t *arena,
                   const rl_tile *tile);

#endif
