/* relume: the blob checker, constants that are copied to SRAM (SPEC 2.8).
 * A kernel follows offsets in them that were proven in the blob, so nothing
 * that the kernel writes may lie over them. */
#include "blob_check.h"
#include "engine.h"

/* Of the block with [at, at + size); both end below 2^26. */
static int meets(const rl_op *op, uint32_t at, uint32_t size)
{
    return op->stage_off < at + size && at < op->stage_off + op->stage_size;
}

static int meets_tensor(const rl_blob_state *c, const rl_op *op,
                        uint32_t tensor)
{
    const rl_tensor *t;

    if (tensor >= c->blob.header->n_tensors) {
        return 0; /* none */
    }
    t = &c->blob.tensors[tensor];
    return meets(op, t->arena_off, t->size);
}

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
                            (uint64_t)h->arena_size + h->scratch_size),
                  op->stage_off, STAGE_OFF);
    return RL_OK;
}

rl_status rl_blob_check_stage(rl_blob_state *c, const rl_op *op)
{
    if (op->stage_size == 0) {
        return RL_OK;
    }
    REFUSE_UNLESS(!meets_tensor(c, op, op->in0)
                  && !meets_tensor(c, op, op->in1)
                  && !meets_tensor(c, op, op->out), op->stage_off,
                  STAGE_TENSOR);
    REFUSE_UNLESS(!meets(op, c->blob.header->arena_size,
                         rl_engine_scratch(&c->blob, op)), op->stage_off,
                  STAGE_SCRATCH);
    return RL_OK;
}
