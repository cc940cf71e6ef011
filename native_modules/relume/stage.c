/* relume: constants in SRAM. The checker has proven that an op's block lies
 * in the arena or the scratch memory, beside the op's own tensors and
 * scratch; so it is whole from the copy until a tile of another op runs. */
#include "stage.h"

#include "kernels/kernels.h"

void rl_stage_forget(rl_stage *stage)
{
    stage->op = 0;
}

static RL_HOT void copy_words(void *to, const void *from, uint32_t bytes)
{
    uint32_t *word = to;
    const uint32_t *source = from;

    for (; bytes; bytes -= 4) {
        *word++ = *source++;
    }
}

static RL_HOT void nothing(void)
{
}

static const rl_fetch by_words = { copy_words, nothing };

RL_HOT void rl_stage_tile(rl_stage *stage, const rl_blob *blob,
                          uint8_t *arena, const rl_tile *tile)
{
    uint32_t number = tile->op;
    const rl_op *op = &blob->ops[number];
    const rl_fetch *fetch = stage->fetch.begin ? &stage->fetch : &by_words;
    uint32_t buffer = RL_GRAIN * op->chunk;

    if (!op->stage_size) {
        stage->op = 0;
        rl_engine_tile_with(blob, arena, tile, NULL, NULL);
        return;
    }
    if (stage->op != number + 1u) {
        stage->op = 0;
        if (op->stage_size > buffer) {
            fetch->begin(arena + op->stage_off + buffer,
                         blob->base + *rl_stage_from(op),
                         op->stage_size - buffer);
            fetch->end();
        }
        stage->op = number + 1u;
    }
    rl_engine_tile_with(blob, arena, tile, arena + op->stage_off, fetch);
}
