/* relume: ADD of two tensors of one shape, portable. */
#include "../kernels.h"
#include "../requant.h"

RL_HOT void rl_add_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    uint32_t left_shift = (uint32_t)op->p[0] & 31u;
    int32_t zero0 = call->in0->zero_point;
    int32_t zero1 = call->in1->zero_point;
    int32_t zero = call->out->zero_point;
    const int8_t *a = call->a + call->first;
    const int8_t *b = call->b + call->first;
    int8_t *y = call->y + call->first;
    int8_t *end = y + call->count;

    while (y != end) {
        int32_t u = (int32_t)((uint32_t)(*a++ - zero0) << left_shift);
        int32_t v = (int32_t)((uint32_t)(*b++ - zero1) << left_shift);
        int32_t sum;

        u = rl_requant_scale(u, op->p[1], op->p[2]);
        v = rl_requant_scale(v, op->p[3], op->p[4]);
        sum = rl_requant_add(u, v);
        sum = rl_requant_scale(sum, op->p[5], op->p[6]);
        sum = rl_requant_add(sum, zero);
        *y++ = rl_requant_clamp(sum, op->act_min, op->act_max);
    }
}
