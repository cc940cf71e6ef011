/* relume: ADD on Cortex-M0+, and the twin of add.S. */
#include "add.h"

RL_HOT void rl_m0_add_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    rl_m0_add_job job;

    job.a = call->a + call->first;
    job.b = call->b + call->first;
    job.y = call->y + call->first;
    job.n = call->count;
    job.by_a = (uint32_t)op->p[0];
    job.by_b = (uint32_t)op->p[1];
    job.start = (uint32_t)op->p[2];
    job.shift = (uint32_t)op->p[3];
    job.low = op->act_min;
    job.high = op->act_max;
    rl_m0_add(&job);
}

#if !RL_M0_ASM

void rl_m0_add(const rl_m0_add_job *job)
{
    uint32_t i;

    for (i = 0; i < job->n; i++) {
        uint32_t sum = (uint32_t)(int32_t)job->a[i] * job->by_a
            + (uint32_t)(int32_t)job->b[i] * job->by_b + job->start;

        job->y[i] = rl_requant_clamp((int32_t)sum >> job->shift,
                                     job->low, job->high);
    }
}

#endif
