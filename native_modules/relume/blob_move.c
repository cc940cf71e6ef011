/* relume: the blob checker: ops that only move bytes (SPEC 2.4). */
#include "blob_check.h"

/* A map's largest entry in *last. Axis 0's entries must not fall. */
static rl_status check_map(rl_blob_state *c, const uint32_t *map, uint32_t n,
                           uint32_t axis, uint32_t *last)
{
    uint32_t i;

    *last = 0;
    for (i = 0; i < n; i++) {
        if (map[i] >= *last) {
            *last = map[i];
        } else {
            REFUSE_UNLESS(axis != 0, map[i], GATHER_FALLS);
        }
    }
    return RL_OK;
}

/* Negative numbers of the op are above 2^31 here, so outside any input. */
static rl_status check_reach(rl_blob_state *c, const rl_op *op,
                             const uint32_t *n)
{
    const uint32_t *map
        = (const uint32_t *)(const void *)(c->blob.base + op->off_w);
    uint64_t reach = (uint64_t)(uint32_t)op->p[0] + (uint32_t)op->p[3];
    uint32_t i;

    for (i = 3; i--;) {
        uint32_t last = (uint32_t)op->p[RL_GATHER_STEP + i];

        if (op->p[RL_GATHER_MAPS] >> i & 1) {
            CHECK(check_map(c, map, n[i], i, &last));
            map += n[i];
            reach += last;
        } else {
            reach += (uint64_t)(n[i] - 1u) * last;
        }
    }
    REFUSE_UNLESS(reach <= c->in->size, op->p[0],
                  GATHER_REACH);
    return RL_OK;
}

rl_status rl_blob_check_gather(rl_blob_state *c, const rl_op *op)
{
    uint32_t maps = (uint32_t)op->p[RL_GATHER_MAPS];
    uint32_t n[4], entries = 0, i;

    /* The output is [n[0]][n[1]][n[2]][run]. */
    n[0] = c->out->size;
    for (i = 3; i; i--) {
        n[i] = (uint32_t)op->p[i];
        REFUSE_UNLESS(n[i] && n[0] % n[i] == 0, op->p[i], GATHER_AXES);
        n[0] /= n[i];
    }
    for (i = 0; i < 3; i++) {
        entries += maps >> i & 1u ? n[i] : 0;
    }
    REFUSE_UNLESS(maps <= 7u && op->w_size == 4u * entries, op->w_size,
                  GATHER_MAPS);
    if (entries) {
        CHECK(rl_blob_check_array(c, &op->off_w, op->w_size));
        CHECK(rl_blob_count(c, &op->off_w, entries));
    }
    return check_reach(c, op, n);
}

rl_status rl_blob_check_concatenation(rl_blob_state *c, const rl_op *op)
{
    const rl_tensor *tensors = c->blob.tensors;
    uint32_t size0 = c->in->size, size1 = tensors[op->in1].size;
    uint32_t run0 = (uint32_t)op->p[0], run1 = (uint32_t)op->p[1];

    REFUSE_UNLESS(run0 && size0 % run0 == 0 && run1 && size1 % run1 == 0
                  && size0 / run0 == size1 / run1
                  && size0 + size1 == c->out->size, op->p[0],
                  CONCATENATION_RUNS);
    return RL_OK;
}
