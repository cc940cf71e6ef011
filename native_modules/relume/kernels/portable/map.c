/* relume: MAP, portable: a table has the output byte of every input byte. */
#include "../kernels.h"

RL_HOT void rl_map_tile(const rl_call *call)
{
    const uint8_t *x = (const uint8_t *)call->a + call->first;
    const int8_t *table = call->w; /* [256], by the input as unsigned */
    int8_t *y = call->y + call->first;
    uint32_t n = call->count;

    for (; n >= 4; n -= 4, x += 4, y += 4) {
        y[0] = table[x[0]];
        y[1] = table[x[1]];
        y[2] = table[x[2]];
        y[3] = table[x[3]];
    }
    while (n--) {
        *y++ = table[*x++];
    }
}
