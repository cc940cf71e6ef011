/* relume: the blob checker, ops laid out for Cortex-M4 (SPEC 2.7.2). Their
 * tables are only computed with: sizes and the places of computed channels
 * are all there is to prove. */
#include "blob_check.h"
#include "engine_fast.h"

#if RL_WITH_M4
#include "kernels/m4/m4.h"

static rl_status check_array(rl_blob_state *c, const uint32_t *offset,
                             uint32_t size)
{
    if (size == 0) {
        REFUSE_UNLESS(*offset == 0, *offset, NO_ARRAY);
        return RL_OK;
    }
    return rl_blob_check_array(c, offset, size);
}

/* Computed channels go to bytes inside a pixel. */
static rl_status check_places(rl_blob_state *c, const rl_op *op, uint32_t n)
{
    uint32_t channels = c->out->c;
    const uint16_t *place =
        (const uint16_t *)(const void *)(c->blob.base + op->off_shift);
    uint32_t i;

    CHECK(rl_blob_count(c, &op->off_shift, n));
    for (i = 0; i < n; i++) {
        REFUSE_UNLESS(place[i] < channels, place[i], PLACE);
    }
    return RL_OK;
}

static rl_status check_sizes(rl_blob_state *c, const rl_op *op,
                             const rl_m4_layout *layout)
{
    REFUSE_UNLESS(layout->scratch <= memory_of(c), op->p, SCRATCH);
    /* Rows are read by words: up to 3 bytes behind the last one. */
    REFUSE_UNLESS(c->blob.header->scratch_size > 0, op->kernel, NO_TAIL);
    REFUSE_UNLESS(op->w_size == layout->w, op->w_size, W_SIZE);
    CHECK(check_array(c, &op->off_w, op->w_size));
    CHECK(check_array(c, &op->off_bias, layout->bias));
    CHECK(check_array(c, &op->off_mult, layout->mult));
    CHECK(check_array(c, &op->off_shift, layout->shift));
    return check_places(c, op, layout->shift / 2u);
}

rl_status rl_blob_check_m4(rl_blob_state *c, const rl_op *op)
{
    rl_m4_layout layout;

    REFUSE_UNLESS(rl_m4_layout_of(op, c->in, c->out, &layout),
                  op->kernel, KERNEL);
    REFUSE_UNLESS(op->kind != RL_ADD
                  || (op->in1 != RL_NONE && c->blob.tensors[op->in1].size
                      == c->out->size), op->in1, ADD_SIZES);
    return check_sizes(c, op, &layout);
}

#else

rl_status rl_blob_check_m4(rl_blob_state *c, const rl_op *op)
{
    return rl_blob_refuse(c, &op->kernel, RL_FAULT_KERNEL);
}

#endif
