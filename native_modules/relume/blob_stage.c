/* relume: the blob checker, constants that are copied to SRAM (SPEC 2.8).
 * That nothing lies over them is proven tile by tile (blob_plan.c). */
#include "blob_check.h"
#include "engine.h"
#include "engine_fast.h"

rl_status rl_blob_check_run(rl_blob_state *c, const rl_op *op)
{
    const rl_header *h = c->blob.header;
    uint32_t buffer = RL_GRAIN * op->chunk;

    c->run = rl_stage_from(op);
    c->run_size = 0;
    REFUSE_UNLESS(buffer == 0
                  || (op->kernel && h->core == RL_FOR_M0PLUS
                      && (op->kind == RL_CONV_2D
                          || op->kind == RL_FULLY_CONNECTED)
                      && buffer <= op->stage_size), op->chunk, CHUNK);
    if (op->stage_size == 0) {
        REFUSE_UNLESS(op->stage_off == 0, op->stage_off, STAGE_OFF);
        return RL_OK;
    }
    c->run_size = op->stage_size - buffer;
    REFUSE_UNLESS(op->stage_size % 4 == 0 && *c->run % 4 == 0
                  && (c->run_size == 0
                      || within(*c->run, c->run_size, h->meta_size,
                                h->total_size)), op->stage_size,
                  STAGE_SIZE);
    REFUSE_UNLESS(op->stage_off % 4 == 0
                  && within(op->stage_off, op->stage_size, 0,
                            h->arena_size + h->scratch_size),
                  op->stage_off, STAGE_OFF);
    return RL_OK;
}
