/* relume: the blob checker, ops laid out for Cortex-M4 (SPEC 2.7.2). Their
 * tables are only computed with: sizes are all there is to prove. */
#include "blob_check.h"
#include "engine_fast.h"

#if RL_WITH_M4
#include "kernels/m4/m4.h"

static rl_status check_sizes(rl_blob_state *c, const rl_op *op,
                             const rl_m4_layout *layout)
{
    REFUSE_UNLESS(layout->scratch <= c->blob.header->scratch_size,
                  RL_E_BOUNDS, op->p, "scratch memory is too small");
    REFUSE_UNLESS(op->w_size == layout->w, RL_E_SHAPE, op->w_size,
                  "w_size does not fit the shapes");
    CHECK(rl_blob_check_array(c, &op->off_w, layout->w));
    REFUSE_UNLESS(op->off_mult == 0 && op->off_shift == 0, RL_E_SHAPE,
                  op->off_mult, "multipliers of a kernel without them");
    if (layout->bias == 0) {
        REFUSE_UNLESS(op->off_bias == 0, RL_E_SHAPE, op->off_bias,
                      "bias of a kernel without it");
        return RL_OK;
    }
    return rl_blob_check_array(c, &op->off_bias, layout->bias);
}

rl_status rl_blob_check_m4(rl_blob_state *c, const rl_op *op)
{
    rl_m4_layout layout;

    REFUSE_UNLESS(op->kernel == RL_M4_KERNEL
                  && rl_m4_layout_of(op, &c->blob.tensors[op->in0],
                                     &c->blob.tensors[op->out], &layout),
                  RL_E_KIND, op->kernel, "kernel");
    REFUSE_UNLESS(op->kind != RL_ADD
                  || (op->in1 != RL_NONE && c->blob.tensors[op->in1].size
                      == c->blob.tensors[op->out].size), RL_E_SHAPE, op->in1,
                  "sizes of ADD differ");
    return check_sizes(c, op, &layout);
}

#else

rl_status rl_blob_check_m4(rl_blob_state *c, const rl_op *op)
{
    return refuse(c, RL_E_KIND, offset_of(c, &op->kernel), "kernel");
}

#endif
