/* relume: MEAN over H, W or both, portable. The division by the count is in
 * the multiplier (SPEC 2.4). */
#include "../kernels.h"
#include "../requant.h"

#define OVER_H 1
#define OVER_W 2

RL_HOT void rl_mean_tile(const rl_call *call)
{
    const rl_op *op = call->op;
    const rl_tensor *in = call->in0;
    uint32_t channels = in->c;
    uint32_t row = (uint32_t)in->w * channels;
    uint32_t rows = op->p[0] & OVER_H ? in->h : 1u;
    uint32_t columns = op->p[0] & OVER_W ? in->w : 1u;
    /* Outputs [h][w][c] without the axes that are summed over. */
    uint32_t across = columns == 1 ? in->w : 1u;
    uint32_t offset = (uint32_t)op->p[3] * (uint32_t)in->zero_point;
    uint32_t pixel = call->first / channels;
    uint32_t channel = call->first - pixel * channels;
    uint32_t line = pixel / across;
    uint32_t column = pixel - line * across;
    int8_t *y = call->y + call->first;
    int8_t *end = y + call->count;

    while (y != end) {
        const int8_t *from = call->a + line * row + column * channels
                             + channel;
        int32_t sum = 0; /* |sum| <= 2^31: in.size <= 2^24 */
        uint32_t v, h;
        int32_t acc;

        for (v = rows; v; v--, from += row) {
            const int8_t *x = from;

            for (h = columns; h; h--, x += channels) {
                sum += *x;
            }
        }
        acc = (int32_t)((uint32_t)sum - offset);
        acc = rl_requant_scale(acc, op->p[1], op->p[2]);
        acc = rl_requant_add(acc, call->out->zero_point);
        *y++ = rl_requant_clamp(acc, op->act_min, op->act_max);
        if (++channel == channels) {
            channel = 0;
            if (++column == across) {
                column = 0;
                line++;
            }
        }
    }
}
