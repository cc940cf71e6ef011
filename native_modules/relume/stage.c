/* relume: constants in SRAM. The checker has proven that an op's block lies
 * in the arena or the scratch memory, beside the op's own tensors and
 * scratch; so it is whole from the copy until a tile of another op runs. */
#include "stage.h"

#include "engine.h"
#include "kernels/kernels.h"

void rl_stage_forget(rl_stage *stage)
{
    stage->op = 0;
}

/* bytes is a multiple of 4, both addresses are aligned. */
static RL_HOT void copy_words(uint8_t *to, const uint8_t *from,
                              uint32_t bytes)
{
    uint32_t *word = (uint32_t *)(void *)to;
    const uint32_t *source = (const uint32_t *)(const void *)from;

    for (; bytes; bytes -= 4) {
        *word++ = *source++;
    }
}

static RL_HOT void fetch(const rl_stage *stage, uint8_t *to,
                         const uint8_t *from, uint32_t bytes)
{
    if (stage->fetch) {
        stage->fetch(to, from, bytes);
    } else {
        copy_words(to, from, bytes);
    }
}

RL_HOT void rl_stage_tile(rl_stage *stage, const rl_blob *blob,
                          uint8_t *arena, uint32_t tile)
{
    uint32_t number = blob->tiles[tile].op;
    const rl_op *op = &blob->ops[number];

    if (!op->stage_size) {
        stage->op = 0;
        rl_engine_tile(blob, arena, tile);
        return;
    }
    if (stage->op != number + 1u) {
        stage->op = 0;
        fetch(stage, arena + op->stage_off, blob->base + op->off_w,
              op->stage_size);
        stage->op = number + 1u;
    }
    rl_engine_tile_with(blob, arena, tile, arena + op->stage_off);
}
