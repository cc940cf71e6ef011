/* relume: writes dirty bytes home while tiles compute. */
#include "behind.h"

#include "kernels/kernels.h"

RL_HOT rl_status rl_behind_finish(rl_behind *b, rl_live *live,
                                  rl_store *store)
{
    if (b->tensor == 0) {
        return RL_OK;
    }
    rl_status status = rl_store_finish(store);
    if (status == RL_OK) {
        live->clean[b->tensor - 1u] = b->to;
    }
    b->tensor = 0;
    return status;
}

/* Is the op's output worth a write? Fills the behind's place. What is dead is
 * counted as clean, so that it is not looked at again. */
static RL_HOT int found(rl_behind *b, rl_live *live, uint32_t number)
{
    const rl_op *op = &live->blob->ops[number];
    uint32_t *clean = &live->clean[op->out], lo, end;
    if (live->done[number] * op->unit_bytes < *clean + RL_BEHIND_LEAST) {
        return 0;
    }
    rl_live_span(live, op->out, &lo, &end);
    if (lo >= end) {
        *clean = end;
        return 0;
    }
    b->from = lo > *clean ? lo : *clean;
    b->to = end;
    return b->to >= b->from + RL_BEHIND_LEAST;
}

/* Newest output first: it lives longest. */
static RL_HOT rl_status start(rl_behind *b, rl_live *live, rl_store *store,
                              const uint8_t *arena, uint32_t op)
{
    const rl_blob *blob = live->blob;
    uint32_t n_ops = blob->header->n_ops;
    for (uint32_t n = 0; n < n_ops; n++) {
        if (found(b, live, op)) {
            uint32_t out = blob->ops[op].out;
            const rl_tensor *tensor = &blob->tensors[out];
            b->tensor = out + 1u;
            return rl_store_start(store, tensor->nvm_off + b->from,
                                  arena + tensor->arena_off + b->from,
                                  b->to - b->from);
        }
        op = op == 0 ? n_ops - 1u : op - 1u;
    }
    return RL_OK;
}

RL_HOT rl_status rl_behind_look(rl_behind *b, rl_live *live, rl_store *store,
                                const uint8_t *arena, uint32_t op)
{
    uint32_t lo, end;
    if (!rl_store_streams(store)) {
        return RL_OK;
    }
    if (b->tensor != 0 && rl_store_busy(store)) {
        rl_live_span(live, b->tensor - 1u, &lo, &end);
        if (lo <= b->from) {
            return RL_OK; /* live, so the next tile leaves it alone */
        }
    }
    rl_status status = rl_behind_finish(b, live, store);
    return status == RL_OK ? start(b, live, store, arena, op) : status;
}
