/* relume: the blob checker, constants that are copied to SRAM (SPEC 2.8).
 * That nothing lies over them is proven tile by tile (blob_plan.c). */
#include "blob_check.h"

rl_status rl_blob_check_run(rl_blob_state *c, const rl_op *op)
{
    const rl_header *h = c->blob.header;

    if (op->stage_size == 0) {
        REFUSE_UNLESS(op->stage_off == 0, op->stage_off, STAGE_OFF);
        return RL_OK;
    }
    REFUSE_UNLESS(op->stage_size % 4 == 0 && op->off_w % 4 == 0
                  && within(op->off_w, op->stage_size, h->meta_size,
                            h->total_size), op->stage_size, STAGE_SIZE);
    REFUSE_UNLESS(op->stage_off % 4 == 0
                  && within(op->stage_off, op->stage_size, 0,
                            h->arena_size + h->scratch_size),
                  op->stage_off, STAGE_OFF);
    return RL_OK;
}
